#!/usr/bin/env bash
# Installs or upgrades the operator and the staff's console by the chart, with the images of this checkout. The console's staff are three
# of the demo, whom an identity provider in the console's own pod knows.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
. "$repo/e2e/images/lib.sh"

namespace=easycode-system
begin_steps 4
step "images into the cluster"
"$repo/e2e/images/load.sh"
step "three of the staff, with passwords of this checkout's own"
mkdir -p "$repo/target/demo"
. "$repo/e2e/identity-provider/people.sh"
step "chart easycode"
image=$(image_of easycode-operator)
console=$(image_of client-admin)
# Forced, as the tests make definitions anew under other names.
"$(tool helm)" --kubeconfig "$kubeconfig" upgrade --install easycode "$repo/charts/easycode" \
  --namespace "$namespace" --create-namespace --wait --timeout 5m --force-conflicts \
  --set "image.repository=${image%:*}" --set-string "image.tag=${image##*:}" \
  --set "clientAdmin.image.repository=${console%:*}" --set-string "clientAdmin.image.tag=${console##*:}" \
  --values "$repo/target/demo/console.yaml" >/dev/null
step "kubectl, helm and easycode in target/bin; a key that signs test tokens"
for program in kubectl helm; do ln -sf "$(tool "$program")" "$repo/target/bin/$program"; done
"$repo/target/bin/easycode" token keygen --key "$repo/target/demo/signing-key.pem"
