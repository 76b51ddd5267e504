#!/usr/bin/env bash
# Installs or upgrades the operator by its chart, with the images of this checkout.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
. "$repo/e2e/images/lib.sh"

namespace=easycode-system
begin_steps 3
step "images into the cluster"
"$repo/e2e/images/load.sh"
step "chart easycode"
image=$(image_of easycode-operator)
# Forced, as the tests make definitions anew under other names.
"$(tool helm)" --kubeconfig "$kubeconfig" upgrade --install easycode "$repo/charts/easycode" \
  --namespace "$namespace" --create-namespace --wait --timeout 5m --force-conflicts \
  --set "image.repository=${image%:*}" --set-string "image.tag=${image##*:}" >/dev/null
step "kubectl, helm and easycode in target/bin; a key that signs test tokens"
for program in kubectl helm; do ln -sf "$(tool "$program")" "$repo/target/bin/$program"; done
mkdir -p "$repo/target/demo"
"$repo/target/bin/easycode" token keygen --key "$repo/target/demo/signing-key.pem"
