#!/usr/bin/env bash
# Installs or upgrades the operator and the staff's console by the chart, with the images of this checkout. The console's staff are three
# of the demo, whom an identity provider in the console's own pod knows.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
. "$repo/e2e/images/lib.sh"

namespace=easycode-system

# What an interrupted benchmark has left takes the room of a small node that the rollout of the chart needs.
clear_benchmark() {
  kube get sharedplatform bench >/dev/null 2>&1 || return 0
  log "  removing the platform of an interrupted benchmark"
  kube delete tenants -l easycode.io/bench --timeout=5m >/dev/null
  kube annotate --overwrite sharedplatform bench easycode.io/confirm-delete=bench >/dev/null
  kube delete sharedplatform bench --timeout=5m >/dev/null
  kube annotate --overwrite namespace easycode-platform-bench easycode.io/confirm-delete=easycode-platform-bench >/dev/null
  kube delete namespace easycode-platform-bench --timeout=5m >/dev/null
}

begin_steps 4
clear_benchmark
step "images into the cluster"
"$repo/e2e/images/load.sh"
step "three of the staff, with passwords of this checkout's own"
mkdir -p "$repo/target/demo"
. "$repo/e2e/identity-provider/people.sh"
step "chart easycode"
image=$(image_of easycode-operator)
console=$(image_of client-admin)
client=$postgres_image
[ "$(cluster_kind)" != existing ] || client=$official_postgres
# Forced, as the tests make definitions anew under other names.
"$(tool helm)" --kubeconfig "$kubeconfig" upgrade --install easycode "$repo/charts/easycode" \
  --namespace "$namespace" --create-namespace --wait --timeout 5m --force-conflicts \
  --set "image.repository=${image%:*}" --set-string "image.tag=${image##*:}" \
  --set "postgresClientImage=$client" \
  --set "clientAdmin.image.repository=${console%:*}" --set-string "clientAdmin.image.tag=${console##*:}" \
  --values "$repo/target/demo/console.yaml" >/dev/null
step "kubectl, helm and easycode in target/bin; a key that signs test tokens"
for program in kubectl helm; do ln -sf "$(tool "$program")" "$repo/target/bin/$program"; done
"$repo/target/bin/easycode" token keygen --key "$repo/target/demo/signing-key.pem"
