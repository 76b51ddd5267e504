#!/usr/bin/env bash
# Removes what up.sh has brought into the cluster.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$repo/e2e/cloudnative-pg/lib.sh"

# The policy of the chart protects the definition, by which a company's data could go.
definition=clusters.postgresql.cnpg.io
! kube get customresourcedefinition "$definition" >/dev/null 2>&1 ||
  kube annotate --overwrite customresourcedefinition "$definition" "easycode.io/confirm-delete=$definition" >/dev/null
cnpg_manifest | kube delete --ignore-not-found --filename - >/dev/null
