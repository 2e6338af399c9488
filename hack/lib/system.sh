# shellcheck shell=bash
# Which Debian packages the project needs on this machine. Sourced after lib/common.sh.

# Program | Debian package that has it. What is asked for is the program: it may come from elsewhere.
PROGRAMS=(
  # Everywhere.
  "openssl|openssl"
  "flock|util-linux"
  # Disk images for the demo and the tests.
  "qemu-img|qemu-utils"
  "mkfs.ext4|e2fsprogs"
  "mkfs.vfat|dosfstools"
  "mcopy|mtools"
  "sfdisk|fdisk"
  "xz|xz-utils"
  "zstd|zstd"
  "mmdebstrap|mmdebstrap"
)

# Needed only where no Docker engine answers: the node, and building images.
PROGRAMS_WITHOUT_DOCKER=(
  "containerd|containerd"
  "runc|runc"
  "nft|nftables"
  "iptables|iptables"
  "conntrack|conntrack"
  "ip|iproute2"
  "mount|mount"
  "buildah|buildah"
)

# Needed only by tests: disks of every kind, and witnesses of what is read from them.
PROGRAMS_OF_TESTS=(
  "grub-fstest|grub-common"
  "mkfs.xfs|xfsprogs"
  "mkfs.btrfs|btrfs-progs"
  "lvm|lvm2"
  "cryptsetup|cryptsetup-bin"
  "mkfs.f2fs|f2fs-tools"
  "mksquashfs|squashfs-tools"
  "mkfs.ntfs|ntfs-3g"
  "mkfs.erofs|erofs-utils"
  "gpg|gnupg"
  "shellcheck|shellcheck"
)

cni_plugins_present() { [ -x /usr/lib/cni/ptp ] || [ -x /opt/cni/bin/ptp ] || [ -x /usr/libexec/cni/ptp ]; }

# missing_packages [tests]: prints the packages to install, one a line; with "tests" also those that only tests need.
missing_packages() {
  local row program rows=("${PROGRAMS[@]}") found=()
  if [ "${1:-}" = tests ]; then
    rows+=("${PROGRAMS_OF_TESTS[@]}")
    [ -e /usr/lib/grub/i386-pc/boot.img ] || found+=(grub-pc-bin)
  fi
  # Administrators' programs are not on everybody's search path.
  local PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
  docker_answers || rows+=("${PROGRAMS_WITHOUT_DOCKER[@]}")
  for row in "${rows[@]}"; do
    program=${row%%|*}
    have "$program" || found+=("${row#*|}")
  done
  if ! docker_answers && ! cni_plugins_present; then found+=(containernetworking-plugins); fi
  # Any Go can fetch a newer one.
  if ! have go && [ ! -x /usr/local/go/bin/go ]; then found+=(golang-go); fi
  (find_python) 2>/dev/null || found+=(python3)
  if (find_python && "$PYTHON" -c 'import ensurepip') 2>/dev/null; then :; else found+=(python3-venv); fi
  # Keys of Debian's archive, on its relatives.
  [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || found+=(debian-archive-keyring)
  [ ${#found[@]} -eq 0 ] || printf '%s\n' "${found[@]}" | sort -u
}
