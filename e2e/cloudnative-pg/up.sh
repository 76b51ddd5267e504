#!/usr/bin/env bash
# Brings CloudNativePG's operator into the local cluster, built from its published module, and an image of Postgres that it
# can run. Elsewhere it is installed as its own documentation says.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$cluster_dir/lib/process.sh"
. "$cluster_dir/lib/images.sh"
. "$repo/e2e/cloudnative-pg/lib.sh"

build_operator() {
  local archive container program=$cache/cloudnative-pg/manager-$(hash_of "$repo/e2e/cloudnative-pg/go.sum")-$(uname -m)
  archive=$(archive_of cloudnative-pg "$repo/e2e/cloudnative-pg/go.sum" "$repo/e2e/cloudnative-pg/up.sh")
  if [ ! -f "$archive" ]; then
    mkdir -p "$(dirname "$archive")" "$(dirname "$program")"
    (cd "$repo/e2e/cloudnative-pg" && CGO_ENABLED=0 nice -n 15 go build -mod=readonly -trimpath -ldflags "-s -w" \
      -o "$program" github.com/cloudnative-pg/cloudnative-pg/cmd/manager)
    container=$(bud from scratch)
    # Pods of its databases take the program from here, by their architecture.
    bud copy --quiet --chmod 0755 "$container" "$program" /manager >/dev/null
    bud copy --quiet --chmod 0755 "$container" "$program" "/operator/manager_$(cd "$repo/e2e/cloudnative-pg" && go env GOARCH)" >/dev/null
    bud config --user 10001:10001 --entrypoint '["/manager"]' "$container"
    commit_image "$container" "$cnpg_image" "$archive"
    rm -f "$program"
  fi
  printf '%s' "$archive"
}

build_its_postgres() {
  local archive container files base
  base=$(build_postgres)
  archive=$(archive_of postgres-cloudnative-pg "$cluster_dir/lib/images.sh" "$repo/e2e/cloudnative-pg/up.sh")
  if [ ! -f "$archive" ]; then
    container=$(bud from "docker-archive:$base")
    files=$(bud mount "$container")
    # The user that its pods run as.
    echo "postgres:x:26:" >>"$files/etc/group"
    sed -i 's/^postgres:.*/postgres:x:26:26::\/var\/lib\/postgresql:\/bin\/sh/' "$files/etc/passwd"
    bud umount "$container" >/dev/null
    bud config --user 26:26 "$container"
    commit_image "$container" "$cnpg_postgres_image" "$archive"
  fi
  printf '%s' "$archive"
}

[ "$(cluster_kind)" = local ] || die "only for the local cluster; install CloudNativePG as its documentation says"
begin_steps 3
step "images: CloudNativePG $cnpg_version (built once, minutes), Postgres for it"
operator_archive=$(build_operator)
postgres_archive=$(build_its_postgres)
import_image "$operator_archive" "$cnpg_image"
import_image "$postgres_archive" "$cnpg_postgres_image"
step "its definitions and its operator"
cnpg_manifest | kube apply --server-side --filename - >/dev/null
step "waiting for it"
kube --namespace cnpg-system rollout status deployment/cnpg-controller-manager --timeout 180s >/dev/null
