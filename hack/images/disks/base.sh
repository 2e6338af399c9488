# shellcheck shell=bash
# base_tree DIR: Debian 12 with the packages of packages.txt, from Debian's public archive with the machine's
# own apt settings (proxy included). Documentation, translations and manuals are left out.

base_tree() {
  local tree=$1 packages option
  packages=$(grep -v '^#' "$DISKS/packages.txt" | paste -sd,)
  local -a options=()
  # Proxies that apt uses on this machine, but nothing else of its configuration.
  while read -r option; do options+=("--aptopt=$option"); done < <(
    apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https)::[Pp]roxy' || true
  )
  local -a mirror=()
  [ -z "${GALLERY_OPERATOR_DEBIAN_MIRROR:-}" ] || mirror=("$GALLERY_OPERATOR_DEBIAN_MIRROR")
  # In a mount namespace of its own: what mmdebstrap mounts is gone with it, however it ends.
  unshare --mount mmdebstrap --quiet --mode=root --variant=minbase --architectures=amd64 \
    --aptopt='Apt::Install-Recommends "false"' \
    "${options[@]}" \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    --include="$packages" \
    bookworm "$tree" "${mirror[@]}" >&2
  # What the machine that builds needed is no business of the image.
  rm -f "$tree/etc/apt/apt.conf.d/99mmdebstrap"
  rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*.bin
  if [ -n "${GALLERY_OPERATOR_DEBIAN_MIRROR:-}" ]; then
    rm -f "$tree/etc/apt/sources.list"
  fi
}
