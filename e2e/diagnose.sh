#!/usr/bin/env bash
# What a person would look at first when a test on the cluster has failed.
set -uo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"

[ -x "$(tool kubectl)" ] && kube get --raw /readyz >/dev/null 2>&1 || { log "no cluster to look at"; exit 0; }
for what in "get nodes,pods -A -o wide" "get sharedplatforms,tenants -o wide" \
  "get events -A --sort-by=.lastTimestamp" "logs -n easycode-system -l app.kubernetes.io/name=easycode-operator --tail=150"; do
  log "--- kubectl $what"
  # shellcheck disable=SC2086
  kube $what 2>&1 | tail -n 150
done
