#!/usr/bin/env bash
# Runs a build in the folder that all checkouts share (`build-dir` in .cargo/config.toml): `build.sh cargo build …`. Before it, what checkouts
# that are gone have built is removed; after it, what was built is noted as this checkout's. Dependencies stay, since they serve all.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"

folder=${CARGO_BUILD_BUILD_DIR:-${CARGO_HOME:-$HOME/.cargo}/build/easycode}
# One file a checkout: its path, then the hashes that Cargo names its artifacts by.
checkouts=$folder/checkouts

# The workspace's crates. Cargo tells those of two checkouts apart by their paths.
own_crates() {
  (cd "$repo" && cargo metadata --no-deps --offline --locked --format-version 1 2>/dev/null) |
    grep -o '"name":"easycode[^"]*"' | cut -d'"' -f4 | sort -u
}

# Hashes of all artifacts of the workspace's crates, of whichever checkout.
built_hashes() {
  find "$folder" -maxdepth 4 -path '*/.fingerprint/*' -type d -printf '%f\n' |
    grep -E "^($(own_crates | paste -sd'|'))-[0-9a-f]{16}$" | grep -oE '[0-9a-f]{16}$' | sort -u
}

prune() {
  local note hash
  for note in "$checkouts"/*; do
    [ -f "$note" ] || continue
    [ ! -d "$(head -n 1 "$note")" ] || continue
    log "build folder: without what was built for $(head -n 1 "$note")"
    tail -n +2 "$note" | while read -r hash; do
      rm -rf "$folder"/{,*/}{debug,release}/{deps,.fingerprint,build}/*-"$hash"*
    done
    rm "$note"
  done
  # Incremental compilation keeps folders by other hashes.
  find "$folder" -maxdepth 4 -path '*/incremental/*' -type d -mtime +2 -prune -exec rm -rf {} +
}

# What no other checkout has noted is this one's. A mistake costs a checkout one more build of its crates.
note_built() {
  local own others
  own=$checkouts/$(printf %s "$repo" | sha256sum | cut -c1-16)
  others=$(find "$checkouts" -type f ! -path "$own" -exec tail -qn +2 {} + | sort -u)
  { printf '%s\n' "$repo" && comm -23 <(built_hashes) <(printf '%s\n' "$others"); } >"$own.part"
  mv "$own.part" "$own"
}

mkdir -p "$checkouts"
(
  flock 9
  prune
) 9>"$folder/checkouts.lock"
status=0
"$@" || status=$?
(
  flock 9
  note_built
) 9>"$folder/checkouts.lock"
exit "$status"
