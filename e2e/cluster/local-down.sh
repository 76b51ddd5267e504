#!/usr/bin/env bash
# Ends the local cluster and leaves nothing behind but the cache of programs and images.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$cluster_dir/lib/process.sh"
. "$cluster_dir/lib/network.sh"
. "$cluster_dir/lib/images.sh"
. "$cluster_dir/lib/components.sh"
shopt -s nullglob

# What lies outside of the state, in folders of all containerds of the machine: only what is of our containers.
forget_containers() {
  local folder id
  for folder in "$state"/containerd/root/io.containerd.grpc.v1.cri/{containers,sandboxes}/*/; do
    id=$(basename "$folder")
    rm -rf "/run/containerd/runc/k8s.io/$id"
    rm -f /var/lib/cni/results/*-"$id"-*
  done
}

# Sockets of our containers' shims; containerd forgets them when it sees that a shim is gone, so this comes first.
shim_sockets() {
  local tasks=$state/containerd/state/io.containerd.runtime.v2.task
  grep -ohs 'unix:///run/containerd/s/[0-9a-f]*' "$tasks"/*/*/{address,bootstrap.json} </dev/null | sed 's#^unix://##' || true
}

# The kernel gives a cgroup free a moment after its last process.
remove_cgroups() {
  local folders
  for _ in $(seq 25); do
    folders=(/sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods)
    [ -d "${folders[0]}" ] || folders=("${folders[@]:1}")
    [ ${#folders[@]} -gt 0 ] || return 0
    find "${folders[@]}" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    sleep 0.2
  done
}

# The same of the kubelet. The kernel refuses to remove a cgroup that has processes; another kubelet keeps all of its own.
forget_kubelet() {
  [ ! -d /var/log/containers ] || find /var/log/containers -lname "$state/*" -delete
  ! pgrep -x kubelet >/dev/null || return 0
  remove_cgroups
  rm -f /var/lib/kubelet/device-plugins/{kubelet.sock,kubelet_internal_checkpoint}
}

# Folders that are made on demand: those that nobody uses.
remove_empty_folders() {
  local folder
  for folder in /run/containerd/{s,runc/k8s.io,runc,} /var/lib/cni/{results,} /var/log/{containers,pods} \
    /var/lib/kubelet/{device-plugins,} /usr/libexec/kubernetes/{kubelet-plugins/volume/exec,kubelet-plugins/volume,kubelet-plugins,}; do
    rmdir "$folder" 2>/dev/null || true
  done
}

[ -d "$state" ] || { log "no local cluster"; exit 0; }
log "stopping the components"
# Kubelet first, so that nothing is started again; the control plane last.
for name in kubelet local-path-provisioner coredns kube-router kube-proxy; do stop_process "$name"; done
mapfile -t sockets < <(shim_sockets)
# The containers' shims are children of no component; they name the node's socket in their command line.
for shim in $(pgrep -f "containerd-shim.*-address $state/run/containerd.sock" || true); do
  for child in $(pgrep -P "$shim" || true); do kill -9 "$child" 2>/dev/null || true; done
  kill -9 "$shim" 2>/dev/null || true
done
stop_process containerd
for name in kube-scheduler kube-controller-manager kube-apiserver etcd; do stop_process "$name"; done
log "unmounting and removing its state"
rm -f "${sockets[@]}"
forget_containers
forget_kubelet
remove_empty_folders
for _ in 1 2 3; do
  awk -v below="$state/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
    umount --lazy "$mount" 2>/dev/null || true
  done
done
network_down
# Never across a mount that would not go: that could be someone's data.
if awk -v below="$state/" 'index($2, below) == 1 { found = 1 } END { exit !found }' /proc/mounts; then
  die "mounts remain below $state; see /proc/mounts"
fi
rm -rf --one-file-system "$state"
rm -f "$kubeconfig"
log "the cluster is gone; its programs stay in $cache"
