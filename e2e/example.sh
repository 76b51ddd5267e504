#!/usr/bin/env bash
# Applies the examples with the images of this checkout and a key that signs test tokens, and waits until all is Ready.
#   example.sh                  all of them
#   example.sh instance NAME    an instance like the example's, for the tenant NAME
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"
. "$repo/e2e/images/lib.sh"

easycode=$repo/target/bin/easycode

# The examples name images by the tag dev and carry no key; here both are known. A Release can't change, so changed images
# make one of another name and version.
fill_in() {
  local file=$1 program content expression=()
  for program in "${services[@]}"; do
    expression+=(-e "s#localhost/easycode/$program:dev#$(image_of "$program")#")
  done
  content=$({ cat "$repo/examples/release.yaml"; for program in "${services[@]}"; do tag_of "$program"; done; } | sha256sum | cut -c1-8)
  expression+=(-e "s#r2026-11-0#r2026-11-0-$content#" -e "s#version: 2026.11.0#version: 2026.11.0-$content#")
  [ "$(cluster_kind)" != existing ] || expression+=(-e "s#$postgres_image#$official_postgres#")
  expression+=(-e "s#jwks: .*#jwks: '$("$easycode" token jwks --key "$repo/target/demo/signing-key.pem")'#")
  sed "${expression[@]}" "$file"
}

apply() { fill_in "$1" | kube apply --server-side --field-manager=demo --force-conflicts -f - >/dev/null; }

# What is waited for, while saying how far it is.
wait_ready() {
  local kind=$1 seconds=$2 names deadline=$((SECONDS + $2)) said="" now
  shift 2
  names=("$@")
  while :; do
    now=$(kube get "$kind" "${names[@]}" --no-headers \
      -o custom-columns='N:.metadata.name,R:.status.conditions[?(@.type=="Ready")].status,M:.status.conditions[?(@.type=="Ready")].message')
    [ "$now" = "$said" ] || { printf '%s\n' "$now" | sed 's/^/    /' >&2; said=$now; }
    printf '%s\n' "$now" | awk '$2 != "True" { waiting = 1 } END { exit waiting }' && return
    [ "$SECONDS" -lt "$deadline" ] || die "not Ready after $seconds s; see: easycode status"
    sleep 1
  done
}

if [ "${1:-}" = instance ]; then
  # The first document alone: the tenant is there already.
  fill_in "$repo/examples/instance.yaml" | sed -e '/^---/,$d' -e "s/name: dynamo/name: $2/" |
    kube apply --server-side --field-manager=demo --force-conflicts -f - >/dev/null
  exit
fi
begin_steps 4
step "a release and a platform: examples/release.yaml, examples/platform.yaml"
apply "$repo/examples/release.yaml"
apply "$repo/examples/platform.yaml"
step "three companies: examples/tenants.yaml"
apply "$repo/examples/tenants.yaml"
step "a company with an instance of its own: examples/instance.yaml"
apply "$repo/examples/instance.yaml"
step "waiting until all is Ready"
wait_ready sharedplatforms 300 eu1
wait_ready dedicatedinstances 300 dynamo
wait_ready tenants 120 aurora borealis cirrus dynamo
