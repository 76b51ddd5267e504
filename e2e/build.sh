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

# Its folder is this checkout's as long as file descriptor 9 is open: shared by all that it runs, and by no other checkout.
folder=""
until [ -n "$folder" ]; do
  # The folder that this checkout has built in, if no other has taken it over since.
  own=$(grep -lxsF "$checkout" "$folders"/*/checkout | head -n 1 || true)
  if [ -n "$own" ]; then
    exec 9>"${own%/checkout}/lock"
    flock --shared 9
    [ "$(cat "$own")" != "$checkout" ] || folder=${own%/checkout}
    continue
  fi
  # Else the first that nobody uses, which is the one that most have built in.
  for ((number = 1; ; number++)); do
    [ "$number" -le "$most" ] || die "$most checkouts build at once; wait for one of them"
    mkdir -p "$folders/$number"
    exec 9>"$folders/$number/lock"
    ! flock --nonblock 9 || break
  done
  find "$folders/$number" -maxdepth 4 -type d -path '*/.fingerprint/easycode-*' -prune -exec rm -rf {} +
  printf '%s\n' "$checkout" >"$folders/$number/checkout"
done
# What the command leaves running must not keep the folder.
CARGO_BUILD_BUILD_DIR=$folder "$@" 9>&-
