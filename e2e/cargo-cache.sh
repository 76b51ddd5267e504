#!/usr/bin/env bash
# Keeps built dependencies outside the checkout. A clean clone at the same path compiles the workspace alone; at another path also what
# has a build script, and what depends on that.
#   cargo-cache.sh restore  copies them into a checkout that has built nothing yet
#   cargo-cache.sh save     keeps those of this checkout, unless the same are there
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"

target=$repo/target
# What decides whether a built dependency fits: the compiler, profiles and flags, and the dependencies with their features. Where a crate
# of the workspace asks for another feature, Cargo builds what that concerns anew.
key() {
  {
    rustc -vV
    cat "$repo/.cargo/config.toml"
    sed -n '/^\[workspace.dependencies\]/,/^\[workspace.lints/p; /^\[profile/,/^$/p' "$repo/Cargo.toml" | grep -v 'path ='
    # Packages of a registry alone; those of the workspace have no source.
    awk 'BEGIN { RS = ""; } /\nsource = / { print $0 "\n" }' "$repo/Cargo.lock"
  } | sha256sum | cut -c1-16
}
kept=$cache/cargo/$(key)

# The workspace's own crates: built anew in each checkout, as Cargo tells them apart by their paths.
own_crates() {
  (cd "$repo" && cargo metadata --no-deps --offline --locked --format-version 1 2>/dev/null) |
    grep -o '"name":"[^"]*"' | cut -d'"' -f4 | sort -u
}

restore() {
  [ -d "$kept" ] || return 0
  [ ! -e "$target/debug" ] || return 0
  log "built dependencies: from $kept"
  mkdir -p "$target"
  cp -a --reflink=auto "$kept"/. "$target"
  # Whichever is not asked for the longest goes first.
  touch "$kept"
}

save() {
  [ ! -d "$kept" ] || return 0
  local host name excludes=()
  host=$(rustc -vV | sed -n 's/^host: //p')
  while read -r name; do
    excludes+=(--exclude="*/deps/$name-*" --exclude="*/deps/lib$name-*" --exclude="*/deps/${name//-/_}-*"
      --exclude="*/deps/lib${name//-/_}-*" --exclude="*/.fingerprint/$name-*" --exclude="*/build/$name-*")
  done < <(own_crates)
  rm -rf "$kept.part"
  mkdir -p "$kept.part"
  # Programs of the workspace stand in the profiles' own folders.
  tar -C "$target" -cf - --exclude='*/incremental' --exclude='*/examples' "${excludes[@]}" \
    {debug,"$host/debug"}/{deps,build,.fingerprint} | tar -C "$kept.part" -xf -
  mv "$kept.part" "$kept"
  # A few of them, for branches with other dependencies.
  find "$cache/cargo" -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d' ' -f2- |
    while read -r old; do rm -rf "$old"; done
  log "built dependencies: kept in $kept ($(du -sh "$kept" | cut -f1))"
}

case ${1:-} in
  restore | save) mkdir -p "$cache/cargo" && "$1" ;;
  *) die "restore or save, not ${1:-nothing}" ;;
esac
