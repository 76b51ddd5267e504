//! Network policies: nothing may talk to anything, except what is listed here.

use std::collections::BTreeSet;

use easycode_contract::runtime::{ADMIN_PORT, API_PORT, COMMON_SERVICES, USER_SERVICE};
use easycode_crds::instance::{METADATA_V4, METADATA_V6};
use serde_json::{Value, json};

use super::{Blueprint, DATABASE_CLIENT, Server, cloudnative_pg, postgres};
use crate::{
    isolation::network::JOB as PROBE,
    kubernetes::object::{Kind, Planned},
};

/// Component that all policies of a stack are.
pub(crate) const COMPONENT: &str = "network";
/// Name, and service account, of client-admin-service, in the operator's namespace.
pub(crate) const STAFF: &str = "easycode-client-admin";
/// Policy by which names are resolved.
pub(crate) const DNS: &str = "dns";
/// Policy by which the database's clients reach it.
const CLIENTS_TO_POSTGRES: &str = "clients-to-postgres";
/// Label of namespaces whose pods may read the services' metrics.
const SCRAPES: &str = "easycode.io/scrapes-metrics";
/// Label with the name of what a pod runs.
const NAME_LABEL: &str = "app.kubernetes.io/name";

fn pods(key: &str, value: &str) -> Value {
    json!({ "podSelector": { "matchLabels": { key: value } } })
}

fn tcp(port: impl Into<Value>) -> Value {
    json!({ "protocol": "TCP", "port": port.into() })
}

/// Any address, where what is connected to has no selector; but for those at which clouds tell machines their secrets.
pub(crate) fn any_address() -> Value {
    json!([
        { "ipBlock": { "cidr": "0.0.0.0/0", "except": METADATA_V4 } },
        { "ipBlock": { "cidr": "::/0", "except": METADATA_V6 } },
    ])
}

/// All policies of a stack, but for the way to an external Postgres, see [`to_external`].
#[must_use]
pub fn policies(blueprint: &Blueprint) -> Vec<Planned> {
    let service_pods = json!({ "matchLabels": { "app.kubernetes.io/component": "service" } });
    let mut policies = vec![
        (
            "default-deny",
            json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": [] }),
        ),
        (DNS, json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": blueprint.operator.names.egress() })),
        (
            // tenant-service gives them contexts, and they ask each other on behalf of their callers.
            "services-to-services",
            json!({
                "podSelector": service_pods, "policyTypes": ["Egress"],
                "egress": [{ "to": [pods("app.kubernetes.io/component", "service")], "ports": [tcp(API_PORT)] }],
            }),
        ),
        (
            "services-from-services",
            json!({
                "podSelector": service_pods, "policyTypes": ["Ingress"],
                "ingress": [{ "from": [pods("app.kubernetes.io/component", "service")], "ports": [tcp(API_PORT)] }],
            }),
        ),
        (
            // The API server's address is known to no selector, its port is 443 or, behind the Service, 6443.
            "common-services-to-api-server",
            json!({
                "podSelector": { "matchExpressions": [{ "key": NAME_LABEL, "operator": "In", "values": COMMON_SERVICES }] },
                "policyTypes": ["Egress"],
                "egress": [{ "to": any_address(), "ports": [tcp(443), tcp(6443)] }],
            }),
        ),
    ];
    policies.push((
        // Tries the services with forged tokens, and everything else that it must not reach.
        "probe-to-services",
        json!({
            "podSelector": { "matchLabels": { NAME_LABEL: PROBE } }, "policyTypes": ["Egress"],
            "egress": [{ "to": [pods("app.kubernetes.io/component", "service")], "ports": [tcp(API_PORT)] }],
        }),
    ));
    policies.push((
        "services-from-probe",
        json!({
            "podSelector": service_pods, "policyTypes": ["Ingress"],
            "ingress": [{ "from": [pods(NAME_LABEL, PROBE)], "ports": [tcp(API_PORT)] }],
        }),
    ));
    policies.push((
        // Whoever reads metrics has a namespace that is labelled for it.
        "metrics",
        json!({
            "podSelector": service_pods, "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [{ "namespaceSelector": { "matchLabels": { SCRAPES: "true" } } }], "ports": [tcp(ADMIN_PORT)],
            }],
        }),
    ));
    policies.extend(to_database(blueprint));
    policies.extend(with_others(blueprint, &service_pods));
    policies.into_iter().map(|(name, spec)| policy(blueprint, name, &spec)).collect()
}

/// The way to an external Postgres, which listens there.
#[must_use]
pub fn to_external(blueprint: &Blueprint, port: u16) -> Option<Planned> {
    let egress = json!([{ "to": any_address(), "ports": [tcp(port)] }]);
    let spec = json!({ "podSelector": clients(), "policyTypes": ["Egress"], "egress": egress });
    matches!(blueprint.server, Server::External(_)).then(|| policy(blueprint, CLIENTS_TO_POSTGRES, &spec))
}

fn policy(blueprint: &Blueprint, name: &str, spec: &Value) -> Planned {
    let body = json!({ "metadata": { "labels": blueprint.home.labels(COMPONENT) }, "spec": spec });
    Planned::new(Kind::NetworkPolicy, &blueprint.namespace(), name, body)
}

fn clients() -> Value {
    json!({ "matchLabels": { DATABASE_CLIENT: "true" } })
}

/// What services and others outside of the namespace may say to each other: the ingress controller, EasyCode's staff, the issuer
/// of tokens, and addresses that an instance names.
fn with_others(blueprint: &Blueprint, service_pods: &Value) -> Vec<(&'static str, Value)> {
    let mut policies = Vec::new();
    if blueprint.runs(USER_SERVICE) {
        let staff = json!({
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": blueprint.operator.namespace } },
            "podSelector": { "matchLabels": { NAME_LABEL: STAFF } },
        });
        policies.push((
            "user-service-from-staff",
            json!({
                "podSelector": { "matchLabels": { NAME_LABEL: USER_SERVICE } }, "policyTypes": ["Ingress"],
                "ingress": [{ "from": [staff], "ports": [tcp(API_PORT)] }],
            }),
        ));
    }
    if let Some(ingress) = &blueprint.entrance {
        policies.push((
            "services-from-ingress-controller",
            json!({
                "podSelector": service_pods, "policyTypes": ["Ingress"],
                "ingress": [{
                    "from": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": ingress.controller_namespace } } }],
                    "ports": [tcp(API_PORT)],
                }],
            }),
        ));
    }
    let user_service = json!({ "matchLabels": { NAME_LABEL: USER_SERVICE } });
    let keys = blueprint.identity.jwks_uri.as_slice();
    let private = if blueprint.runs(USER_SERVICE) { &blueprint.identity.private_issuers[..] } else { &[] };
    for (name, pods, addresses) in
        [("services-to-issuer", service_pods, keys), ("user-service-to-private-issuers", &user_service, private)]
    {
        let ports: Vec<_> = ports_of(addresses).into_iter().map(tcp).collect();
        if !ports.is_empty() {
            let egress = json!([{ "to": any_address(), "ports": ports }]);
            policies.push((name, json!({ "podSelector": pods, "policyTypes": ["Egress"], "egress": egress })));
        }
    }
    if !blueprint.bounds.egress.is_empty() {
        let to = |(cidr, ports): &(String, Vec<u16>)| {
            let ports: Vec<_> = ports.iter().map(|port| tcp(*port)).collect();
            json!({ "to": [{ "ipBlock": { "cidr": cidr } }], "ports": ports })
        };
        let egress: Vec<_> = blueprint.bounds.egress.iter().map(to).collect();
        policies.push((
            "services-to-addresses",
            json!({ "podSelector": service_pods, "policyTypes": ["Egress"], "egress": egress }),
        ));
    }
    policies
}

/// The ports that addresses are at.
fn ports_of(addresses: &[String]) -> BTreeSet<u16> {
    let parsed = addresses.iter().filter_map(|address| address.parse::<http::Uri>().ok());
    let port = |uri: http::Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    parsed.map(port).collect()
}

/// Who may connect to the database: its clients, and the operator.
fn to_database(blueprint: &Blueprint) -> Vec<(&'static str, Value)> {
    let (label, name) = match &blueprint.server {
        Server::Embedded(_) => (NAME_LABEL, postgres::NAME),
        Server::CloudNativePg(..) => (cloudnative_pg::POD_LABEL, cloudnative_pg::NAME),
        Server::External(_) => return Vec::new(),
    };
    let servers = json!({ "matchLabels": { label: name } });
    let operator = json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": blueprint.operator.namespace } },
        "podSelector": { "matchLabels": { NAME_LABEL: "easycode-operator" } },
    });
    let mut policies = vec![
        (
            "postgres-from-clients",
            json!({
                "podSelector": servers, "policyTypes": ["Ingress"],
                "ingress": [{ "from": [pods(DATABASE_CLIENT, "true"), operator], "ports": [tcp(5432)] }],
            }),
        ),
        (
            CLIENTS_TO_POSTGRES,
            json!({
                "podSelector": clients(), "policyTypes": ["Egress"],
                "egress": [{ "to": [pods(label, name)], "ports": [tcp(5432)] }],
            }),
        ),
    ];
    if let Server::CloudNativePg(_, backup) = &blueprint.server {
        // Replicas follow each other, CloudNativePG looks after them, and they tell the API server how they are.
        let its_namespace = &blueprint.operator.cloudnative_pg_namespace;
        let cnpg = json!({
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": its_namespace } },
            "podSelector": { "matchLabels": { NAME_LABEL: "cloudnative-pg" } },
        });
        // Without an address the backups go to Amazon, at 443.
        let store: Vec<_> = backup.iter().filter_map(|backup| backup.endpoint_url.clone()).collect();
        let ports: Vec<_> =
            ports_of(&store).into_iter().chain([443, 6443]).collect::<BTreeSet<_>>().into_iter().map(tcp).collect();
        policies.push((
            "postgres-replicas",
            json!({
                "podSelector": servers, "policyTypes": ["Ingress", "Egress"],
                "ingress": [
                    { "from": [pods(label, name), cnpg], "ports": [tcp(5432), tcp(cloudnative_pg::STATUS_PORT)] },
                ],
                "egress": [
                    { "to": [pods(label, name)], "ports": [tcp(5432), tcp(cloudnative_pg::STATUS_PORT)] },
                    { "to": any_address(), "ports": ports },
                ],
            }),
        ));
    }
    policies
}
