#!/usr/bin/env bash
# Programs that tests and lint need beside the toolchain, built once into the cache from their published sources.
#   tools.sh nextest deny helm postgres control-plane fuzz browser  builds or installs what is missing of these
#   tools.sh --path cargo-nextest                     prints where a program is
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"

nextest_version=0.9.151
deny_version=0.20.2
cargo_tools=$cache/cargo-tools
fuzz_dir=$repo/e2e/fuzz

path_of() {
  case $1 in
    cargo-nextest) printf '%s' "$cargo_tools/nextest-$nextest_version/bin/cargo-nextest" ;;
    cargo-deny) printf '%s' "$cargo_tools/deny-$deny_version/bin/cargo-deny" ;;
    schemathesis) printf '%s' "$cache/fuzz/$(hash_of "$fuzz_dir/requirements.txt")/bin/schemathesis" ;;
    helm | kubectl) tool "$1" ;;
    *) die "unknown program: $1" ;;
  esac
}

install_crate() {
  local name=$1 version=$2 root=$cargo_tools/$3-$2
  shift 3
  [ ! -x "$root/bin/$name" ] || return 0
  log "building $name $version (once; minutes on a small machine)"
  # Built aside and moved into place, so an interrupted build leaves no half program.
  rm -rf "$root.part"
  # Unoptimised: they are waited for longer than they work.
  CARGO_PROFILE_DEV_DEBUG=false cargo install --debug --quiet --locked --version "$version" --root "$root.part" \
    --target-dir "$root.build" "$@" "$name"
  mv "$root.part" "$root"
  rm -rf "$root.build"
}

# Schemathesis in a folder of its own, which is that of its versions.
install_fuzz() {
  local program folder
  program=$(path_of schemathesis)
  [ ! -x "$program" ] || return 0
  log "installing Schemathesis (once)"
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
  folder=$(dirname "$(dirname "$program")")
  # Its scripts name the folder, so it is made where it stays; the program is the last to appear.
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$fuzz_dir/requirements.txt" >&2
}

# Debian's Postgres, for the servers that tests start; none of the system's own is made or started.
install_postgres() {
  local programs
  for programs in "${EASYCODE_POSTGRES_BIN:-}" /usr/lib/postgresql/{15,16,17,18,19}/bin; do
    [ ! -x "$programs/initdb" ] || return 0
  done
  [ -z "${EASYCODE_POSTGRES_BIN:-}" ] || die "EASYCODE_POSTGRES_BIN=$EASYCODE_POSTGRES_BIN holds no initdb"
  log "installing Postgres (once)"
  install_packages postgresql-common
  sed -i 's/^#\? *create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  install_packages postgresql
}

# Debian's Chromium, and Playwright beside its specs, since Node.js looks for it there.
install_browser() {
  local folder=$repo/e2e/browser
  [ -x "${EASYCODE_CHROMIUM:-/usr/bin/chromium}" ] || install_packages chromium
  [ "$(node -p 'process.versions.node.split(".")[0] >= 20' 2>/dev/null)" = true ] || install_packages nodejs npm
  [ "$(node -p 'process.versions.node.split(".")[0] >= 20')" = true ] || die "Node.js 20 or later is needed; this is $(node --version)"
  cmp --silent "$folder/package-lock.json" "$folder/node_modules/.of" && return
  log "installing Playwright (once)"
  PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm --prefix "$folder" ci --silent --cache "$cache/npm" >&2
  cp "$folder/package-lock.json" "$folder/node_modules/.of"
}

# A control plane without nodes, and the Postgres of its platforms.
install_control_plane() {
  local name
  for name in etcd kube-apiserver kube-controller-manager helm; do
    [ -x "$(tool "$name")" ] || "$cluster_dir/build-tools.sh" only "$name"
  done
  install_postgres
}

if [ "${1:-}" = --path ]; then
  path_of "$2"
  exit
fi
mkdir -p "$cargo_tools"
for name in "$@"; do
  # Whoever asks for the same at the same time waits, and then finds it there.
  exec 8>"$cargo_tools/.$name.lock"
  flock 8
  case $name in
    # Without what updates it by itself, and without probes: libraries that take a minute to build.
    nextest) install_crate cargo-nextest "$nextest_version" nextest --no-default-features ;;
    deny) install_crate cargo-deny "$deny_version" deny ;;
    helm) [ -x "$(tool helm)" ] || "$cluster_dir/build-tools.sh" only helm ;;
    postgres) install_postgres ;;
    control-plane) install_control_plane ;;
    fuzz) install_fuzz ;;
    browser) install_browser ;;
    *) die "unknown: $name (nextest, deny, helm, postgres, control-plane, fuzz or browser)" ;;
  esac
done
