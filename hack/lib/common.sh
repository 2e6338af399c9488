# shellcheck shell=bash disable=SC2034 # what it sets is for the script that sources it
# Shared by the shell scripts under hack/: where things are, how they speak, how they lock.
# To be sourced; the sourcing script has set -euo pipefail.

REPO_ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="${GALLERY_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gallery-operator}"

# All speech goes to standard error: standard output belongs to results (paths, tables).
log() { printf '%s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Seconds since an earlier value of $EPOCHREALTIME, with one decimal place.
elapsed() {
  local now=$EPOCHREALTIME
  # Microseconds as integers: bash has no floating point. The decimal sign depends on the locale.
  local us=$((${now//[!0-9]/} - ${1//[!0-9]/}))
  printf '%d.%d s' $((us / 1000000)) $((us % 1000000 / 100000))
}

have() { command -v "$1" >/dev/null 2>&1; }

# True where a Docker engine answers; a docker command alone proves nothing.
docker_answers() { have docker && timeout 10 docker info >/dev/null 2>&1; }

# Runs a command as root: directly, or with sudo where it needs no password.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif have sudo && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 77
  fi
}

can_be_root() { [ "$(id -u)" -eq 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }
