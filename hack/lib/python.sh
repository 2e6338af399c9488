# shellcheck shell=bash disable=SC2034 # what it sets is for the script that sources it
# A Python that is new enough, and a pip of its own. Sourced after lib/common.sh.

# Sets PYTHON to a Python >= 3.11, or ends with a sentence that says what to install.
find_python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if have "$candidate" && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      PYTHON=$(command -v "$candidate")
      return 0
    fi
  done
  die "no Python >= 3.11 here. Install it: on Debian 12 and later 'hack/setup system' does so."
}

# Prints the path of a pip that belongs to the cache: a virtual environment made by another tool may have none.
pip_command() {
  local folder
  find_python
  folder="$CACHE/pip/$("$PYTHON" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')"
  mkdir -p "$CACHE/pip"
  (
    flock 9
    if [ ! -x "$folder/bin/pip" ]; then
      rm -rf "$folder"
      "$PYTHON" -m venv "$folder" >&2 || die "'$PYTHON -m venv' failed; on Debian it needs the package python3-venv"
    fi
  ) 9>"$CACHE/pip/.lock"
  printf '%s\n' "$folder/bin/pip"
}
