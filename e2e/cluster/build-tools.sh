#!/usr/bin/env bash
# Builds the programs of the cluster from their published modules, once, into the cache.
#   build-tools.sh           what the local cluster needs
#   build-tools.sh kind      what a kind cluster needs
#   build-tools.sh existing  what is needed to work on any cluster
#   build-tools.sh only helm one program alone
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

# program, its package
programs() {
  case $1 in
    only) programs local | grep "^$2 " || die "unknown program: $2" ;;
    existing) programs kind | grep -v '^kind ' ;;
    kind) printf '%s\n' \
      "kind sigs.k8s.io/kind" \
      "kubectl k8s.io/kubernetes/cmd/kubectl" \
      "helm helm.sh/helm/v4/cmd/helm" ;;
    local) printf '%s\n' \
      "etcd go.etcd.io/etcd/server/v3" \
      "kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver" \
      "kubectl k8s.io/kubernetes/cmd/kubectl" \
      "kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager" \
      "kube-scheduler k8s.io/kubernetes/cmd/kube-scheduler" \
      "kubelet k8s.io/kubernetes/cmd/kubelet" \
      "kube-proxy k8s.io/kubernetes/cmd/kube-proxy" \
      "kube-router github.com/cloudnativelabs/kube-router/v2/cmd/kube-router" \
      "coredns easycode.io/e2e/tools/kubernetes/coredns" \
      "local-path-provisioner github.com/rancher/local-path-provisioner" \
      "helm helm.sh/helm/v4/cmd/helm" ;;
    *) die "unknown set of programs: $1" ;;
  esac
}

# Go has no version control to take Kubernetes' version from in a module, and kubelet and API server compare theirs; Helm takes charts
# that it only renders for a cluster of it.
kubernetes_ldflags() {
  local version
  version=$(sed -n 's/.*k8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$cluster_dir/tools/kubernetes/go.mod" | head -1)
  local minor=${version#v1.}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- '-X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s ' \
      "$package" "$version" "$package" "$package" "${minor%%.*}"
  done
  printf -- '-X %s.k8sVersionMajor=1 -X %s.k8sVersionMinor=%s ' \
    helm.sh/helm/v4/pkg/chart/common helm.sh/helm/v4/pkg/chart/common "${minor%%.*}"
}

build() {
  local name=$1 package=$2 module folder flags="-s -w" unfinished
  module=$(module_of "$name")
  folder=$(tools_dir "$module")
  [ "$module" = kubernetes ] && flags+=" $(kubernetes_ldflags)"
  mkdir -p "$folder"
  unfinished=$(mktemp -d "$folder/.building.XXXXXX")
  # Niced, since whoever waits for it goes on working; moved into place, so an interrupted build leaves no half program.
  (cd "$cluster_dir/tools/$module" &&
    CGO_ENABLED=0 nice -n 15 go build -mod=readonly -trimpath -ldflags "$flags" -o "$unfinished/$name" "$package") ||
    { rm -rf "$unfinished"; die "building $name failed"; }
  mv "$unfinished/$name" "$folder/$name"
  rmdir "$unfinished"
}

command -v go >/dev/null || die "Go is needed to build the cluster's programs"
mkdir -p "$cache/tools"
# Two checkouts, or two people, may ask at the same time: the second waits and then finds everything there.
exec 9>"$cache/tools/.lock"
flock 9

# Of a build that was killed.
rm -rf "$cache"/tools/*/.building.*

list=$(programs "${1:-local}" "${2:-}")
mapfile -t wanted <<<"$list"
missing=()
for line in "${wanted[@]}"; do
  [ -x "$(tool "${line%% *}")" ] || missing+=("$line")
done
begin_steps ${#missing[@]}
for line in "${missing[@]}"; do
  read -r name package <<<"$line"
  step "building $name (once; minutes on a small machine)"
  build "$name" "$package"
done
log "programs: $cache/tools"
