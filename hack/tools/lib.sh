# shellcheck shell=bash disable=SC2034 # what it sets is for the script that sources it
# What the tools are, where each is built from and where it ends up. Sourced by `build` and `path`.

TOOLS_DIR="$REPO_ROOT/hack/tools"

# name | folder with the go.mod that pins it | main package
# The order is the order of a full build: what a control plane alone needs comes first.
TOOLS=(
  "etcd|kubernetes|go.etcd.io/etcd/server/v3"
  "kube-apiserver|kubernetes|k8s.io/kubernetes/cmd/kube-apiserver"
  "kubectl|kubernetes|k8s.io/kubernetes/cmd/kubectl"
  "kube-controller-manager|kubernetes|k8s.io/kubernetes/cmd/kube-controller-manager"
  "kube-scheduler|kubernetes|k8s.io/kubernetes/cmd/kube-scheduler"
  "kubelet|kubernetes|k8s.io/kubernetes/cmd/kubelet"
  "kube-proxy|kubernetes|k8s.io/kubernetes/cmd/kube-proxy"
  "helm|kubernetes|helm.sh/helm/v3/cmd/helm"
  "coredns|coredns|github.com/coredns/coredns"
  "local-path-provisioner|local-path-provisioner|github.com/rancher/local-path-provisioner"
  "kind|kind|sigs.k8s.io/kind"
  "pause|helpers|./pause"
  "volume-helper|helpers|./volume-helper"
  "page-blob-sink|page-blob-sink|."
  "registry|registry|."
  "s3-server|s3-server|."
  "helm-docs|helm-docs|github.com/norwoodj/helm-docs/cmd/helm-docs"
)

tool_names() {
  local row
  for row in "${TOOLS[@]}"; do printf '%s\n' "${row%%|*}"; done
}

# Sets TOOL_MODULE (folder name) and TOOL_PACKAGE for a tool's name.
tool_lookup() {
  local row name
  for row in "${TOOLS[@]}"; do
    IFS='|' read -r name TOOL_MODULE TOOL_PACKAGE <<<"$row"
    [ "$name" = "$1" ] && return 0
  done
  die "no tool named '$1'; known: $(tool_names | tr '\n' ' ')"
}

# Version of a Go module as pinned in hack/tools/<folder>/go.mod.
pinned() { awk -v module="$2" '$1 == "tool" || $1 == "replace" { next } $1 == module && $2 ~ /^v/ { print $2; exit }
  $1 == "require" && $2 == module { print $3; exit }' "$TOOLS_DIR/$1/go.mod"; }

# Linker flags of a module folder: binaries that report the version they were pinned at.
tool_ldflags() {
  local version package
  printf '%s' '-s -w'
  case $1 in
    kubernetes)
      version=$(pinned kubernetes k8s.io/kubernetes)
      for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        printf ' -X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s -X %s.gitTreeState=clean' \
          "$package" "$version" "$package" "$package" "$(cut -d. -f2 <<<"$version")" "$package"
      done
      printf ' -X helm.sh/helm/v3/internal/version.version=%s' "$(pinned kubernetes helm.sh/helm/v3)"
      ;;
    helm-docs) printf ' -X main.version=%s' "$(pinned helm-docs github.com/norwoodj/helm-docs)" ;;
    local-path-provisioner)
      printf ' -X main.VERSION=%s' "$(pinned local-path-provisioner github.com/rancher/local-path-provisioner)"
      ;;
  esac
}

# Where a module folder's binaries go: named after everything that decides what they contain except the
# Go toolchain's own version, so that asking for a path needs no Go.
tool_dir() {
  local digest
  digest=$( (
    cat "$TOOLS_DIR/$1/go.mod" "$TOOLS_DIR/$1/go.sum"
    find "$TOOLS_DIR/$1" -name '*.go' -print0 | sort -z | xargs -0 -r cat
    tool_ldflags "$1"
  ) | sha256sum | cut -c1-16)
  printf '%s/bin/%s-%s' "$CACHE" "$1" "$digest"
}
