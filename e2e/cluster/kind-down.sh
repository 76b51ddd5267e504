#!/usr/bin/env bash
# Deletes the cluster of kind.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

[ -x "$(tool kind)" ] || { log "no kind cluster"; exit 0; }
"$(tool kind)" delete cluster --name "$kind_cluster" --kubeconfig "$kubeconfig"
rm -f "$kubeconfig"
