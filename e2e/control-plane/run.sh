#!/usr/bin/env bash
# Runs a command beside a control plane without nodes, with the operator and the examples: run.sh COMMAND…
# All of it ends with the command.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"

host=$(rustc -vV | sed -n 's/^host: //p')
KUBEBUILDER_ASSETS=$(dirname "$(tool kube-apiserver)")
export KUBEBUILDER_ASSETS
exec "${CARGO_TARGET_DIR:-$repo/target}/$host/debug/control-plane" "$@"
