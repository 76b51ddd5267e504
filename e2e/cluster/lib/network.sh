# shellcheck shell=bash
# The node's own network: a namespace with one link to the machine. Addresses are of ranges reserved for documentation
# (RFC 5737) and benchmarks (RFC 2544), so they meet nothing that exists.

host_address=198.51.100.1
node_address=198.51.100.2
pod_range=198.18.0.0/16
service_range=198.19.0.0/16
api_service=198.19.0.1
dns_service=198.19.0.10
link=easycode0
router_health_port=20244
# What kube-router marks packets with that a policy admits.
admitted=0x10000

network_up() {
  [ -e "/run/netns/$netns" ] || ip netns add "$netns"
  if ! ip link show "$link" >/dev/null 2>&1; then
    ip link add "$link" type veth peer name eth0 netns "$netns"
  fi
  ip address replace "$host_address/24" dev "$link"
  ip link set "$link" up
  in_node ip address replace "$node_address/24" dev eth0
  in_node ip link set eth0 up
  in_node ip link set lo up
  in_node ip route replace default via "$host_address"
  in_node sysctl -qw net.ipv4.ip_forward=1
  # Pods of one node talk over its bridge, past all rules but for this.
  in_node sysctl -qw net.bridge.bridge-nf-call-iptables=1
  admit_machine
  # Tests on the machine reach pods and Services without a proxy.
  ip route replace "$pod_range" via "$node_address"
  ip route replace "$service_range" via "$node_address"
}

# Kubernetes lets a node reach its pods, whatever their policies say. Tests and forwarded ports come from the machine, which is another
# host to the engine that enforces policies, so what they send is marked as admitted.
admit_machine() {
  in_node nft -f - <<NFT
table ip easycode
delete table ip easycode
table ip easycode {
  chain from-machine {
    type filter hook prerouting priority mangle;
    iifname "eth0" ip saddr $host_address meta mark set meta mark or $admitted
  }
}
NFT
}

# Whatever kube-router has put into the kernel. Its rules outlive it, but not the node's network namespace.
forget_policies() {
  local set
  in_node iptables-save -t filter | grep -vE 'KUBE-(ROUTER|POD-FW|NWPLCY)-' | in_node iptables-restore -T filter
  for set in $(in_node ipset list -name | grep -E '^KUBE-(SRC|DST)-'); do in_node ipset destroy "$set"; done
}

network_down() {
  ip link delete "$link" 2>/dev/null || true
  ip netns delete "$netns" 2>/dev/null || true
}
