#!/usr/bin/env bash
# Removes what up.sh has brought into the cluster.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$repo/e2e/cloudnative-pg/lib.sh"

cnpg_manifest | kube delete --ignore-not-found --filename - >/dev/null
