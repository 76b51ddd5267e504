#!/usr/bin/env bash
# Ends the cluster that `make cluster` has made. An existing one is left alone.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

case $(cluster_kind) in
  existing) log "the cluster of KUBECONFIG=$kubeconfig is not this project's; left as it is" ;;
  kind) "$cluster_dir/kind-down.sh" ;;
  local) "$cluster_dir/local-down.sh" ;;
esac
