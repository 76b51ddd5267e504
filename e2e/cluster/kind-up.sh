#!/usr/bin/env bash
# A cluster of kind, which runs its node in a container. Safe to run again.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

begin_steps 3
step "programs of the cluster: $cache/tools"
"$cluster_dir/build-tools.sh" kind
step "cluster $kind_cluster"
mkdir -p "$(dirname "$kubeconfig")"
# Exported first: it may be up although this checkout has no kubeconfig of it, or an old one.
if "$(tool kind)" export kubeconfig --name "$kind_cluster" --kubeconfig "$kubeconfig" >/dev/null 2>&1 &&
  kube get --raw /readyz >/dev/null 2>&1; then
  log "it is up already"
else
  # What an unclean stop left is made anew.
  "$(tool kind)" delete cluster --name "$kind_cluster" >/dev/null 2>&1 || true
  "$(tool kind)" create cluster --name "$kind_cluster" --kubeconfig "$kubeconfig" --wait 180s
fi
step "image of Postgres"
# The same name as in the local cluster, so that the examples fit both.
docker image inspect "$postgres_image" >/dev/null 2>&1 || {
  docker pull --quiet "$official_postgres"
  docker tag "$official_postgres" "$postgres_image"
}
"$(tool kind)" load docker-image --name "$kind_cluster" "$postgres_image"
log "cluster is up: export KUBECONFIG=$kubeconfig"
