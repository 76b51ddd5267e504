#!/usr/bin/env bash
# Ends the cluster that `make cluster` has made, and removes what is left of the tests' Postgres servers. An existing cluster is left alone.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

"$repo/e2e/postgres/remove.sh"

case $(cluster_kind) in
  existing) log "the cluster of KUBECONFIG=$kubeconfig is not this project's; left as it is" ;;
  kind) "$cluster_dir/kind-down.sh" ;;
  local) "$cluster_dir/local-down.sh" ;;
esac
