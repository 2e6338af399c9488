# shellcheck shell=bash disable=SC2034 # what it sets is for the script that sources it
# How images are built. Sourced by hack/images/build after lib/common.sh and lib/python.sh.

IMAGES="$CACHE/images"
LAYOUT="$IMAGES/layout" # OCI layout with all finished images, one tag each
DEBIAN=bookworm
# What images need from Debian is in the base already: base layers are shared by all images, and builds need neither apt
# nor a network.
# libstdc++6 is for Node, whose base stands on this one.
DEBIAN_PACKAGES=ca-certificates,libstdc++6,python3
DEBIAN_PYTHON=3.11
REGISTRY_BASE_PYTHON="docker.io/library/python:3.12-slim-bookworm"
REGISTRY_BASE_NODE="docker.io/library/node:22-bookworm-slim"

# One build at a time: storage, layout and contexts are shared. Runs this script again below the lock.
lock_images() {
  mkdir -p "$IMAGES"
  [ "${GALLERY_OPERATOR_IMAGES_LOCKED:-}" = "$IMAGES" ] && return 0
  export GALLERY_OPERATOR_IMAGES_LOCKED="$IMAGES"
  exec flock "$IMAGES/.lock" "$REPO_ROOT/hack/images/build" "$@"
}

# Sets ENGINE and PYTHON.
find_engine() {
  INPUTS=
  find_python
  if docker_answers; then
    ENGINE=docker
  elif ! have buildah || ! have mmdebstrap; then
    die "no Docker engine answers, and buildah or mmdebstrap is missing: start Docker, or run 'hack/setup system'"
  elif can_be_root; then
    ENGINE=buildah
  else
    die "no Docker engine answers, and building images without it needs root or sudo without a password"
  fi
  CONTEXTS=$(mktemp -d "$IMAGES/contexts.XXXXXX")
  trap 'rm -rf "$CONTEXTS"' EXIT
}

new_context() { mktemp -d "$CONTEXTS/XXXXXX"; }

# A package's source files with the times they have, without what Python leaves beside them.
copy_python() { (cd "$(dirname "$1")" && tar -c --exclude=__pycache__ "$(basename "$1")") | tar -x -C "$2"; }

# Many files into a build context at no cost: the cache and the contexts are on one file system.
link_tree() { cp -al "$1" "$2"; }

buildah_() {
  as_root buildah --root "$CACHE/containers/storage" --runroot "$CACHE/containers/run" "$@"
}

# Puts the wheels a requirements file of a context names into the context; with Docker pip gets them itself.
add_wheels() {
  local context=$1 requirements="$1/$2" folder pip platforms=() minor
  [ "$ENGINE" = buildah ] || return 0
  folder="$IMAGES/wheels-$(cat "$requirements" "$REPO_ROOT/hack/tools/python/pip.txt" | sha256sum | cut -c1-16)"
  if [ ! -d "$folder" ]; then
    log "fetching Python packages..."
    pip=$(pip_command)
    rm -rf "$folder.part"
    # Wheels for the image's Python and C library (glibc 2.36), whatever this machine has.
    for minor in $(seq 36 -1 17); do platforms+=(--platform "manylinux_2_${minor}_$(uname -m)"); done
    for minor in manylinux2014 manylinux2010 manylinux1 linux; do platforms+=(--platform "${minor}_$(uname -m)"); done
    "$pip" download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
      --python-version "$DEBIAN_PYTHON" --implementation cp --abi "cp${DEBIAN_PYTHON/./}" --abi abi3 --abi none \
      "${platforms[@]}" --dest "$folder.part" --requirement "$requirements" \
      --requirement "$REPO_ROOT/hack/tools/python/pip.txt" >&2 || die "could not fetch Python packages; pip's message is above"
    mv "$folder.part" "$folder"
  fi
  link_tree "$folder" "$context/wheels"
}

# Prints a folder with what a package-lock.json names, installed.
node_modules() {
  local source=$1 folder npm
  folder="$IMAGES/npm-$(cat "$source/package.json" "$source/package-lock.json" | sha256sum | cut -c1-16)"
  if [ ! -d "$folder" ]; then
    log "fetching npm packages..."
    npm=$("$REPO_ROOT/hack/tools/path" npm)
    rm -rf "$folder.part"
    mkdir "$folder.part"
    cp "$source/package.json" "$source/package-lock.json" "$folder.part/"
    (cd "$folder.part" && "$npm" ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error >&2) \
      || die "could not fetch npm packages; npm's message is above"
    # More than half of all files: sources and declarations of what is there compiled, maps, manuals.
    find "$folder.part/node_modules" -type f ! -iname 'licen[cs]e*' \
      \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.md' \) -delete
    mv "$folder.part" "$folder"
  fi
  printf '%s\n' "$folder/node_modules"
}

# Makes sure that a base image is there and sets BASE to its name.
base() {
  if [ "$ENGINE" = docker ]; then
    BASE=$REGISTRY_BASE_PYTHON
    [ "$1" = python ] || BASE=$REGISTRY_BASE_NODE
    return 0
  fi
  case $1 in
    python) BASE=localhost/base-python:12 ;;
    node) BASE=localhost/base-node:22 ;;
  esac
  if [ "$(base_label "$BASE")" != "$(base_recipe "$1")" ]; then "make_base_$1"; fi
}

# Identifies how a base is made, so that another recipe makes another one.
base_recipe() {
  (
    cat "$REPO_ROOT/hack/images/debian-base"
    printf '%s ' "$DEBIAN" "$DEBIAN_PACKAGES"
    [ "$1" = python ] || cat "$REPO_ROOT/hack/tools/python/node.txt"
  ) | sha256sum | cut -c1-16
}

base_label() {
  buildah_ inspect --type image --format '{{index .OCIv1.Config.Labels "dev.gallery-operator.recipe"}}' "$1" 2>/dev/null || true
}

make_base_python() {
  local context
  log "making the base image from Debian packages..."
  context=$(new_context)
  as_root "$REPO_ROOT/hack/images/debian-base" "$DEBIAN" "$DEBIAN_PACKAGES" "$context/base.tar"
  printf 'FROM scratch\nADD base.tar /\nENV LANG=C.UTF-8\nLABEL dev.gallery-operator.recipe=%s\n' \
    "$(base_recipe python)" >"$context/Containerfile"
  buildah_ bud --quiet --isolation chroot --file "$context/Containerfile" --tag localhost/base-python:12 "$context" >/dev/null
}

make_base_node() {
  local context
  base python
  log "making the base image with Node..."
  context=$(new_context)
  cp "$(readlink -f "$("$REPO_ROOT/hack/tools/path" node)")" "$context/node"
  printf 'FROM %s\nCOPY node /usr/local/bin/node\nLABEL dev.gallery-operator.recipe=%s\n' \
    "$BASE" "$(base_recipe node)" >"$context/Containerfile"
  buildah_ bud --quiet --isolation chroot --file "$context/Containerfile" --tag localhost/base-node:22 "$context" >/dev/null
  BASE=localhost/base-node:22
}

# Identifies everything an image is made from. Wheels and npm packages are what the lock files in the context say.
inputs_of() {
  (
    cd "$1" || exit
    find . \( -path ./wheels -o -path ./node_modules \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
    base_recipe python
    base_recipe "$2"
    cat "$REPO_ROOT/hack/images/lib.sh"
  ) | sha256sum | cut -c1-16
}

# True where the layout has the image that NAME's context (still without packages) would give.
unchanged() {
  [ "$ENGINE" = buildah ] || return 1
  INPUTS=$(inputs_of "$2" "$3")
  [ -f "$LAYOUT/.$1.inputs" ] && [ "$(cat "$LAYOUT/.$1.inputs")" = "$INPUTS" ]
}

# Builds localhost/NAME:dev from a context and leaves it in the layout. To be called after `unchanged`.
build_image() {
  local name=$1 context=$2
  base "$3"
  if [ "$ENGINE" = docker ]; then
    docker build --quiet --build-arg "BASE=$BASE" --file "$context/Containerfile" --tag "localhost/$name:dev" "$context" >/dev/null
    return 0
  fi
  build_runtime "$name" "$context"
  buildah_ bud --quiet --layers --isolation chroot --pull-never --build-arg "BASE=$BASE" \
    --file "$context/Containerfile" --tag "localhost/$name:dev" "$context" >/dev/null \
    || die "could not build $name; buildah's message is above"
  export_image "$name"
}

# A Containerfile may have a stage named `runtime` with all but the code. It is built as an image of its own, and
# only if something it is made from has changed: buildah reads every file of a stage again just to find it cached.
build_runtime() {
  local name=$1 context=$2 runtime
  grep -q '^FROM runtime$' "$context/Containerfile" || return 0
  runtime="localhost/$name-runtime:$(
    (
      buildah_ inspect --type image --format '{{.FromImageID}}' "$BASE"
      sed '/^FROM runtime$/,$d' "$context/Containerfile"
      cd "$context" || exit
      find . -path './wheels/*' -o -maxdepth 1 -name requirements.txt -type f -print | sort
      cat requirements.txt
      find . -name install-dependencies -exec cat {} +
    ) | sha256sum | cut -c1-16
  )"
  if [ -z "$(buildah_ images --quiet "$runtime" 2>/dev/null)" ]; then
    buildah_ bud --quiet --isolation chroot --pull-never --build-arg "BASE=$BASE" --target runtime \
      --file "$context/Containerfile" --tag "$runtime" "$context" >/dev/null \
      || die "could not build the runtime of $name; buildah's message is above"
    remove_replaced "$runtime"
  fi
  sed -i -e "/^FROM runtime\$/,\$!d" -e "s|^FROM runtime\$|FROM $runtime|" "$context/Containerfile"
}

# Frees what a new runtime has replaced: the older ones of the same image, and layers without a name.
remove_replaced() {
  local current=$1 older
  buildah_ images --format '{{.Name}}:{{.Tag}}' | while read -r older; do
    if [ "${older%:*}" = "${current%:*}" ] && [ "$older" != "$current" ]; then
      # One that a finished image still stands on stays until that image is replaced too.
      buildah_ rmi "$older" >/dev/null 2>&1 || true
    fi
  done
  buildah_ rmi --prune >/dev/null 2>&1 || true
}

# Leaves an image in the layout, unless it is there.
export_image() {
  local name=$1 id
  id=$(buildah_ inspect --type image --format '{{.FromImageID}}' "localhost/$name:dev")
  if [ -f "$LAYOUT/.$name.id" ] && [ "$(cat "$LAYOUT/.$name.id")" = "$id" ]; then
    note "$name.inputs" "$INPUTS"
    return 0
  fi
  buildah_ push --quiet "localhost/$name:dev" "oci:$LAYOUT:$name" >/dev/null || die "could not export $name"
  (cd "$REPO_ROOT" && as_root "$PYTHON" -m hack.localcluster.archive prune "$LAYOUT")
  as_root chmod -R a+rX "$LAYOUT"
  note "$name.id" "$id"
  note "$name.inputs" "$INPUTS"
}

# Writes down something about an image beside it; last of all, so that an interrupted build is done again.
note() { printf '%s\n' "$2" | as_root tee "$LAYOUT/.$1" >/dev/null; }
