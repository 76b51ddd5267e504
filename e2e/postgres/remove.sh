#!/usr/bin/env bash
# Removes the data folders of the tests' Postgres servers (`src/folders.rs`), unless tests are running: servers end with their tests.
set -euo pipefail
shopt -s nullglob

for parent in /dev/shm "${TMPDIR:-/tmp}"; do
  root=$parent/easycode-test-postgres
  for run in "$root"/run-*; do
    test_process=${run#"$root"/run-}
    [ ! -e "/proc/${test_process%%-*}" ] || continue 2
  done
  rm -rf "$root"
done
