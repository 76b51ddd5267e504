#!/usr/bin/env bash
# Brings a cluster up: kind where a Docker engine answers, else a local one. EASYCODE_CLUSTER=kind|local decides by hand;
# EASYCODE_CLUSTER=existing uses that of KUBECONFIG.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

case $(cluster_kind) in
  existing)
    "$cluster_dir/build-tools.sh" existing
    log "using the cluster of KUBECONFIG=$kubeconfig"
    kube get --raw /readyz >/dev/null
    ;;
  kind) "$cluster_dir/kind-up.sh" ;;
  local) "$cluster_dir/local-up.sh" ;;
esac
# Regions are what cloud providers label nodes with; an existing cluster keeps the labels it has.
if [ "$(cluster_kind)" != existing ]; then
  kube label nodes --all --overwrite topology.kubernetes.io/region=eu-central topology.kubernetes.io/zone=eu-central-a >/dev/null
fi
