# shellcheck shell=bash
# Processes of the node: started in its network namespace, found again by recorded id and name, ended for good.

netns=easycode-node

in_node() { nsenter --net="/run/netns/$netns" "$@"; }

# Whether a component runs. An id may have been given to another process since, hence the look at its command line, which
# has the component's name and a path of the cluster's state.
is_running() {
  local name=$1 pid
  pid=$(cat "$state/run/$name.pid" 2>/dev/null) || return 1
  [ -r "/proc/$pid/cmdline" ] || return 1
  [[ "$(tr '\0' ' ' <"/proc/$pid/cmdline")" == *"$name"*"$state/"* ]]
}

# Starts a component unless it runs: `start_process etcd program args…`.
start_process() {
  local name=$1
  shift
  is_running "$name" && return
  # setsid: it outlives the shell, and a Ctrl-C meant for make does not reach it. 9 is the lock of the build.
  setsid nsenter --net="/run/netns/$netns" "$@" >>"$state/log/$name.log" 2>&1 9>&- </dev/null &
  echo $! >"$state/run/$name.pid"
  # Until it is what runs under that id, lest whoever asks in between starts a second one.
  for _ in $(seq 20); do
    is_running "$name" && return
    sleep 0.05
  done
}

# Waits until a component has ended, for so many seconds at most.
await_end() {
  for _ in $(seq $(($2 * 10))); do
    is_running "$1" || break
    sleep 0.1
  done
}

stop_process() {
  local name=$1 pid
  if is_running "$name"; then
    pid=$(cat "$state/run/$name.pid")
    kill "$pid" 2>/dev/null || true
    await_end "$name" 5
    if is_running "$name"; then kill -9 "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$state/run/$name.pid"
}
