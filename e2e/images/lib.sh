# shellcheck shell=bash
# The images of this checkout. Sourced after cluster/lib/common.sh.

images=$repo/target/images
# Cargo's profile: `release` is what is shipped; demo and tests take what the tests are built of.
profile=${EASYCODE_PROFILE:-dev}
host=$(rustc -vV | sed -n 's/^host: //p')
services=(tenant-service user-service crm finance inventory procurement pos)
# Programs of the workspace; and all that an image is made of, the demo's identity provider included.
rust_programs=(easycode-operator client-admin "${services[@]}")
programs=("${rust_programs[@]}" identity-provider)
# A registry that the cluster pulls from, for clusters that images can't be loaded into: EASYCODE_REGISTRY=registry/path.
registry=${EASYCODE_REGISTRY:-localhost/easycode}

has_engine() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

# Identifies the program, so that a changed one is rolled out and an unchanged one is not.
tag_of() { sha256sum "$images/context/$1" | cut -c1-12; }

image_of() { printf '%s/%s:%s' "$registry" "$1" "$(tag_of "$1")"; }

buildah_here() { buildah --storage-driver vfs --root "$images/store" --runroot "$images/run" "$@"; }
