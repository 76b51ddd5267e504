# shellcheck shell=bash
# What is installed of CloudNativePG. Sourced after cluster/lib/common.sh.

cnpg_version=$(sed -n 's/.*cloudnative-pg\/cloudnative-pg v\([0-9.]*\).*/\1/p' "$repo/e2e/cloudnative-pg/go.mod" | head -1)
cnpg_image=localhost/easycode/cloudnative-pg:$cnpg_version
# It reads Postgres' major version out of the tag.
cnpg_postgres_image=localhost/easycode/postgres-cloudnative-pg:15

# Its own manifest of that version, with the image that was built here.
cnpg_manifest() {
  local module
  module=$(cd "$repo/e2e/cloudnative-pg" && go list -m -f '{{.Dir}}' github.com/cloudnative-pg/cloudnative-pg)
  sed -e "s#[^ ]*/cloudnative-pg/cloudnative-pg:$cnpg_version#$cnpg_image#" -e 's/imagePullPolicy: Always/imagePullPolicy: IfNotPresent/' \
    "$module/releases/cnpg-$cnpg_version.yaml"
}
