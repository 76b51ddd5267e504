#!/usr/bin/env bash
# From nothing to three client companies that are served, then what to try next.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"

started=$SECONDS
make --no-print-directory -C "$repo" deploy
"$repo/e2e/example.sh"
export KUBECONFIG=$kubeconfig PATH=$repo/target/bin:$PATH

log ""
log "$(kubectl get sharedplatforms,tenants)"
log ""
# Shown with a forwarded port, since that works on every cluster.
kubectl --namespace easycode-platform-eu1 port-forward service/crm :8080 >"$repo/target/demo/forward.log" 2>&1 &
forward=$!
trap 'kill $forward 2>/dev/null || true' EXIT
forwarded() { sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$repo/target/demo/forward.log" | grep .; }
wait_for 20 "port of crm" forwarded
crm=http://127.0.0.1:$(forwarded | head -1)/crm/v1
token() { easycode token sign --key "$repo/target/demo/signing-key.pem" --issuer https://login.example.com --tenant "$1"; }
show() {
  local tenant=$1
  shift
  log "  $tenant> $(curl --silent --show-error --oauth2-bearer "$(token "$tenant")" "$@")"
}
log "CRM as each of them: each sees its own contacts, and who is not entitled is told so."
show aurora --json '{"familyName": "Lovelace"}' "$crm/contacts"
show aurora "$crm/contacts"
show borealis "$crm/contacts"
show cirrus "$crm/contacts"
cat <<TEXT

Ready after $((SECONDS - started)) s. To try next:

  export KUBECONFIG=$kubeconfig PATH=$repo/target/bin:\$PATH
  kubectl get easycode                        # all of EasyCode's resources
  easycode status aurora                      # a tenant as a tree (also: kubectl easycode status aurora)
  kubectl explain tenant.spec                 # what can be set
  kubectl --namespace easycode-platform-eu1 port-forward service/crm 8080 &
  token() { easycode token sign --key target/demo/signing-key.pem --issuer https://login.example.com --tenant \$1; }
  curl --oauth2-bearer "\$(token aurora)" localhost:8080/crm/v1/contacts
  kubectl patch tenant aurora --type merge -p '{"spec": {"state": "Suspended"}}'   # curl again: refused
  kubectl delete tenant borealis              # refused: it is active; the message says how to confirm
  make down                                   # ends all of it
TEXT
