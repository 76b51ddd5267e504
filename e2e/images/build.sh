#!/usr/bin/env bash
# Builds one image a program, and leaves each as an archive below target/images/archives.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"

images=$repo/target/images
programs=(easycode-operator tenant-service crm)
packages=(easycode-operator easycode-tenant-service easycode-crm)

has_engine() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

build_image() {
  local program=$1 name=localhost/easycode/$1:dev archive=$images/archives/$1.tar
  # The archive is as old as the program it was made from, or it is made again.
  [ "$archive" -nt "$images/context/$program" ] && return
  if has_engine; then
    docker build --quiet --file "$repo/e2e/images/Containerfile" --build-arg "PROGRAM=$program" --tag "$name" \
      "$images/context" >/dev/null
    docker save --output "$archive.part" "$name"
  else
    local store=(buildah --storage-driver vfs --root "$images/store" --runroot "$images/run")
    rm -f "$archive.part"
    "${store[@]}" bud --quiet --isolation chroot --file "$repo/e2e/images/Containerfile" \
      --build-arg "PROGRAM=$program" --tag "$name" "$images/context" >/dev/null
    "${store[@]}" push --quiet "$name" "docker-archive:$archive.part:$name"
    "${store[@]}" rmi --all --force >/dev/null
  fi
  mv "$archive.part" "$archive"
}

host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$images/context" "$images/archives"
begin_steps $((${#programs[@]} + 1))
step "static programs (minutes the first time)"
arguments=()
for package in "${packages[@]}"; do arguments+=(--package "$package"); done
# With a target given, the flag is for the programs alone and not for the compiler's own plugins.
(cd "$repo" && RUSTFLAGS="-C target-feature=+crt-static" CARGO_TARGET_DIR=$images \
  cargo build --locked --release --target "$host" "${arguments[@]}")
for program in "${programs[@]}"; do
  step "image localhost/easycode/$program:dev"
  cmp --silent "$images/$host/release/$program" "$images/context/$program" ||
    cp "$images/$host/release/$program" "$images/context/$program"
  build_image "$program"
done
