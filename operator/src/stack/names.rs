//! Where pods have names resolved, and so must be let: what is configured, or what the cluster was seen to have. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    str::FromStr,
};

use k8s_openapi::{
    api::{
        core::v1::Service,
        discovery::v1::{Endpoint, EndpointSlice},
        networking::v1::{IPBlock, NetworkPolicyPeer},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::ResourceExt;
use serde_json::{Value, json};

/// Port of DNS.
pub const PORT: u16 = 53;
/// Namespace of the cluster's DNS on most clusters.
const USUAL_NAMESPACE: &str = "kube-system";
/// Label of every namespace with its name.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// Peers that resolve names, by the ports that they do so at.
#[derive(Clone, Debug, PartialEq)]
pub struct Names(BTreeMap<BTreeSet<u16>, Vec<NetworkPolicyPeer>>);

impl Default for Names {
    /// Pods of the namespace that has the DNS of most clusters.
    fn default() -> Self {
        let mut names = Self(BTreeMap::new());
        names.add(pods_of(USUAL_NAMESPACE, None), [PORT]);
        names
    }
}

/// A Service that answers at an address by which pods have names resolved, and what is behind it.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    /// The Service.
    pub service: Service,
    /// Its endpoints.
    pub slices: Vec<EndpointSlice>,
}

impl Names {
    /// What someone configured, if anything: peers and addresses, all at the same ports.
    #[must_use]
    pub fn configured(to: &[NetworkPolicyPeer], addresses: &[Cidr], ports: &[u16]) -> Option<Self> {
        let ports: BTreeSet<_> = if ports.is_empty() { [PORT].into() } else { ports.iter().copied().collect() };
        let peers = to.iter().cloned().chain(addresses.iter().map(Cidr::peer));
        let mut names = Self(BTreeMap::new());
        for peer in peers {
            names.add(peer, ports.iter().copied());
        }
        (!names.0.is_empty()).then_some(names)
    }

    /// What was seen: the addresses that pods ask, and the Services that answer there.
    ///
    /// The address itself is let through beside what is behind it: a cache on each node (`NodeLocal` `DNSCache`) answers at an address of its
    /// own or in place of the Service, and some engines look at where a packet was sent, not at where it arrives. Pods are let through by
    /// the Service's selector, so that a pod that is made anew changes nothing. What is no pod is let through by its address, as where
    /// nodes run DNS themselves. Only pods on the network of their nodes are neither found by a selector nor told from others here.
    #[must_use]
    pub fn observed(nameservers: &[IpAddr], resolvers: &[Resolver]) -> Self {
        let mut names = Self::default();
        for address in nameservers {
            names.add(Cidr::of(*address).peer(), [PORT]);
        }
        for Resolver { service, slices } in resolvers {
            let ports = ports_behind(service, slices);
            let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
            if !selector.is_empty() {
                let namespace = service.namespace().unwrap_or_default();
                names.add(pods_of(&namespace, Some(selector)), ports.iter().copied());
            }
            let is_pod = |one: &&Endpoint| one.target_ref.as_ref().is_some_and(|of| of.kind.as_deref() == Some("Pod"));
            let others = slices.iter().flat_map(|slice| &slice.endpoints).filter(|one| !is_pod(one));
            for address in others.flat_map(|one| &one.addresses).filter_map(|address| address.parse().ok()) {
                names.add(Cidr::of(address).peer(), ports.iter().copied());
            }
        }
        names
    }

    /// The rules by which pods get there.
    #[must_use]
    pub fn egress(&self) -> Vec<Value> {
        let both = |port: &u16| ["UDP", "TCP"].map(|protocol| json!({ "protocol": protocol, "port": port }));
        let rule = |(ports, peers): (&BTreeSet<u16>, &Vec<NetworkPolicyPeer>)| json!({ "to": peers, "ports": ports.iter().flat_map(both).collect::<Vec<_>>() });
        self.0.iter().map(rule).collect()
    }

    /// Each once, and in an order that does not depend on that of the finding.
    fn add(&mut self, peer: NetworkPolicyPeer, ports: impl IntoIterator<Item = u16>) {
        let peers = self.0.entry(ports.into_iter().collect()).or_default();
        if !peers.contains(&peer) {
            peers.push(peer);
            peers.sort_by_key(|peer| json!(peer).to_string());
        }
    }
}

fn pods_of(namespace: &str, selector: Option<BTreeMap<String, String>>) -> NetworkPolicyPeer {
    let matching = |labels| LabelSelector { match_labels: Some(labels), ..LabelSelector::default() };
    NetworkPolicyPeer {
        namespace_selector: Some(matching([(NAMESPACE_LABEL.to_owned(), namespace.to_owned())].into())),
        pod_selector: selector.map(matching),
        ..NetworkPolicyPeer::default()
    }
}

/// The ports of the endpoints that the Service's port for DNS leads to.
fn ports_behind(service: &Service, slices: &[EndpointSlice]) -> BTreeSet<u16> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let of_dns: Vec<_> = ports.filter(|port| port.port == i32::from(PORT)).map(|port| port.name.as_deref()).collect();
    let behind = slices.iter().flat_map(|slice| slice.ports.iter().flatten());
    let found: BTreeSet<_> = behind
        .filter(|port| of_dns.contains(&port.name.as_deref()))
        .filter_map(|port| u16::try_from(port.port?).ok())
        .collect();
    if found.is_empty() { [PORT].into() } else { found }
}

/// The addresses that a pod asks, by its `/etc/resolv.conf`.
#[must_use]
pub fn nameservers(resolv_conf: &str) -> Vec<IpAddr> {
    let lines = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    lines.filter_map(|address| address.trim().parse().ok()).collect()
}

/// A range of addresses; a single address is one, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cidr(String);

impl Cidr {
    fn of(address: IpAddr) -> Self {
        Self(format!("{address}/{}", bits(address)))
    }

    fn peer(&self) -> NetworkPolicyPeer {
        let block = IPBlock { cidr: self.0.clone(), ..IPBlock::default() };
        NetworkPolicyPeer { ip_block: Some(block), ..NetworkPolicyPeer::default() }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is neither an address nor a range such as 10.0.0.0/24");
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let Some(length) = length else { return Ok(Self::of(address)) };
        let length: u8 = length.parse().map_err(|_| wrong())?;
        if length > bits(address) { Err(wrong()) } else { Ok(Self(format!("{address}/{length}"))) }
    }
}

/// Peers as in a `NetworkPolicy`, as JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peers(pub Vec<NetworkPolicyPeer>);

impl FromStr for Peers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let peers: Vec<NetworkPolicyPeer> =
            serde_json::from_str(text).map_err(|error| format!("no list of peers as in a NetworkPolicy: {error}"))?;
        // Kubernetes would refuse a peer without anything in it with each policy, long after.
        match peers.iter().position(|peer| *peer == NetworkPolicyPeer::default()) {
            Some(empty) => Err(format!("peer {empty} names nothing")),
            None => Ok(Self(peers)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    /// A Service for DNS at port 53 with its endpoints at another.
    fn resolver(namespace: &str, selector: &Value, port: u16, endpoints: &Value) -> Resolver {
        let ports = json!([
            { "name": "dns", "protocol": "UDP", "port": 53 }, { "name": "dns-tcp", "protocol": "TCP", "port": 53 },
            { "name": "metrics", "protocol": "TCP", "port": 9153 },
        ]);
        let behind = json!([
            { "name": "dns", "protocol": "UDP", "port": port }, { "name": "dns-tcp", "protocol": "TCP", "port": port },
            { "name": "metrics", "protocol": "TCP", "port": 9153 },
        ]);
        Resolver {
            service: from(
                json!({ "metadata": { "namespace": namespace }, "spec": { "selector": selector, "ports": ports } }),
            ),
            slices: vec![from(json!({ "addressType": "IPv4", "ports": behind, "endpoints": endpoints }))],
        }
    }

    fn at(port: u16) -> Value {
        json!([{ "protocol": "UDP", "port": port }, { "protocol": "TCP", "port": port }])
    }

    fn kube_system() -> Value {
        json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } } })
    }

    fn block(cidr: &str) -> Value {
        json!({ "ipBlock": { "cidr": cidr } })
    }

    #[test]
    fn pods_in_kube_system_are_let_through_by_the_services_selector() {
        let endpoints = json!([{ "addresses": ["10.1.0.9"], "nodeName": "n", "targetRef": { "kind": "Pod", "name": "coredns-1" } }]);
        let coredns = resolver("kube-system", &json!({ "k8s-app": "kube-dns" }), 53, &endpoints);
        let seen = Names::observed(&["10.96.0.10".parse().unwrap()], &[coredns]);
        let selected = json!({
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } },
            "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
        });
        // No pod's own address: another has it tomorrow.
        let expected = json!([{ "to": [block("10.96.0.10/32"), selected, kube_system()], "ports": at(53) }]);
        assert_eq!(json!(seen.egress()), expected);
    }

    #[test]
    fn a_cache_on_each_node_is_let_through_by_its_address() {
        let seen = Names::observed(&["169.254.20.10".parse().unwrap()], &[]);
        assert_eq!(
            json!(seen.egress()),
            json!([{ "to": [block("169.254.20.10/32"), kube_system()], "ports": at(53) }])
        );
    }

    #[test]
    fn dns_on_the_network_of_nodes_is_let_through_by_their_addresses() {
        let node = resolver("kube-system", &json!({}), 53, &json!([{ "addresses": ["192.0.2.7"] }]));
        let seen = Names::observed(&["10.96.0.10".parse().unwrap()], &[node]);
        let expected =
            json!([{ "to": [block("10.96.0.10/32"), block("192.0.2.7/32"), kube_system()], "ports": at(53) }]);
        assert_eq!(json!(seen.egress()), expected);
    }

    #[test]
    fn openshifts_pods_are_let_through_at_their_port() {
        let endpoints =
            json!([{ "addresses": ["10.128.0.4"], "nodeName": "n", "targetRef": { "kind": "Pod", "name": "dns-1" } }]);
        let selector = json!({ "dns.operator.openshift.io/daemonset-dns": "default" });
        let dns = resolver("openshift-dns", &selector, 5353, &endpoints);
        let seen = Names::observed(&["172.30.0.10".parse().unwrap()], &[dns]);
        let pods = json!({
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "openshift-dns" } },
            "podSelector": { "matchLabels": selector },
        });
        let expected = json!([
            { "to": [block("172.30.0.10/32"), kube_system()], "ports": at(53) },
            { "to": [pods], "ports": at(5353) },
        ]);
        assert_eq!(json!(seen.egress()), expected);
    }

    #[test]
    fn what_is_configured_counts_alone() {
        assert_eq!(Names::configured(&[], &[], &[5353]), None);
        let to: Peers = r#"[{ "podSelector": { "matchLabels": { "app": "dns" } } }]"#.parse().unwrap();
        let addresses = ["169.254.20.10", "fd00::/8"].map(|text| text.parse().unwrap());
        let names = Names::configured(&to.0, &addresses, &[]).unwrap();
        let peers = json!([block("169.254.20.10/32"), block("fd00::/8"), { "podSelector": { "matchLabels": { "app": "dns" } } }]);
        assert_eq!(json!(names.egress()), json!([{ "to": peers, "ports": at(53) }]));
    }

    #[test]
    fn what_is_no_address_or_peer_is_refused() {
        for text in ["", "dns.example.com", "10.0.0.0/33", "10.0.0.0/", "fd00::/129", "10.0.0"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        for text in ["", "{}", "[{}]", "[1]"] {
            assert!(text.parse::<Peers>().is_err(), "{text}");
        }
    }

    #[test]
    fn nameservers_are_read_as_a_resolver_reads_them() {
        let text = "search a.svc b.svc\nnameserver 10.96.0.10\n# nameserver 10.0.0.1\nnameserver\tfd00::a\noptions ndots:5\nnameserver x\n";
        assert_eq!(nameservers(text), ["10.96.0.10", "fd00::a"].map(|one| one.parse::<IpAddr>().unwrap()));
    }
}
