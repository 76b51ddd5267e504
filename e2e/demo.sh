#!/usr/bin/env bash
# From nothing to four client companies that are served, one of them moved to an instance of its own, then what to try next.
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
# Where CRM of a namespace is reached: a forwarded port, since that works on every cluster.
crm_of() {
  local namespace=$1 port
  kubectl --namespace "$namespace" port-forward service/crm :8080 >"$repo/target/demo/$namespace.log" 2>&1 &
  forwards+=($!)
  forwarded() { sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$repo/target/demo/$namespace.log" | grep .; }
  wait_for 20 "port of crm in $namespace" forwarded
  port=$(forwarded | head -1)
  crm=http://127.0.0.1:$port/crm/v1
}
crm_of easycode-platform-eu1
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
crm_of easycode-instance-dynamo
log "The same CRM, in a namespace of Dynamo's own."
show dynamo --json '{"familyName": "Noether"}' "$crm/contacts"

# One of them buys an instance, while its people go on writing.
move_borealis() {
  log ""
  log "Borealis buys an instance of its own, and moves there while its people go on writing."
  crm_of easycode-platform-eu1
  "$repo/e2e/example.sh" instance borealis
  kubectl wait --for=condition=ServicesAvailable --timeout=120s dedicatedinstance/borealis >/dev/null
  written=$repo/target/demo/written
  : >"$written"
  write() {
    local token
    token=$(token borealis)
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
  kubectl patch tenant borealis --type merge \
    -p '{"spec": {"deployment": {"model": "Dedicated", "platform": null, "instance": "borealis"}}}' >/dev/null
  wait_for 180 "borealis in its instance" moved
  kill "$writer" 2>/dev/null || true
  kubectl wait --for=condition=Ready --timeout=60s tenant/borealis >/dev/null
  log "$(easycode move borealis)"
  accepted=$(grep -c '^201$' "$written" || true)
  crm_of easycode-instance-borealis
  found=$(curl --silent --oauth2-bearer "$(token borealis)" "$crm/contacts?limit=100" | grep -o '"familyName":"Hopper"' | wc -l)
  log "  $accepted contacts were accepted from the writer, $found are shown on the first page in the new home"
}
moved() { [ "$(kubectl get tenant borealis -o jsonpath='{.status.instance}')" = borealis ]; }
# On a second run it is there already.
moved || move_borealis

cat <<TEXT

Ready after $((SECONDS - started)) s. To try next:

  export KUBECONFIG=$kubeconfig PATH=$repo/target/bin:\$PATH
  kubectl get easycode                        # all of EasyCode's resources
  kubectl get dedicatedinstances -o wide      # all instances: tenant, version, region, health
  easycode status aurora                      # a tenant as a tree (also: kubectl easycode status aurora)
  kubectl explain tenant.spec                 # what can be set
  kubectl --namespace easycode-platform-eu1 port-forward service/crm 8080 &
  token() { easycode token sign --key target/demo/signing-key.pem --issuer https://login.example.com --tenant \$1; }
  curl --oauth2-bearer "\$(token aurora)" localhost:8080/crm/v1/contacts
  kubectl patch tenant aurora --type merge -p '{"spec": {"state": "Suspended"}}'   # curl again: refused
  easycode audit --tenant borealis            # who changed what, and what the operator did
  kubectl delete tenant borealis              # refused: it is active; the message says how to confirm
  make down                                   # ends all of it
TEXT
