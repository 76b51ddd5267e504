# shellcheck shell=bash
# Processes of the node: started in its network namespace, found again by recorded id and name, ended for good.

netns=easycode-node

in_node() { nsenter --net="/run/netns/$netns" "$@"; }

# Whether a component runs. An id may have been given to another process since, hence the look at the program.
is_running() {
  local name=$1 pid
  pid=$(cat "$state/run/$name.pid" 2>/dev/null) || return 1
  [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "$name"
}

# Starts a component unless it runs: `start_process etcd program args…`. Its name must be in its command line.
start_process() {
  local name=$1
  shift
  is_running "$name" && return
  # setsid: it outlives the shell, and a Ctrl-C meant for make does not reach it. 9 is the lock of the build.
  setsid nsenter --net="/run/netns/$netns" "$@" >>"$state/log/$name.log" 2>&1 9>&- </dev/null &
  echo $! >"$state/run/$name.pid"
}

stop_process() {
  local name=$1 pid
  if is_running "$name"; then
    pid=$(cat "$state/run/$name.pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 50); do
      is_running "$name" || break
      sleep 0.1
    done
    if is_running "$name"; then kill -9 "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$state/run/$name.pid"
}
