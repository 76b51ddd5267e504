# shellcheck shell=bash
# The components of the local cluster with their flags: `start_component kube-apiserver`.

components=(etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy kube-router coredns
  local-path-provisioner)

start_component() {
  local pki=$state/pki
  case $1 in
    etcd)
      # The state is worth nothing after a power cut, so it need not wait for the disk.
      start_process etcd "$(tool etcd)" --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380 --quota-backend-bytes 4294967296 ;;
    kube-apiserver)
      # InternalIP first: the node has no name that resolves, and logs, exec and port-forward would hang.
      start_process kube-apiserver "$(tool kube-apiserver)" --etcd-servers http://127.0.0.1:2379 \
        --secure-port 6443 --advertise-address "$node_address" --service-cluster-ip-range "$service_range" \
        --client-ca-file "$pki/ca.crt" --cert-dir "$pki" \
        --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
        --service-account-key-file "$pki/service-accounts.pub" \
        --service-account-signing-key-file "$pki/service-accounts.key" \
        --service-account-issuer https://kubernetes.default.svc.cluster.local \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
        --kubelet-preferred-address-types InternalIP --kubelet-certificate-authority "$pki/ca.crt" \
        --kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" \
        --max-requests-inflight 800 --max-mutating-requests-inflight 400 ;;
    kube-controller-manager)
      start_process kube-controller-manager "$(tool kube-controller-manager)" --leader-elect=false \
        --bind-address 127.0.0.1 --kubeconfig "$pki/controller-manager.kubeconfig" \
        --authentication-kubeconfig "$pki/controller-manager.kubeconfig" \
        --authorization-kubeconfig "$pki/controller-manager.kubeconfig" \
        --service-account-private-key-file "$pki/service-accounts.key" --root-ca-file "$pki/ca.crt" \
        --use-service-account-credentials ;;
    kube-scheduler)
      start_process kube-scheduler "$(tool kube-scheduler)" --leader-elect=false --bind-address 127.0.0.1 \
        --kubeconfig "$pki/scheduler.kubeconfig" --authentication-kubeconfig "$pki/scheduler.kubeconfig" \
        --authorization-kubeconfig "$pki/scheduler.kubeconfig" ;;
    containerd) start_process containerd containerd --config "$state/containerd.toml" ;;
    kubelet)
      start_process kubelet "$(tool kubelet)" --config "$state/kubelet.yaml" --root-dir "$state/kubelet" \
        --kubeconfig "$pki/kubelet.kubeconfig" --hostname-override "$netns" --node-ip "$node_address" ;;
    kube-proxy) start_process kube-proxy "$(tool kube-proxy)" --config "$state/proxy.yaml" ;;
    kube-router)
      # Its firewall alone, which enforces NetworkPolicies; pods' network and Services are others' work.
      start_process kube-router "$(tool kube-router)" --kubeconfig "$pki/admin.kubeconfig" --hostname-override "$netns" \
        --run-firewall --run-router=false --run-service-proxy=false --run-loadbalancer=false --enable-cni=false \
        --service-cluster-ip-range "$service_range" --health-port "$router_health_port" ;;
    coredns) start_process coredns "$(tool coredns)" -conf "$state/Corefile" ;;
    local-path-provisioner)
      KUBECONFIG=$pki/admin.kubeconfig POD_NAMESPACE=kube-system start_process local-path-provisioner \
        "$(tool local-path-provisioner)" start --kubeconfig "$pki/admin.kubeconfig" --namespace kube-system \
        --config "$state/local-path/config.json" --configmap-name local-path-config \
        --service-account-name default --helper-image "$helper_image" ;;
    *) die "unknown component: $1 (one of ${components[*]})" ;;
  esac
}

# Ends a component, and what it would leave in force: without their engine no policies are enforced.
stop_component() {
  stop_process "$1"
  [ "$1" != kube-router ] || forget_policies
}

write_configurations() {
  cat >"$state/containerd.toml" <<TOML
version = 2
root = "$state/containerd/root"
state = "$state/containerd/state"
[grpc]
  address = "$state/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause_image"
  # Sandboxes without CAP_SYS_RESOURCE may not lower their score.
  restrict_oom_score_adj = true
  # Below the state, so they are found and taken away with it.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/cni"
TOML
  cat >"$state/cni/10-bridge.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$state/cni-addresses",
            "ranges": [[{"subnet": "$pod_range"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
  cat >"$state/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
failSwapOn: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $state/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $state/pki/kubelet.crt
tlsPrivateKeyFile: $state/pki/kubelet.key
clusterDNS: [$dns_service]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://$state/run/containerd.sock
resolvConf: $state/resolv.conf
podLogsDir: $state/log/pods
volumePluginDir: $state/kubelet/plugins-exec
# New contents of Secrets reach the pods at their next look, which is after a minute otherwise.
syncFrequency: 20s
maxPods: 500
imageMinimumGCAge: 24h
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
YAML
  echo "nameserver 127.0.0.1" >"$state/resolv.conf"
  cat >"$state/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $state/pki/proxy.kubeconfig}
hostnameOverride: $netns
mode: nftables
clusterCIDR: $pod_range
conntrack: {maxPerCore: 0, min: 0}
YAML
  cat >"$state/Corefile" <<CONF
.:53 {
  bind $node_address
  errors
  kubernetes cluster.local {
    kubeconfig $state/pki/admin.kubeconfig
    ttl 5
  }
}
CONF
  cat >"$state/local-path/config.json" <<JSON
{"storageClassConfigs": {
  "local-path": {"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["$state/volumes"]}]},
  "small": {"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["$state/small-volumes"]}]}}}
JSON
}
