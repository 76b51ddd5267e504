#!/usr/bin/env bash
# Ends the local cluster and leaves nothing behind but the cache of programs and images.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$cluster_dir/lib/process.sh"
. "$cluster_dir/lib/network.sh"
. "$cluster_dir/lib/images.sh"
. "$cluster_dir/lib/components.sh"

[ -d "$state" ] || { log "no local cluster"; exit 0; }
log "stopping the components"
# Kubelet first, so that nothing is started again; the control plane last.
for name in kubelet local-path-provisioner coredns kube-proxy; do stop_process "$name"; done
# The containers' shims are children of no component; they name the node's socket in their command line.
for shim in $(pgrep -f "containerd-shim.*-address $state/run/containerd.sock" || true); do
  for child in $(pgrep -P "$shim" || true); do kill -9 "$child" 2>/dev/null || true; done
  kill -9 "$shim" 2>/dev/null || true
done
stop_process containerd
for name in kube-scheduler kube-controller-manager kube-apiserver etcd; do stop_process "$name"; done
log "unmounting and removing its state"
for _ in 1 2 3; do
  awk -v below="$state/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
    umount --lazy "$mount" 2>/dev/null || true
  done
done
# Named network namespaces of pods, made by the container runtime.
if [ -d /run/netns ]; then
  for name in $(ip netns list | awk '/^cni-/ {print $1}'); do ip netns delete "$name" 2>/dev/null || true; done
fi
network_down
# Never across a mount that would not go: that could be someone's data.
if awk -v below="$state/" 'index($2, below) == 1 { found = 1 } END { exit !found }' /proc/mounts; then
  die "mounts remain below $state; see /proc/mounts"
fi
rm -rf --one-file-system "$state"
rm -f "$kubeconfig"
log "the cluster is gone; its programs stay in $cache"
