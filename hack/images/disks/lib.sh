# shellcheck shell=bash
# Steps that the disks have in common. To be sourced after hack/lib/common.sh.

MIB=1048576

# Runs a command inside a tree, in namespaces of its own: tools that set the host name, signal processes or
# talk to a service manager must not reach the machine that builds.
in_tree() {
  local tree=$1
  shift
  unshare --mount --uts --ipc --net --pid --fork --kill-child \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    chroot "$tree" "$@"
}

# Writes /boot/grub/grub.cfg with Debian's own grub-mkconfig. It asks grub-probe about the device below /,
# which does not exist yet; for the time of the call something else answers with the disk's future UUID.
make_grub_config() {
  local tree=$1 root_uuid=$2
  local probe="$tree/usr/sbin/grub-probe"
  mv "$probe" "$probe.real"
  cat >"$probe" <<EOF
#!/bin/sh
for argument; do
  case "\$argument" in
    --target=device) echo /dev/disk/by-uuid/$root_uuid; exit ;;
    --target=fs_uuid) echo $root_uuid; exit ;;
    --target=fs) echo ext2; exit ;;
    --target=abstraction) exit ;;
    --target=partmap) echo gpt; exit ;;
    --target=compatibility_hint) echo hd0,gpt2; exit ;;
    --target=hints_string) echo "--hint-bios=hd0,gpt2 --hint-efi=hd0,gpt2 --hint-baremetal=ahci0,gpt2"; exit ;;
    --target=partuuid) exit ;;
  esac
  shift 2>/dev/null || :
done
# "-t device /" and the like
exec echo
EOF
  # shellcheck disable=SC2016 # the text is a script's, to be expanded there
  sed -i 's/^for argument; do/set -- $(echo "$@" | sed "s|-t \\([a-z_]*\\)|--target=\\1|")\nfor argument; do/' "$probe"
  chmod 755 "$probe"
  # grub-mkconfig writes root=UUID=… only where udev would show the device.
  mkdir -p "$tree/dev/disk/by-uuid" "$tree/boot/grub"
  : >"$tree/dev/disk/by-uuid/$root_uuid"
  in_tree "$tree" grub-mkconfig -o /boot/grub/grub.cfg >&2 2>/dev/null
  rm -rf "$tree/dev/disk"
  mv "$probe.real" "$probe"
  grep -q "root=UUID=$root_uuid" "$tree/boot/grub/grub.cfg" || die "grub-mkconfig did not write root=UUID=$root_uuid"
}

# assemble_uefi TREE RAW SIZE_MIB ROOT_UUID ESP_ID DISK_GUID: a GPT disk with ESP and ext4, all in a file.
# Needs no loop device and no mount: mkfs.ext4 fills itself from a folder, mtools write FAT.
assemble_uefi() {
  local tree=$1 raw=$2 size_mib=$3 root_uuid=$4 esp_id=$5 disk_guid=$6
  local esp_mib=64 esp="$2.esp" root_mib
  root_mib=$((size_mib - esp_mib - 2))

  rm -f "$raw" "$esp"
  truncate -s "$((size_mib * MIB))" "$raw"
  sfdisk --quiet "$raw" >&2 <<EOF
label: gpt
label-id: $disk_guid
start=1MiB, size=${esp_mib}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="ESP"
start=$((esp_mib + 1))MiB, size=${root_mib}MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name="root"
EOF

  # As Debian's grub-install --force-extra-removable lays it out: the signed shim at the fallback path, and
  # the signed GRUB beside it, whose built-in prefix is /EFI/debian.
  mkfs.vfat -C -F 32 -s 1 -i "${esp_id/-/}" -n ESP "$esp" "$((esp_mib * 1024))" >/dev/null
  local stub="$raw.stub"
  cat >"$stub" <<EOF
search.fs_uuid $root_uuid root
set prefix=(\$root)'/boot/grub'
configfile \$prefix/grub.cfg
EOF
  mmd -i "$esp" ::/EFI ::/EFI/BOOT ::/EFI/debian
  mcopy -i "$esp" "$tree/usr/lib/shim/shimx64.efi.signed" ::/EFI/BOOT/BOOTX64.EFI
  mcopy -i "$esp" "$tree/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" ::/EFI/BOOT/grubx64.efi
  mcopy -i "$esp" "$tree/usr/lib/shim/shimx64.efi.signed" ::/EFI/debian/shimx64.efi
  mcopy -i "$esp" "$tree/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" ::/EFI/debian/grubx64.efi
  mcopy -i "$esp" "$stub" ::/EFI/BOOT/grub.cfg
  mcopy -i "$esp" "$stub" ::/EFI/debian/grub.cfg
  dd if="$esp" of="$raw" bs=1M seek=1 conv=notrunc,sparse status=none
  rm -f "$esp" "$stub"

  mkfs.ext4 -q -F -L root -U "$root_uuid" -m 1 -E "offset=$(((esp_mib + 1) * MIB)),hash_seed=$root_uuid" \
    -d "$tree" "$raw" "$((root_mib * 1024))k"
}
