#!/usr/bin/env bash
# Brings the local cluster up, or what is missing of it: safe to run again after any stop, clean or not.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$cluster_dir/lib/process.sh"
. "$cluster_dir/lib/network.sh"
. "$cluster_dir/lib/pki.sh"
. "$cluster_dir/lib/images.sh"
. "$cluster_dir/lib/components.sh"

packages=(buildah conntrack containerd containernetworking-plugins debian-archive-keyring ethtool gcc iproute2 ipset
  iptables libc6-dev mmdebstrap nftables openssl runc)

# Of a size, unlike those on the node's disk, so that a test can fill one.
mount_small_volumes() {
  mountpoint --quiet "$state/small-volumes" || mount -t tmpfs -o size=384m,mode=0755 tmpfs "$state/small-volumes"
}
etcd_answers() { in_node bash -c 'exec 3<>/dev/tcp/127.0.0.1/2379'; }
# Started again as a service manager would: it ends where containerd does not yet know its containers, as after it was killed.
kubelet_answers() { start_component kubelet && in_node bash -c 'exec 3<>/dev/tcp/127.0.0.1/10248'; }
# Started again until it answers, too: it ends where the node is not known yet.
router_answers() { start_component kube-router && in_node bash -c "exec 3<>/dev/tcp/127.0.0.1/$router_health_port"; }
# The kubelet is looked at once more, since it may end after it has first answered.
node_is_ready() { kubelet_answers && kube get node "$netns" 2>/dev/null | grep -qw Ready; }

[ "$(id -u)" = 0 ] || die "the local cluster needs root (namespaces, mounts); or give EASYCODE_CLUSTER=existing and a KUBECONFIG"
begin_steps 7
step "packages of the distribution"
install_packages "${packages[@]}"
step "programs of the cluster: $cache/tools"
"$cluster_dir/build-tools.sh" local
mkdir -p "$state"/{pki,log,run,etcd,cni,kubelet,local-path,volumes,small-volumes,containerd/root,containerd/state}
chmod 0755 "$state"
mount_small_volumes
step "network and certificates"
network_up
pki_up
write_configurations
step "images: pause, Postgres"
pause_archive=$(build_pause)
postgres_archive=$(build_postgres)
step "control plane"
mkdir -p "$(dirname "$kubeconfig")"
install -m 0600 "$state/pki/admin.kubeconfig" "$kubeconfig"
start_component etcd
# It writes without waiting for the disk, so a power cut may have spoilt its data.
(wait_for 60 etcd etcd_answers) ||
  die "see $state/log/etcd.log; if the machine went down uncleanly, run make down, then this again"
start_component kube-apiserver
wait_for 120 "API server" kube get --raw /readyz
start_component kube-controller-manager
start_component kube-scheduler
step "node"
start_component containerd
wait_for 30 "containerd" ctr --address "$state/run/containerd.sock" version
import_image "$pause_archive" "$pause_image"
import_image "$postgres_archive" "$postgres_image"
wait_for 60 "kubelet" kubelet_answers
start_component kube-proxy
step "DNS and storage"
kube apply -f "$cluster_dir/base.yaml" >/dev/null
start_component coredns
start_component local-path-provisioner
wait_for 120 "node" node_is_ready
wait_for 60 "kube-router" router_answers
log "cluster is up: export KUBECONFIG=$kubeconfig"
