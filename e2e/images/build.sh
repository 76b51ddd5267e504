#!/usr/bin/env bash
# Builds one image a program out of one Containerfile, with Docker where its engine answers and buildah otherwise, and
# leaves each as an archive below target/images/archives. Also builds the command line, which runs outside.
# EASYCODE_PROFILE=release builds what is shipped, as benchmarks do; else the programs are those that the tests were built with.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$repo/e2e/images/lib.sh"

build_image() {
  local program=$1 name archive
  name=$(image_of "$program")
  archive=$images/archives/$program.tar
  [ "$(cat "$archive.name" 2>/dev/null)" != "$name" ] || [ ! -f "$archive" ] || return 0
  rm -f "$archive" "$archive.part"
  if has_engine; then
    docker build --quiet --file "$repo/e2e/images/Containerfile" --build-arg "PROGRAM=$program" --tag "$name" \
      "$images/context" >/dev/null
    docker save --output "$archive.part" "$name"
  else
    buildah_here bud --quiet --isolation chroot --file "$repo/e2e/images/Containerfile" \
      --build-arg "PROGRAM=$program" --tag "$name" "$images/context" >/dev/null
    buildah_here push --quiet "$name" "docker-archive:$archive.part:$name"
    buildah_here rmi --all --force >/dev/null
  fi
  mv "$archive.part" "$archive"
  printf '%s' "$name" >"$archive.name"
}

target=${CARGO_TARGET_DIR:-$repo/target}
mkdir -p "$images/context" "$images/archives" "$repo/target/bin"
begin_steps $((${#programs[@]} + 3))
if ! has_engine; then
  step "buildah"
  command -v buildah >/dev/null || install_packages buildah
else
  step "Docker answers"
fi
step "programs (minutes the first time)"
if [ "$profile" = release ]; then
  built=$target/$host/release
  (cd "$repo" && e2e/build.sh cargo build --locked --release --package easycode-operator --package easycode-client-admin \
    "${services[@]/#/--package=easycode-}")
else
  built=$target/$host/debug
  # With its tests, as a build of the programs alone would be another one, of dependencies with fewer features.
  (cd "$repo" && e2e/build.sh cargo build --locked --workspace --tests --bins)
fi
for program in "${rust_programs[@]}"; do
  # Without symbols, as what is shipped.
  strip -o "$images/context/$program.new" "$built/$program"
  if cmp --silent "$images/context/$program.new" "$images/context/$program"; then
    rm "$images/context/$program.new"
  else
    mv "$images/context/$program.new" "$images/context/$program"
  fi
done
step "the demo's identity provider"
command -v go >/dev/null || die "Go is needed to build the identity provider"
(cd "$repo/e2e/identity-provider" &&
  CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false -ldflags "-s -w" -o "$images/context/identity-provider" .)
for program in "${programs[@]}"; do
  step "image $(image_of "$program")"
  build_image "$program"
done
# On the PATH by the second name, it is the plugin `kubectl easycode`.
ln -sf "$built/easycode" "$repo/target/bin/easycode"
ln -sf "$built/easycode" "$repo/target/bin/kubectl-easycode"
