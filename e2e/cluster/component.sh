#!/usr/bin/env bash
# Stops or starts one component of the local cluster, for tests of faults: component.sh kill|stop|start|restart NAME
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$cluster_dir/lib/process.sh"
. "$cluster_dir/lib/network.sh"
. "$cluster_dir/lib/images.sh"
. "$cluster_dir/lib/components.sh"

[ -d "$state" ] || die "no local cluster; faults of components can be tested only there"
action=${1:?kill, stop, start or restart} name=${2:?one of ${components[*]}}
case $action in
  kill)
    if is_running "$name"; then kill -9 "$(cat "$state/run/$name.pid")"; fi
    await_end "$name" 10
    ;;
  stop) stop_component "$name" ;;
  start) start_component "$name" ;;
  restart) stop_component "$name"; start_component "$name" ;;
  *) die "unknown action: $action" ;;
esac
