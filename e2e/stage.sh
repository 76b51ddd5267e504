#!/usr/bin/env bash
# Runs a stage of a check and notes how long it took: `stage.sh "unit tests" COMMAND…`, then `stage.sh --report`.
set -euo pipefail
. "$(dirname "$0")/cluster/lib/common.sh"

notes=$repo/target/stages
if [ "$1" = --report ]; then
  log "what each stage took, in seconds:"
  [ ! -f "$notes" ] || cat "$notes" >&2
  exit
fi
name=$1
shift
mkdir -p "$repo/target"
status=0
"$@" || status=$?
[ "$status" = 0 ] && outcome="" || outcome=" (failed)"
printf '%6d  %s%s\n' "$SECONDS" "$name" "$outcome" >>"$notes"
exit "$status"
