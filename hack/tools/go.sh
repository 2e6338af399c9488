# shellcheck shell=bash disable=SC2034 # what it sets is for the script that sources it
# Finds a Go toolchain new enough for hack/tools, or gets one. Sourced after lib/common.sh and tools/lib.sh.

# The toolchain fetched where the machine's own Go is too old.
GO_BOOTSTRAP_VERSION=1.25.4

# True where version $1 is at least version $2.
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# The highest `go` line among the modules in hack/tools.
go_needed() { awk '$1 == "go" { print $2 }' "$TOOLS_DIR"/*/go.mod | sort -V | tail -n 1; }

go_version_of() { GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed -n 's/^go\([0-9.]*\).*/\1/p'; }

# Sets GO to a usable go command, or ends with a sentence that says what to install.
find_go() {
  local needed found candidate
  needed=$(go_needed)
  for candidate in "$(command -v go || true)" /usr/local/go/bin/go "$CACHE/go/$GO_BOOTSTRAP_VERSION/bin/go"; do
    [ -x "$candidate" ] || continue
    found=$(go_version_of "$candidate")
    if [ -n "$found" ] && version_at_least "$found" "$needed"; then
      GO=$candidate
      export GOTOOLCHAIN=local
      return 0
    fi
  done
  candidate=$(command -v go || true)
  [ -n "$candidate" ] || die "no Go compiler here, and Go >= $needed is needed to build the cluster's components.
Install it: 'hack/setup system' does so on Debian and Ubuntu (any Go >= 1.19 is enough: a newer one is fetched by it)."
  bootstrap_go "$candidate"
}

# Fetches a Go toolchain as the Go module it is published as, with any old go command; its content is checked
# against Go's checksum database. Go before 1.21 cannot switch toolchains by itself, and leaves files of a
# module without their executable bit, hence the copy.
bootstrap_go() {
  local old=$1 arch source target="$CACHE/go/$GO_BOOTSTRAP_VERSION" module
  arch=$(GOTOOLCHAIN=local "$old" env GOARCH)
  module="golang.org/toolchain@v0.0.1-go$GO_BOOTSTRAP_VERSION.linux-$arch"
  mkdir -p "$CACHE/go"
  (
    flock 9
    [ -x "$target/bin/go" ] && exit 0
    log "the machine's Go is too old; fetching Go $GO_BOOTSTRAP_VERSION..."
    source=$(cd "$CACHE/go" && GOTOOLCHAIN=local GOFLAGS='' "$old" mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
    [ -d "$source" ] || die "could not fetch $module with $old; is the Go module proxy reachable?"
    rm -rf "$target.part"
    cp -r "$source" "$target.part"
    chmod -R u+w "$target.part"
    find "$target.part/bin" "$target.part/pkg/tool" -type f -exec chmod +x {} +
    mv "$target.part" "$target"
  ) 9>"$CACHE/go/.lock"
  GO="$target/bin/go"
  unset GOROOT # the old one's, if the machine sets it
  export GOTOOLCHAIN=local
}
