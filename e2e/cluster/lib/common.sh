# shellcheck shell=bash
# Paths, progress and the lookup of built programs. Sourced by every script here.

# A failure within $(…) is a failure.
shopt -s inherit_errexit

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
cluster_dir=$repo/e2e/cluster
# Programs take minutes to build, so they outlive the checkout and are shared between checkouts.
cache=${EASYCODE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/easycode}
# The cluster's own state: safe to delete once the cluster is down, never part of the checkout.
# The scripts run as root (namespaces, mounts), hence a folder of the system.
state=${EASYCODE_STATE:-/var/lib/easycode-local}
kind_cluster=easycode
# Name of the Postgres image in clusters of this project, and of the image it is elsewhere.
postgres_image=localhost/easycode/postgres:15
official_postgres=postgres:15

log() { printf '%s\n' "$*" >&2; }
die() { log "error: $*"; exit 1; }

# Which cluster to work on: existing, kind or local. An existing one only by EASYCODE_CLUSTER=existing: most shells have
# some KUBECONFIG, and the tests delete definitions.
cluster_kind() {
  if [ -n "${EASYCODE_CLUSTER:-}" ]; then
    printf '%s' "$EASYCODE_CLUSTER"
  # The engine must answer: a client alone is no Docker.
  elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    printf kind
  else
    printf local
  fi
}

case ${EASYCODE_CLUSTER:-} in
  existing)
    kubeconfig=${KUBECONFIG:-}
    [ -f "$kubeconfig" ] || die "EASYCODE_CLUSTER=existing needs KUBECONFIG, a single file; it is: ${kubeconfig:-not set}"
    ;;
  "" | kind | local)
    kubeconfig=$repo/target/cluster/kubeconfig
    if [ -n "${KUBECONFIG:-}" ] && [ "$(realpath -m "$KUBECONFIG")" != "$(realpath -m "$kubeconfig")" ]; then
      log "KUBECONFIG=$KUBECONFIG is not used; EASYCODE_CLUSTER=existing would use it"
      # Said once, not by each script that is called from here.
      export KUBECONFIG=$kubeconfig
    fi
    ;;
  *) die "EASYCODE_CLUSTER is existing, kind or local, not $EASYCODE_CLUSTER" ;;
esac

# Progress: `begin_steps 5`, then `step "what"` for each: "[2/5  3s] what".
steps_total=0 steps_done=0
begin_steps() { steps_total=$1 steps_done=0 steps_started=$SECONDS; }
step() {
  steps_done=$((steps_done + 1))
  log "[$steps_done/$steps_total $((SECONDS - steps_started))s] $*"
}

# A content hash of files and folders: names and bodies, nothing that differs between two checkouts.
hash_of() {
  find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sed "s#$repo/##" |
    sha256sum | cut -c1-16
}

# The module (a folder of tools/) that a program is built in.
module_of() {
  case $1 in
    kind) printf kind ;;
    kube-router) printf network ;;
    *) printf kubernetes ;;
  esac
}

# The folder of a module's built programs is keyed by what they're built from, so a changed version never meets old programs, and a module
# that changes leaves the programs of the others as they are.
declare -A tools_dirs=()
tools_dir() {
  local module=$1
  [ -n "${tools_dirs[$module]:-}" ] ||
    tools_dirs[$module]=$cache/tools/$module-$(hash_of "$cluster_dir/tools/$module")-$(uname -m)
  printf '%s' "${tools_dirs[$module]}"
}

# Path of a built program. KUBEBUILDER_ASSETS wins, as with other Kubernetes test suites.
tool() {
  local name=$1
  if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; then
    printf '%s' "$KUBEBUILDER_ASSETS/$name"
  else
    printf '%s/%s' "$(tools_dir "$(module_of "$name")")" "$name"
  fi
}

# kubectl against the cluster of this checkout.
kube() { "$(tool kubectl)" --kubeconfig "$kubeconfig" "$@"; }

# Retries a command until it succeeds: `wait_for 60 "API server" kube get --raw /readyz`.
wait_for() {
  local seconds=$1 what=$2 deadline=$((SECONDS + $1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || die "$what: not ready after $seconds s"
    sleep 0.3
  done
}

# Installs what is missing of the distribution's packages.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "please install ${missing[*]}"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
