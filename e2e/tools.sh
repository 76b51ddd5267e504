#!/usr/bin/env bash
# Programs that tests and lint need beside the toolchain, built once into the cache from their published sources.
#   tools.sh nextest deny helm     builds what is missing of these
#   tools.sh --path cargo-nextest  prints where a program is
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"

nextest_version=0.9.151
deny_version=0.20.2
cargo_tools=$cache/cargo-tools

path_of() {
  case $1 in
    cargo-nextest) printf '%s' "$cargo_tools/nextest-$nextest_version/bin/cargo-nextest" ;;
    cargo-deny) printf '%s' "$cargo_tools/deny-$deny_version/bin/cargo-deny" ;;
    helm | kubectl) tool "$1" ;;
    *) die "unknown program: $1" ;;
  esac
}

install_crate() {
  local name=$1 version=$2 root=$cargo_tools/$3-$2
  [ ! -x "$root/bin/$name" ] || return 0
  log "building $name $version (once; minutes on a small machine)"
  # Built aside and moved into place, so an interrupted build leaves no half program.
  rm -rf "$root.part"
  # Unoptimised: they are waited for longer than they work.
  CARGO_PROFILE_DEV_DEBUG=false cargo install --debug --quiet --locked --version "$version" --root "$root.part" --target-dir "$cargo_tools/build" "$name"
  mv "$root.part" "$root"
  rm -rf "$cargo_tools/build"
}

if [ "${1:-}" = --path ]; then
  path_of "$2"
  exit
fi
mkdir -p "$cargo_tools"
exec 8>"$cargo_tools/.lock"
flock 8
for name in "$@"; do
  case $name in
    nextest) install_crate cargo-nextest "$nextest_version" nextest ;;
    deny) install_crate cargo-deny "$deny_version" deny ;;
    helm) [ -x "$(tool helm)" ] || "$cluster_dir/build-tools.sh" only helm ;;
    *) die "unknown: $name (nextest, deny or helm)" ;;
  esac
done
