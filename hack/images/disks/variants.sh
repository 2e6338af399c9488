# shellcheck shell=bash
# The same Debian on other tables, firmware and file systems. Sourced after lib.sh, base.sh and debian_prepared.sh.
# XFS and Btrfs are filled through a loop device: neither tool fills itself from a folder with all it has.

# GRUB for BIOS: modules and images of this machine's package grub-pc-bin.
GRUB_PC=/usr/lib/grub/i386-pc

# fill IMAGE OFFSET SIZE TREE [OPTIONS]: copies a tree into a file system inside a file, mounted for that time
# only, in a mount namespace of its own.
fill() {
  local image=$1 offset=$2 size=$3 tree=$4 options=${5:-}
  unshare --mount sh -euc '
    mount -o "loop,offset=$2,sizelimit=$3$5" "$1" "$6"
    cp -a "$4/." "$6/"
    sync -f "$6"
    umount "$6"
  ' fill "$image" "$offset" "$size" "$tree" "${options:+,$options}" "$(mountpoint_of "$image")" ||
    die "cannot mount a file here (loop devices are needed for this disk)"
}

mountpoint_of() {
  mkdir -p "$1.mount"
  printf '%s\n' "$1.mount"
}

# write_grub_pc RAW START_SECTOR CORE: boot.img into the first sector, core.img from START_SECTOR on.
# As grub-bios-setup does it (util/setup.c of GRUB), which wants the disk to be a device.
write_grub_pc() {
  local raw=$1 start=$2 core=$3
  dd if="$GRUB_PC/boot.img" of="$raw" bs=440 count=1 conv=notrunc status=none
  # Where boot.img finds core.img (offset 0x5c), and where core.img's first sector finds the rest (offset 0x1f4).
  le64 "$start" | dd of="$raw" bs=1 seek=$((0x5c)) conv=notrunc status=none
  # GRUB_BOOT_MACHINE_DRIVE_CHECK: two NOPs trust the BIOS about the drive, as on every hard disk.
  printf '\x90\x90' | dd of="$raw" bs=1 seek=$((0x66)) conv=notrunc status=none
  dd if="$core" of="$raw" bs=512 seek="$start" conv=notrunc status=none
  le64 "$((start + 1))" | dd of="$raw" bs=1 seek=$((start * 512 + 0x1f4)) conv=notrunc status=none
}

le64() {
  local value=$1 byte
  for byte in 0 8 16 24 32 40 48 56; do
    # shellcheck disable=SC2059 # an escape sequence is made
    printf "\\x$(printf %02x $((value >> byte & 255)))"
  done
}

# assemble_bios TREE RAW mbr|gpt ext4|xfs: a Gen1 disk.
assemble_bios() {
  local tree=$1 raw=$2 table=$3 fs=$4 core="$2.core" root_number=1 root_start=1 grub_start=1 module=part_msdos
  rm -f "$raw"
  truncate -s "$((OS_MIB * MIB))" "$raw"
  if [ "$table" = gpt ]; then
    root_number=2 root_start=2 grub_start=2048 module=part_gpt
    sfdisk --quiet "$raw" >&2 <<END
label: gpt
label-id: ${DISK_GUID/9F2C/9F2E}
start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name="BIOS boot"
start=2MiB, size=$((OS_MIB - 3))MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name="root"
END
  else
    printf 'label: dos\nlabel-id: 0x5c3a1f0e\nstart=1MiB, size=%sMiB, type=83, bootable\n' "$((OS_MIB - 2))" |
      sfdisk --quiet "$raw" >&2
  fi
  mkdir -p "$tree/boot/grub/i386-pc"
  cp "$GRUB_PC"/*.mod "$GRUB_PC"/*.lst "$tree/boot/grub/i386-pc/"
  grub-mkimage -O i386-pc -d "$GRUB_PC" -o "$core" -p "(,${table/mbr/msdos}$root_number)/boot/grub" \
    biosdisk "$module" "${fs/ext4/ext2}" search_fs_uuid normal configfile
  [ "$(stat -c %s "$core")" -lt $((1000 * 1024)) ] || die "GRUB's core.img does not fit"
  write_grub_pc "$raw" "$grub_start" "$core"
  cp "$GRUB_PC/boot.img" "$core" "$tree/boot/grub/i386-pc/"
  rm -f "$core"
  make_root "$tree" "$raw" "$root_start" "$((OS_MIB - root_start - 1))" "$fs"
}

# make_root TREE RAW START_MIB SIZE_MIB ext4|xfs|btrfs
make_root() {
  local tree=$1 raw=$2 start=$3 size=$4 fs=$5 image="$2.root"
  case $fs in
    ext4)
      mkfs.ext4 -q -F -L root -U "$ROOT_UUID" -m 1 -E "offset=$((start * MIB)),hash_seed=$ROOT_UUID" \
        -d "$tree" "$raw" "$((size * 1024))k"
      return
      ;;
    xfs)
      truncate -s "$((size * MIB))" "$image"
      mkfs.xfs -q -L root -m "uuid=$ROOT_UUID" "$image"
      fill "$image" 0 "$((size * MIB))" "$tree"
      ;;
    btrfs)
      truncate -s "$((size * MIB))" "$image"
      mkfs.btrfs -q -L root -U "$ROOT_UUID" "$image" >&2
      fill_btrfs "$image" "$tree"
      ;;
  esac
  dd if="$image" of="$raw" bs=1M seek="$start" conv=notrunc,sparse status=none
  rm -f "$image"
  rmdir "$image.mount"
}

# Subvolumes as Debian's and Ubuntu's users make them: @ is /, @home and @var beside it; zstd.
fill_btrfs() {
  local image=$1 tree=$2
  unshare --mount sh -euc '
    mount -o loop,compress=zstd "$1" "$3"
    for each in @ @home @var; do btrfs subvolume create "$3/$each" >/dev/null; done
    cp -a "$2/." "$3/@/"
    cp -a "$3/@/var/." "$3/@var/"
    rm -rf "$3"/@/var/*
    sync -f "$3"
    umount "$3"
  ' fill_btrfs "$image" "$tree" "$(mountpoint_of "$image")" ||
    die "cannot mount a file here (loop devices are needed for this disk)"
}

# assemble_lvm TREE RAW: ESP, /boot (ext4) and an LVM group with an XFS root. For readers only: it is not made to boot.
assemble_lvm() {
  local tree=$1 raw=$2 esp="$2.esp" boot="$2.boot" pv=$2.pv root=$2.lv pe_start
  local boot_mib=200 pv_mib=$((OS_MIB - 268))
  truncate -s "$((OS_MIB * MIB))" "$raw"
  sfdisk --quiet "$raw" >&2 <<END
label: gpt
label-id: ${DISK_GUID/9F2C/9F2F}
start=1MiB, size=64MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="ESP"
start=65MiB, size=${boot_mib}MiB, type=BC13C2FF-59E6-4262-A352-B275FD6F7172, name="boot"
start=266MiB, size=${pv_mib}MiB, type=E6D6D379-F507-44C2-A23C-238F2A3DF928, name="lvm"
END
  make_esp "$tree" "$esp"
  dd if="$esp" of="$raw" bs=1M seek=1 conv=notrunc,sparse status=none
  mkdir "$boot"
  cp -a "$tree/boot/." "$boot/"
  rm -rf "$tree"/boot/*
  mkfs.ext4 -q -F -L boot -U "$DATA_UUID" -E "offset=$((65 * MIB)),hash_seed=$ROOT_UUID" -d "$boot" "$raw" \
    "$((boot_mib * 1024))k"
  truncate -s "$((pv_mib * MIB))" "$pv"
  truncate -s "$(((pv_mib - 8) * MIB))" "$root"
  mkfs.xfs -q -L root -m "uuid=$ROOT_UUID" "$root"
  fill "$root" 0 "$(((pv_mib - 8) * MIB))" "$tree"
  pe_start=$(make_lvm "$pv" "$((pv_mib - 8))")
  dd if="$root" of="$pv" bs=1M seek="$((pe_start / MIB))" conv=notrunc,sparse status=none
  dd if="$pv" of="$raw" bs=1M seek=266 conv=notrunc,sparse status=none
  rm -rf "$boot" "$pv" "$root" "$esp" "$root.mount"
}

# make_lvm PV MIB: physical volume, group vg, linear volume root; prints where the first extent is (bytes).
# The kernel's device-mapper is not asked: only metadata is written.
make_lvm() {
  local pv=$1 mib=$2 device
  device=$(losetup --find --show "$pv") || die "no loop device is free"
  local -a config=(--driverloaded n --config "devices { filter=[\"a|^$device\$|\",\"r|.*|\"] use_devicesfile=0 } backup { backup=0 archive=0 }")
  {
    lvm pvcreate "${config[@]}" --dataalignment 1m "$device"
    lvm vgcreate "${config[@]}" vg "$device"
    lvm lvcreate "${config[@]}" --activate n --zero n --wipesignatures n --size "${mib}m" --name root vg
  } >/dev/null 2>"$pv.errors" || {
    losetup --detach "$device"
    die "LVM: $(tail -n 1 "$pv.errors")"
  }
  lvm pvs "${config[@]}" --noheadings --nosuffix --units b --options pe_start "$device" 2>/dev/null | tr -d ' '
  losetup --detach "$device"
  rm -f "$pv.errors"
}

# fstab_of ROOT_LINE…: the lines before the ESP's
fstab_of() {
  printf '%s\n' "# <device> <mount point> <type> <options> <dump> <pass>" "$@"
}

variant_gen1_mbr() {
  debian_prepared "$1" "$ROOT_UUID" "$ESP_ID"
  fstab_of "UUID=$ROOT_UUID / ext4 defaults,discard,errors=remount-ro 0 1" >"$1/etc/fstab"
  make_grub_config "$1" "$ROOT_UUID" ext2 msdos
  assemble_bios "$1" "$2" mbr ext4
}

variant_gen1_xfs() {
  debian_prepared "$1" "$ROOT_UUID" "$ESP_ID"
  fstab_of "UUID=$ROOT_UUID / xfs defaults,discard 0 0" >"$1/etc/fstab"
  make_grub_config "$1" "$ROOT_UUID" xfs gpt
  assemble_bios "$1" "$2" gpt xfs
}

variant_btrfs() {
  local each
  debian_prepared "$1" "$ROOT_UUID" "$ESP_ID"
  fstab_of "UUID=$ROOT_UUID / btrfs defaults,compress=zstd,subvol=@ 0 0" \
    "UUID=$ROOT_UUID /home btrfs compress=zstd,subvol=@home 0 0" \
    "UUID=$ROOT_UUID /var btrfs compress=zstd,subvol=@var 0 0" \
    "UUID=$ESP_ID /boot/efi vfat umask=0077 0 1" >"$1/etc/fstab"
  make_grub_config "$1" "$ROOT_UUID" btrfs gpt
  # grub-mkconfig could not see the subvolume; this is what it writes where it can.
  sed -i -E -e "s|root=UUID=$ROOT_UUID|& rootflags=subvol=@|" -e 's#([[:space:]])/boot/(vmlinuz|initrd)#\1/@/boot/\2#' \
    "$1/boot/grub/grub.cfg"
  assemble_uefi "$1" "$2" "${DISK_GUID/9F2C/9F30}" btrfs
}

variant_lvm() {
  debian_prepared "$1" "$ROOT_UUID" "$ESP_ID"
  fstab_of "/dev/mapper/vg-root / xfs defaults 0 0" "UUID=$DATA_UUID /boot ext4 defaults 0 2" \
    "UUID=$ESP_ID /boot/efi vfat umask=0077 0 1" >"$1/etc/fstab"
  sed -i -E -e "s|root=UUID=$ROOT_UUID|root=/dev/mapper/vg-root|" -e 's#([[:space:]])/boot/(vmlinuz|initrd)#\1/\2#' \
    "$1/boot/grub/grub.cfg"
  assemble_lvm "$1" "$2"
}

# A machine that is in use, well prepared, to be cloned once as it is: identity, host keys, user, history stay.
variant_specialized() {
  local tree=$1
  debian_settings "$tree" "$ROOT_UUID" "$ESP_ID"
  sed -i 's/^Provisioning.Agent=.*/Provisioning.Agent=disabled/' "$tree/etc/waagent.conf"
  in_tree "$tree" useradd --create-home --shell /bin/bash --groups sudo alice
  printf 'alice:%s\n' "$(head -c 32 /dev/urandom | base64)" | in_tree "$tree" chpasswd
  head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$tree/etc/machine-id"
  printf '\n' >>"$tree/etc/machine-id"
  printf 'database-1\n' >"$tree/etc/hostname"
  printf 'ls\n' >"$tree/root/.bash_history"
  assemble_uefi "$tree" "$2" "${DISK_GUID/9F2C/9F31}"
}
