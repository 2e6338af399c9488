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
#   make_grub_config TREE ROOT_UUID [FILE_SYSTEM] [PARTITION_MAP]     in GRUB's words; ext2 and gpt
make_grub_config() {
  local tree=$1 root_uuid=$2 fs=${3:-ext2} partmap=${4:-gpt}
  local probe="$tree/usr/sbin/grub-probe"
  mv "$probe" "$probe.real"
  cat >"$probe" <<EOF
#!/bin/sh
for argument; do
  case "\$argument" in
    --target=device) echo /dev/disk/by-uuid/$root_uuid; exit ;;
    --target=fs_uuid) echo $root_uuid; exit ;;
    --target=fs) echo $fs; exit ;;
    --target=abstraction) exit ;;
    --target=partmap) echo $partmap; exit ;;
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

# make_esp TREE FILE [GRUB_FOLDER]: an EFI system partition as Debian's grub-install --force-extra-removable lays it
# out: the signed shim at the fallback path, and the signed GRUB beside it, whose built-in prefix is /EFI/debian.
make_esp() {
  local tree=$1 esp=$2 folder=${3:-/boot/grub} stub="$2.stub"
  rm -f "$esp"
  mkfs.vfat -C -F 32 -s 1 -i "${ESP_ID/-/}" -n ESP "$esp" "$((64 * 1024))" >/dev/null
  cat >"$stub" <<EOF
search.fs_uuid $ROOT_UUID root
set prefix=(\$root)'$folder'
configfile \$prefix/grub.cfg
EOF
  mmd -i "$esp" ::/EFI ::/EFI/BOOT ::/EFI/debian
  mcopy -i "$esp" "$tree/usr/lib/shim/shimx64.efi.signed" ::/EFI/BOOT/BOOTX64.EFI
  mcopy -i "$esp" "$tree/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" ::/EFI/BOOT/grubx64.efi
  mcopy -i "$esp" "$tree/usr/lib/shim/shimx64.efi.signed" ::/EFI/debian/shimx64.efi
  mcopy -i "$esp" "$tree/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" ::/EFI/debian/grubx64.efi
  mcopy -i "$esp" "$stub" ::/EFI/BOOT/grub.cfg
  mcopy -i "$esp" "$stub" ::/EFI/debian/grub.cfg
  rm -f "$stub"
}

# assemble_uefi TREE RAW DISK_GUID [FS]: a GPT disk with ESP and root, all in a file.
# ext4 needs no loop device and no mount: mkfs.ext4 fills itself from a folder, mtools write FAT.
assemble_uefi() {
  local tree=$1 raw=$2 disk_guid=$3 fs=${4:-ext4} size_mib=$OS_MIB
  local esp_mib=64 esp="$2.esp" root_mib folder=/boot/grub
  root_mib=$((size_mib - esp_mib - 2))
  [ "$fs" != btrfs ] || folder=/@/boot/grub

  rm -f "$raw"
  truncate -s "$((size_mib * MIB))" "$raw"
  sfdisk --quiet "$raw" >&2 <<EOF
label: gpt
label-id: $disk_guid
start=1MiB, size=${esp_mib}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="ESP"
start=$((esp_mib + 1))MiB, size=${root_mib}MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name="root"
EOF
  make_esp "$tree" "$esp" "$folder"
  dd if="$esp" of="$raw" bs=1M seek=1 conv=notrunc,sparse status=none
  rm -f "$esp"
  make_root "$tree" "$raw" "$((esp_mib + 1))" "$root_mib" "$fs"
}
