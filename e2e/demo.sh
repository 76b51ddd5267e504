#!/usr/bin/env bash
# From nothing to companies that are served, on a shared platform and on an instance, one that moves between them, then what to try next.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"

started=$SECONDS
make --no-print-directory -C "$repo" deploy
"$repo/e2e/example.sh"
export KUBECONFIG=$kubeconfig PATH=$repo/target/bin:$PATH

log ""
log "$(kubectl get sharedplatforms,dedicatedinstances,tenants)"
log ""
forwards=()
trap 'kill "${forwards[@]}" 2>/dev/null || true' EXIT
# Where a service of a namespace is reached: a forwarded port, since that works on every cluster.
address_of() {
  local namespace=$1 service=$2 said=$repo/target/demo/$1-$2.log
  kubectl --namespace "$namespace" port-forward "service/$service" :8080 >"$said" 2>&1 &
  forwards+=($!)
  forwarded() { sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$said" | grep .; }
  wait_for 20 "port of $service in $namespace" forwarded
  address=http://127.0.0.1:$(forwarded | head -1)
}
crm_of() {
  address_of "$1" crm
  crm=$address/crm/v1
}
crm_of easycode-platform-eu1
token() { easycode token sign --key "$repo/target/demo/signing-key.pem" --issuer https://login.example.com --tenant "$1" --role crm-user; }
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
crm_of easycode-instance-dynamo
log "The same CRM, in a namespace of Dynamo's own."
show dynamo --json '{"familyName": "Noether"}' "$crm/contacts"

# A company of the demo's own buys an instance, while its people go on writing.
move_electra() {
  log ""
  log "Electra, on the platform so far, buys an instance of its own, and moves there while its people go on writing."
  kubectl apply -f - >/dev/null <<YAML
apiVersion: easycode.io/v1alpha1
kind: Tenant
metadata: {name: electra}
spec: {displayName: Electra Mobility SA, region: eu-central, entitlements: [{service: crm}]}
YAML
  kubectl wait --for=condition=Ready --timeout=60s tenant/electra >/dev/null
  crm_of easycode-platform-eu1
  "$repo/e2e/example.sh" instance electra
  kubectl wait --for=condition=ServicesAvailable --timeout=120s dedicatedinstance/electra >/dev/null
  written=$repo/target/demo/written
  : >"$written"
  write() {
    local token
    token=$(token electra)
    while :; do
      curl --silent --max-time 5 --output /dev/null --write-out '%{http_code}\n' --oauth2-bearer "$token" \
        --json '{"familyName": "Hopper"}' "$crm/contacts" >>"$written" || true
      sleep 0.1
    done
  }
  write &
  writer=$!
  forwards+=("$writer")
  sleep 2
  kubectl patch tenant electra --type merge \
    -p '{"spec": {"deployment": {"model": "Dedicated", "platform": null, "instance": "electra"}}}' >/dev/null
  wait_for 180 "electra in its instance" moved
  kill "$writer" 2>/dev/null || true
  kubectl wait --for=condition=Ready --timeout=60s tenant/electra >/dev/null
  log "$(easycode move electra)"
  accepted=$(grep -c '^201$' "$written" || true)
  crm_of easycode-instance-electra
  found=$(written_there)
  log "  $accepted contacts were accepted from the writer, $found are in the new home"
  if [ "$found" -lt "$accepted" ]; then
    log "  contacts that were accepted are not there"
    exit 1
  fi
}
# How many of the writer's contacts there are, page by page.
written_there() {
  local cursor="" page count=0
  while :; do
    page=$(curl --silent --fail --oauth2-bearer "$(token electra)" "$crm/contacts?limit=100$cursor")
    count=$((count + $(grep -o '"familyName":"Hopper"' <<<"$page" | wc -l)))
    cursor=$(sed -n 's/.*"next":"\([^"]*\)".*/\&cursor=\1/p' <<<"$page")
    [ -n "$cursor" ] || break
  done
  echo "$count"
}
moved() { [ "$(kubectl get tenant electra --ignore-not-found -o jsonpath='{.status.instance}')" = electra ]; }
# On a second run it is there already.
moved || move_electra

people=$(cat "$repo/target/demo/people/password")
# Aurora's first administrator follows the link that the console makes for its staff, once.
welcome_ada() {
  local staff link
  address_of easycode-platform-eu1 user-service
  staff=$(kubectl --namespace easycode-system create token easycode-client-admin --audience easycode-user-service)
  link=$(curl --silent --oauth2-bearer "$staff" --json '{"email": "ada@aurora.example", "by": "demo"}' \
    "$address/internal/v1/tenants/aurora/invitations" | sed -n 's/.*"path": *"[^"]*token=\([^"]*\)".*/\1/p')
  [ -n "$link" ] || return 0
  curl --silent --fail --output /dev/null --json "{\"token\": \"$link\", \"password\": \"$people\"}" "$address/user/v1/invitations/accept"
}
welcome_ada
cat <<TEXT

Ready after $((SECONDS - started)) s. To try next:

  export KUBECONFIG=$kubeconfig PATH=$repo/target/bin:\$PATH
  # The staff's console at http://localhost:8088/client-admin/, once its ports are forwarded:
  kubectl --namespace easycode-system port-forward deployment/easycode-client-admin 8088:8080 9998 &
  #   support@easycode.example, operations@easycode.example, administrator@easycode.example; password $people
  # Aurora's own page at http://localhost:8089/user/, for ada@aurora.example of aurora; the same password.
  kubectl --namespace easycode-platform-eu1 port-forward service/user-service 8089:8080 &
  kubectl get easycode                        # all of EasyCode's resources
  kubectl get dedicatedinstances -o wide      # all instances: tenant, version, region, health
  easycode status aurora                      # a tenant as a tree (also: kubectl easycode status aurora)
  kubectl explain tenant.spec                 # what can be set
  kubectl --namespace easycode-platform-eu1 port-forward service/crm 8080 &
  token() { easycode token sign --key target/demo/signing-key.pem --issuer https://login.example.com --tenant \$1 --role crm-user; }
  curl --oauth2-bearer "\$(token aurora)" localhost:8080/crm/v1/contacts
  kubectl patch tenant aurora --type merge -p '{"spec": {"state": "Suspended"}}'   # curl again: refused
  easycode audit --tenant electra             # who changed what, and what the operator did
  kubectl delete tenant borealis              # refused: it is active; the message says how to confirm
  make down                                   # ends all of it
TEXT
