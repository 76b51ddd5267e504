#!/usr/bin/env bash
# Runs Cargo, or what calls it, in a build folder that outlives the checkout: `build.sh cargo build …`.
#
# Crates with build scripts are bound to the path of the folder they are built in, so a new clone finds its dependencies built only where
# others have built them. Cargo names a crate of the workspace the same in every checkout, and takes what another has built for its own where
# that is newer than the sources. So a folder has one user at a time, and a checkout that takes it over builds the workspace's crates anew.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"

folders=$cache/build
# A new clone at the path of another is another checkout.
checkout="$repo $(stat --format %i "$repo")"
# More checkouts than this don't build at once.
most=8

# The folder that this checkout has built in, if another has not taken it over since: waited for, as whoever uses it is of this checkout.
number=$(grep -lxsF "$checkout" "$folders"/*/checkout | head -n 1 | sed -E 's#.*/([0-9]+)/checkout$#\1#' || true)
if [ -n "$number" ]; then
  exec 9>"$folders/$number/lock"
  flock 9
else
  # Else the first that nobody uses, which is the one that most have built in.
  for ((number = 1; ; number++)); do
    [ "$number" -le "$most" ] || die "$most checkouts build at once; wait for one of them"
    mkdir -p "$folders/$number"
    exec 9>"$folders/$number/lock"
    ! flock --nonblock 9 || break
  done
fi
folder=$folders/$number
if [ "$(cat "$folder/checkout" 2>/dev/null)" != "$checkout" ]; then
  find "$folder" -maxdepth 4 -type d -path '*/.fingerprint/easycode-*' -prune -exec rm -rf {} +
  printf '%s\n' "$checkout" >"$folder/checkout"
fi
# What the command leaves running must not keep the folder.
CARGO_BUILD_BUILD_DIR=$folder "$@" 9>&-
