//! The blueprint of an instance, as a pure function of its spec, its tenant and its release.

use std::collections::{BTreeMap, BTreeSet};

use easycode_contract::runtime;
use easycode_crds::{
    DedicatedInstance, Release, Tenant,
    instance::{Ingress, Isolation, Provider, Quota, ServiceOverride},
    platform::ServiceSize,
    stack::CONNECTIONS,
};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::{
    kubernetes::labels,
    stack::{
        blueprint::{
            Autoscaling, Blueprint, Bounds, Certificate, Entrance, Nodes, Operator, Rotation, Route, Server,
            ServiceSettings,
        },
        home::Home,
        status as stack,
    },
};

/// Label of a node with its region.
const REGION: &str = "topology.kubernetes.io/region";

/// The stack that the instance asks for.
#[must_use]
pub fn blueprint<'a>(
    instance: &'a DedicatedInstance,
    tenant: Option<&Tenant>,
    release: &'a Release,
    operator: &'a Operator,
) -> Blueprint<'a> {
    let spec = &instance.spec;
    let egress = spec.isolation.egress.iter().map(|one| (one.cidr.clone(), one.ports.clone())).collect();
    Blueprint {
        home: Home::Instance(instance.name_any()),
        release,
        wanted: Some(wanted(instance, tenant)),
        server: server(instance),
        entrance: spec.ingress.as_ref().map(entrance),
        identity: &spec.identity,
        settings: spec.services.iter().map(settings).collect(),
        nodes: nodes(instance),
        bounds: Bounds {
            quota: quota(&spec.isolation.quota.clone().unwrap_or_default()),
            limits: container_limits(&spec.isolation),
            egress,
        },
        rotation: Rotation {
            requested: instance.annotations().get(labels::ROTATE_CREDENTIALS).cloned(),
            every: spec.database.rotation.as_ref().map(|rotation| rotation.every.get()),
        },
        operator,
        requested: instance.annotations().get(labels::APPLY_PENDING).map(String::as_str),
        renews: false,
    }
}

/// Where its pods may run: in its region, on nodes with its labels.
#[must_use]
pub fn nodes(instance: &DedicatedInstance) -> Nodes {
    let location = &instance.spec.location;
    let mut selector = location.node_selector.clone();
    selector.insert(REGION.to_owned(), location.region.clone());
    Nodes { selector, tolerations: location.tolerations.clone() }
}

/// The services to run: those that the tenant is entitled to. While there is no tenant, what runs stays: its object may be
/// on its way back from a backup.
fn wanted(instance: &DedicatedInstance, tenant: Option<&Tenant>) -> BTreeSet<String> {
    let mut wanted = BTreeSet::from(runtime::COMMON_SERVICES.map(str::to_owned));
    if let Some(tenant) = tenant {
        wanted.extend(tenant.spec.entitlements.iter().map(|one| one.service.clone()));
    } else {
        let running = instance.status.iter().flat_map(|status| &status.services);
        wanted.extend(running.map(|one| one.service.clone()));
    }
    wanted
}

fn server(instance: &DedicatedInstance) -> Server {
    let database = &instance.spec.database;
    match (database.provider, &database.external) {
        (Provider::External, Some(external)) => Server::External(external.secret_ref.clone()),
        (Provider::CloudNativePg, _) => {
            let settings = database.cloud_native_pg.clone().unwrap_or_default();
            Server::CloudNativePg(settings, instance.spec.backup.clone())
        }
        _ => Server::Embedded(database.embedded.clone().unwrap_or_default()),
    }
}

fn entrance(ingress: &Ingress) -> Entrance {
    let route = match &ingress.gateway_ref {
        Some(gateway) => Route::Gateway {
            namespace: gateway.namespace.clone(),
            name: gateway.name.clone(),
            section: gateway.section_name.clone(),
        },
        None => Route::Ingress { class: ingress.class_name.clone().unwrap_or_default() },
    };
    let made = |annotation, issuer: &String| Certificate::CertManager {
        annotation,
        issuer: issuer.clone(),
        secret: "ingress-certificate".to_owned(),
    };
    let certificate = ingress.tls.as_ref().and_then(|tls| {
        let given = tls.secret_name.clone().map(Certificate::Secret);
        given
            .or_else(|| tls.cluster_issuer.as_ref().map(|name| made("cert-manager.io/cluster-issuer", name)))
            .or_else(|| tls.issuer.as_ref().map(|name| made("cert-manager.io/issuer", name)))
    });
    Entrance {
        host: ingress.host.clone(),
        route,
        controller_namespace: ingress.controller_namespace.clone(),
        certificate,
    }
}

/// Where the instance is reached from outside. Behind a Gateway its listener decides on TLS, which is taken to be there.
#[must_use]
pub fn endpoint(instance: &DedicatedInstance) -> Option<String> {
    let ingress = instance.spec.ingress.as_ref()?;
    let scheme = if ingress.tls.is_some() || ingress.gateway_ref.is_some() { "https" } else { "http" };
    Some(format!("{scheme}://{}", ingress.host))
}

fn settings(service: &ServiceOverride) -> ServiceSettings {
    ServiceSettings {
        size: ServiceSize {
            name: service.name.clone(),
            replicas: service.replicas.unwrap_or(1),
            resources: service.resources.clone(),
            connections: service.connections,
        },
        autoscaling: service.autoscaling.as_ref().map(|bounds| Autoscaling {
            min_replicas: bounds.min_replicas,
            max_replicas: bounds.max_replicas,
            target_cpu_percent: bounds.target_cpu_percent,
        }),
        environment: service.env.iter().map(|one| (one.name.clone(), one.value.clone())).collect(),
        files: service.config.clone(),
        image: service.image.clone(),
    }
}

/// Pods of a namespace of whose number nothing is said: no stack needs so many.
const PODS: i32 = 200;

fn quota(quota: &Quota) -> BTreeMap<String, String> {
    // Nothing in a stack is reached but by its ingress.
    let mut hard: BTreeMap<_, _> =
        ["services.loadbalancers", "services.nodeports"].map(|kind| (kind.to_owned(), "0".to_owned())).into();
    let mut set = |keys: &[&str], value: Option<String>| {
        if let Some(value) = value {
            hard.extend(keys.iter().map(|key| ((*key).to_owned(), value.clone())));
        }
    };
    set(&["requests.cpu", "limits.cpu"], quota.cpu.as_ref().map(|amount| amount.0.clone()));
    set(&["requests.memory", "limits.memory"], quota.memory.as_ref().map(|amount| amount.0.clone()));
    set(&["requests.storage"], quota.storage.as_ref().map(|amount| amount.0.clone()));
    set(&["pods"], Some(quota.pods.unwrap_or(PODS).to_string()));
    hard
}

/// CPU and memory of a container of which nothing is said, where the namespace's quota demands that something is.
const STANDARD: [(&str, &str, &str); 2] = [("cpu", "50m", "500m"), ("memory", "64Mi", "256Mi")];

/// The bounds of single containers: those of the spec, and a default for whatever the quota counts.
fn container_limits(isolation: &Isolation) -> Vec<Value> {
    let mut bounds = json!({});
    let given = isolation.limits.clone().unwrap_or_default();
    let quota = isolation.quota.clone().unwrap_or_default();
    let own = [
        (&given.default_cpu, &given.max_cpu, quota.cpu.is_some()),
        (&given.default_memory, &given.max_memory, quota.memory.is_some()),
    ];
    for ((resource, request, limit), (default, max, counted)) in STANDARD.into_iter().zip(own) {
        if let Some(max) = max {
            bounds["max"][resource] = max.0.as_str().into();
        }
        let (request, limit) = match (default, max) {
            (Some(default), _) => (&*default.0, &*default.0),
            // What the API server makes of a maximum alone.
            (None, Some(max)) => (&*max.0, &*max.0),
            (None, None) if counted => (request, limit),
            (None, None) => continue,
        };
        bounds["default"][resource] = limit.into();
        bounds["defaultRequest"][resource] = request.into();
    }
    if bounds == json!({}) {
        return Vec::new();
    }
    bounds["type"] = "Container".into();
    vec![bounds]
}

/// What the spec says of services that the release lacks is of no effect: a sentence each, by name.
#[must_use]
pub fn unknown<'a>(instance: &'a DedicatedInstance, release: &Release) -> BTreeMap<&'a str, String> {
    stack::unknown(overridden(instance), release)
}

/// The same of services that the tenant may not use.
fn unentitled<'a>(instance: &'a DedicatedInstance, tenant: &Tenant) -> BTreeMap<&'a str, String> {
    let (wanted, tenant) = (wanted(instance, Some(tenant)), tenant.name_any());
    let sentence = |name| {
        format!(
            "{name} does not run, since Tenant {tenant} is not entitled to it, so that what spec.services says of it is of no effect"
        )
    };
    overridden(instance).filter(|name| !wanted.contains(*name)).map(|name| (name, sentence(name))).collect()
}

fn overridden(instance: &DedicatedInstance) -> impl Iterator<Item = &str> {
    instance.spec.services.iter().map(|one| one.name.as_str())
}

/// Most sentences of [`deviations`]: as many as the status has room for.
const MOST_DEVIATIONS: usize = 64;

/// What differs from the standard, a sentence each; first what was to, and can't.
#[must_use]
pub fn deviations(instance: &DedicatedInstance, tenant: Option<&Tenant>, release: Option<&Release>) -> Vec<String> {
    let mut idle = tenant.map(|tenant| unentitled(instance, tenant)).unwrap_or_default();
    idle.extend(release.map(|release| unknown(instance, release)).unwrap_or_default());
    let mut sentences: Vec<_> = idle.values().cloned().collect();
    for service in instance.spec.services.iter().filter(|service| !idle.contains_key(service.name.as_str())) {
        let name = &service.name;
        if let Some(image) = &service.image {
            sentences.push(format!("{name} runs image {image} instead of the release's"));
        }
        if !service.env.is_empty() {
            let names: Vec<_> = service.env.iter().map(|one| one.name.as_str()).collect();
            sentences.push(format!("{name} has environment of its own: {}", names.join(", ")));
        }
        if !service.config.is_empty() {
            let files: Vec<_> = service.config.keys().map(String::as_str).collect();
            sentences.push(format!("{name} has configuration of its own: {}", files.join(", ")));
        }
        if let Some(bounds) = &service.autoscaling {
            sentences.push(format!("{name} has from {} to {} replicas", bounds.min_replicas, bounds.max_replicas));
        }
        if let Some(replicas) = service.replicas.filter(|replicas| *replicas != 1) {
            sentences.push(format!("{name} has {replicas} replicas"));
        }
        if service.resources.is_some() {
            sentences.push(format!("{name} has resources of its own"));
        }
        if service.connections != CONNECTIONS {
            sentences.push(format!("{name} has {} database connections a pod", service.connections));
        }
    }
    for egress in &instance.spec.isolation.egress {
        sentences.push(format!("services may connect to {}", egress.cidr));
    }
    for issuer in &instance.spec.identity.private_issuers {
        sentences.push(format!("people may sign in at {issuer}"));
    }
    // The status has room for so many.
    let more = sentences.len().saturating_sub(MOST_DEVIATIONS);
    if more > 0 {
        sentences.truncate(MOST_DEVIATIONS - 1);
        sentences.push(format!("{} more; see the spec", more + 1));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_service_that_does_not_run_is_no_deviation_but_of_no_effect() {
        let spec = json!({
            "tenantRef": { "name": "dynamo" }, "release": { "version": "2026.11.0" }, "location": { "region": "eu" },
            "identity": { "issuer": "https://i", "jwks": "{\"keys\": []}" },
            "services": [
                { "name": "crm", "replicas": 2 }, { "name": "crmm", "image": "own:1" }, { "name": "pos", "replicas": 3 },
                { "name": "user-service", "replicas": 4 },
            ],
        });
        let instance = DedicatedInstance::new("dynamo", serde_json::from_value(spec).unwrap());
        let services: Vec<_> = ["crm", "pos", "tenant-service", "user-service"]
            .into_iter()
            .map(|name| json!({ "name": name, "image": "i:1", "schemaVersion": 1 }))
            .collect();
        let release = json!({ "version": "2026.11.0", "services": services });
        let release = Release::new("r", serde_json::from_value(release).unwrap());
        let tenant = json!({ "displayName": "Dynamo", "entitlements": [{ "service": "crm" }] });
        let tenant = Tenant::new("dynamo", serde_json::from_value(tenant).unwrap());
        insta::assert_snapshot!(deviations(&instance, Some(&tenant), Some(&release)).join("\n"), @"
        crmm is no service of release 2026.11.0, so that what spec.services says of it is of no effect
        pos does not run, since Tenant dynamo is not entitled to it, so that what spec.services says of it is of no effect
        crm has 2 replicas
        user-service has 4 replicas
        ");
        // As long as nothing is known of either, nothing is said to be wrong.
        let said = deviations(&instance, None, None);
        assert!(said.len() == 4 && said.iter().all(|one| !one.contains("no effect")), "{said:?}");
        assert_eq!(unknown(&instance, &release).into_keys().collect::<Vec<_>>(), ["crmm"]);
    }
}
