//! Arbitrary custom resources and databases, within what the definitions admit.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use easycode_contract::database::Identifier;
use easycode_crds::{DedicatedInstance, Release, SharedPlatform, Tenant};
use easycode_operator::{
    kubernetes::labels,
    postgres::{Error, survey::TenantData},
    tenant::observe::{DatabaseView, Observed, Residence},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use proptest::{option, prelude::*, sample::subsequence};
use serde_json::{Value, json};

/// Business services that a release may have.
const SERVICES: [&str; 3] = ["crm", "finance", "pos"];
/// Modules that a service may have.
const MODULES: [&str; 2] = ["campaigns", "reports"];
/// What no release has.
const NOWHERE: &str = "nowhere";
/// Names that the definition of releases refuses, since the platform itself has them.
const RESERVED: [&str; 6] = ["default", "easycode", "postgres", "template0", "template1", "tenant"];

/// The moment at which everything here is planned.
pub const NOW: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// A name of at most `longest` characters, as the definitions admit it.
pub fn name(longest: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[a-z]([-a-z0-9]{{0,{}}}[a-z0-9])?", longest - 2)).unwrap()
}

fn modules() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(MODULES.to_vec(), 0..=MODULES.len())
}

/// A release with `tenant-service`, some of the business services, and some of any other name.
pub fn release() -> impl Strategy<Value = Release> {
    let known = subsequence(SERVICES.to_vec(), 0..=SERVICES.len());
    let others = proptest::collection::btree_set(name(30), 0..3);
    let names = (known, others).prop_map(|(known, others)| {
        let known = known.into_iter().map(str::to_owned);
        let mut names: BTreeSet<_> = known.chain(others).chain(["tenant-service".to_owned()]).collect();
        names.retain(|name| !RESERVED.contains(&name.as_str()) && name != NOWHERE);
        names.into_iter().collect::<Vec<_>>()
    });
    let service = |name: String| {
        (modules(), 1..4, "[a-z0-9]{1,8}").prop_map(move |(modules, version, tag)| {
            json!({ "name": name, "image": format!("registry/{name}:{tag}"), "modules": modules, "schemaVersion": version })
        })
    };
    let services = names.prop_flat_map(move |names| names.into_iter().map(service).collect::<Vec<_>>());
    (name(40), services, "[0-9]{1,4}[.][0-9]{1,2}[.][0-9](-rc[.][0-9])?").prop_map(|(name, services, version)| {
        Release::new(&name, serde_json::from_value(json!({ "version": version, "services": services })).unwrap())
    })
}

/// A platform of the name that is to run the release.
pub fn platform(name: String, release: &Release) -> impl Strategy<Value = SharedPlatform> + use<> {
    let release_name = release.name_any();
    let services: Vec<_> = release.spec.services.iter().map(|service| service.name.clone()).collect();
    let size = |(name, replicas, connections, limited): (String, i32, u32, bool)| {
        let resources = json!({ "requests": { "cpu": "250m" }, "limits": { "memory": "1Gi" } });
        json!({ "name": name, "replicas": replicas, "connections": connections,
            "resources": if limited { resources } else { Value::Null } })
    };
    let count = services.len();
    let sizes = (subsequence(services, 0..=count), 1..9, 1..50_u32, any::<bool>()).prop_map(
        move |(names, replicas, connections, limited)| {
            names.into_iter().map(|name| size((name, replicas, connections, limited))).collect::<Vec<_>>()
        },
    );
    let database = prop_oneof![
        Just(json!({})),
        (50..500_u32, 1..9_u32).prop_map(|(connections, size)| json!({ "embedded": {
            "maxConnections": connections, "size": format!("{size}Gi"), "storageClass": "fast",
            "resources": { "limits": { "memory": format!("{size}Gi") } },
        } })),
        Just(
            json!({ "provider": "External", "external": { "secretRef": { "namespace": "easycode-system", "name": "pg" } } })
        ),
    ];
    let ingress = option::of(any::<bool>().prop_map(|tls| {
        json!({ "className": "nginx", "controllerNamespace": "ingress-nginx",
            "tlsSecret": if tls { json!("tls") } else { Value::Null } })
    }));
    let identity = any::<bool>().prop_map(|by_url| {
        let (jwks, uri) = (json!("{\"keys\": []}"), json!("https://login.example.com/jwks.json"));
        if by_url {
            json!({ "issuer": "https://i", "jwksUri": uri })
        } else {
            json!({ "issuer": "https://i", "jwks": jwks })
        }
    });
    let requested = option::of("[A-Z]{1,5}-[0-9]{1,4}");
    (sizes, database, ingress, identity, requested).prop_map(move |(sizes, database, ingress, identity, requested)| {
        let spec = json!({
            "region": "eu-central", "domain": "erp.example.com", "release": release_name, "services": sizes,
            "database": database, "ingress": ingress, "identity": identity,
        });
        let mut platform = SharedPlatform::new(&name, serde_json::from_value(spec).unwrap());
        platform.annotations_mut().extend(requested.map(|ticket| (labels::APPLY_PENDING.to_owned(), ticket)));
        platform
    })
}

/// An instance of the name for the tenant, that is to run the release.
pub fn instance(name: String, tenant: &str, release: &Release) -> impl Strategy<Value = DedicatedInstance> + use<> {
    let (release, tenant) = (release.clone(), tenant.to_owned());
    let services: Vec<_> = release.spec.services.iter().map(|service| service.name.clone()).collect();
    let count = services.len();
    let own =
        (subsequence(services, 0..=count), proptest::collection::vec(peculiar(), count)).prop_map(|(names, own)| {
            let named = |(name, mut own): (String, Value)| {
                own["name"] = name.into();
                own
            };
            names.into_iter().zip(own).map(named).collect::<Vec<_>>()
        });
    let pool = json!({ "easycode.io/pool": "own" });
    let borne = json!([{ "key": "easycode.io/pool", "operator": "Exists" }]);
    let location = (any::<bool>(), any::<bool>()).prop_map(move |(selects, bears)| {
        json!({ "region": "eu-central", "nodeSelector": if selects { pool.clone() } else { json!({}) },
            "tolerations": if bears { borne.clone() } else { json!([]) } })
    });
    (own, location, database(), isolation(), entrance(), option::of("[A-Z]{1,5}-[0-9]{1,4}")).prop_map(
        move |(services, location, (database, backup), isolation, ingress, requested)| {
            let spec = json!({
                "tenantRef": { "name": tenant }, "release": { "version": release.spec.version }, "location": location,
                "identity": { "issuer": "https://i", "jwks": "{\"keys\": []}" }, "database": database, "backup": backup,
                "isolation": isolation, "ingress": ingress, "services": services,
            });
            let mut instance = DedicatedInstance::new(&name, serde_json::from_value(spec).unwrap());
            instance.annotations_mut().extend(requested.map(|ticket| (labels::APPLY_PENDING.to_owned(), ticket)));
            instance
        },
    )
}

/// What may be peculiar to a service of an instance.
fn peculiar() -> impl Strategy<Value = Value> {
    let resources = proptest::sample::select(vec![
        Value::Null,
        json!({ "requests": { "cpu": "2" } }),
        json!({ "limits": { "memory": "1Gi" } }),
    ]);
    let scaling = prop_oneof![
        Just(json!({})),
        (1..9).prop_map(|replicas| json!({ "replicas": replicas })),
        (1..3).prop_map(|least| json!({ "autoscaling": { "minReplicas": least, "maxReplicas": 3 } })),
    ];
    let files = proptest::collection::btree_map("[a-z]{1,8}[.]html", "[a-z<>]{0,20}", 0..3);
    let variables = proptest::collection::btree_map("[A-Z]{1,3}_LEVELS", "[a-z]{0,9}", 0..3);
    (scaling, resources, files, variables, option::of("[a-z0-9]{1,8}")).prop_map(
        |(mut own, resources, files, variables, tag)| {
            // Where the load is to be followed, it is to be measured.
            let measured = own.get("autoscaling").is_none() || resources["requests"]["cpu"].is_string();
            own["resources"] = if measured { resources } else { Value::Null };
            own["config"] = json!(files);
            own["env"] = variables.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
            own["image"] = json!(tag.map(|tag| format!("registry/own:{tag}")));
            own
        },
    )
}

/// The Postgres of an instance, and its backups.
fn database() -> impl Strategy<Value = (Value, Value)> {
    let without = |database| (database, Value::Null);
    prop_oneof![
        Just(without(json!({}))),
        (1..9_u32).prop_map(move |size| without(json!({ "embedded": {
            "size": format!("{size}Gi"), "resources": { "requests": { "cpu": "2" }, "limits": { "memory": "2Gi" } },
        } }))),
        (1..4, any::<bool>()).prop_map(|(instances, backup)| {
            let store = json!({ "destinationPath": "s3://b/x", "credentialsSecret": "s3", "retention": "14d" });
            let database = json!({ "provider": "CloudNativePG", "cloudNativePG": { "instances": instances } });
            (database, json!(backup.then_some(store)))
        }),
        Just(without(
            json!({ "provider": "External", "external": { "secretRef": { "namespace": "easycode-system", "name": "pg" } } })
        )),
    ]
}

/// The bounds of an instance.
fn isolation() -> impl Strategy<Value = Value> {
    let amount = |values: [&'static str; 2]| option::of(proptest::sample::select(values.to_vec()));
    let quota = (amount(["4", "800m"]), amount(["8Gi", "2Gi"]), option::of(1..99));
    let limits = (amount(["500m", "1"]), amount(["128Mi", "1Gi"]), amount(["2", "4"]), amount(["4Gi", "8Gi"]));
    let egress = option::of(1..=65_535_u16);
    (option::of(quota), option::of(limits), egress).prop_map(|(quota, limits, port)| {
        let quota = quota.map(|(cpu, memory, pods)| json!({ "cpu": cpu, "memory": memory, "pods": pods }));
        let limits = limits.map(|(cpu, memory, max_cpu, max_memory)| {
            json!({ "defaultCpu": cpu, "defaultMemory": memory, "maxCpu": max_cpu, "maxMemory": max_memory })
        });
        let egress: Vec<_> =
            port.map(|port| json!({ "cidr": "203.0.113.0/24", "ports": [port] })).into_iter().collect();
        json!({ "quota": quota, "limits": limits, "egress": egress })
    })
}

/// How an instance is reached from outside.
fn entrance() -> impl Strategy<Value = Value> {
    let common = json!({ "host": "erp.example.com", "controllerNamespace": "ingress" });
    proptest::sample::select(vec![
        Value::Null,
        json!({ "className": "nginx" }),
        json!({ "className": "nginx", "tls": { "secretName": "own" } }),
        json!({ "className": "nginx", "tls": { "clusterIssuer": "letsencrypt" } }),
        json!({ "gatewayRef": { "namespace": "gateways", "name": "public" } }),
    ])
    .prop_map(move |mut ingress| {
        if let Some(fields) = ingress.as_object_mut() {
            fields.extend(common.as_object().unwrap().clone());
        }
        ingress
    })
}

/// Services that anything may speak of: all business services, and one that no release has.
fn some_services() -> impl Strategy<Value = Vec<String>> {
    let all: Vec<_> = SERVICES.iter().chain([&NOWHERE]).map(|name| (*name).to_owned()).collect();
    let count = all.len();
    subsequence(all, 0..=count)
}

/// A tenant of the name, with the uid `own`.
pub fn tenant(name: String) -> impl Strategy<Value = Tenant> {
    let modules: Vec<_> = MODULES.iter().chain([&NOWHERE]).copied().collect();
    let entitlements = (some_services(), subsequence(modules, 0..=3)).prop_map(|(services, modules)| {
        services.into_iter().map(|service| json!({ "service": service, "modules": modules })).collect::<Vec<_>>()
    });
    let had = some_services().prop_map(|services| {
        let data = |service| json!({ "service": service, "schemaVersion": 1, "entitled": true });
        services.into_iter().map(data).collect::<Vec<_>>()
    });
    (entitlements, had, any::<bool>(), any::<bool>(), 1..60_u32, 1..1000_i64).prop_map(
        move |(entitlements, had, suspended, adopts, days, generation)| {
            let spec = json!({
                "displayName": display_name(&name), "entitlements": entitlements, "retention": format!("{days}d"),
                "state": if suspended { "Suspended" } else { "Active" },
            });
            let mut tenant = Tenant::new(&name, serde_json::from_value(spec).unwrap());
            tenant.metadata.uid = Some("own".to_owned());
            tenant.metadata.generation = Some(generation);
            tenant.status = Some(serde_json::from_value(json!({ "services": had })).unwrap());
            if adopts {
                tenant.annotations_mut().insert(labels::UNDELETE.to_owned(), "other".to_owned());
            }
            tenant
        },
    )
}

/// The company's name of a tenant.
fn display_name(tenant: &str) -> String {
    format!("{tenant} Ltd")
}

/// Anything that may be found of a tenant, or of a namesake, in a database.
fn data(tenant: &str) -> impl Strategy<Value = TenantData> + use<> {
    let logins = (some_services(), some_services()).prop_map(|(serving, migrating)| {
        let serving = serving.iter().map(|one| Identifier::service_login(one));
        let migrating = migrating.iter().map(|one| Identifier::migration_login(one));
        serving.chain(migrating).map(|login| login.unwrap().as_str().to_owned()).collect::<BTreeSet<_>>()
    });
    let schemas = (some_services(), 0..3).prop_map(|(services, version)| {
        services.into_iter().map(|service| (service, version)).collect::<BTreeMap<_, _>>()
    });
    let withdrawn = (some_services(), -48..48_i64).prop_map(|(services, hours)| {
        let until = NOW + SignedDuration::from_hours(hours);
        services.into_iter().map(|service| (service, until)).collect::<BTreeMap<_, _>>()
    });
    let uid = prop_oneof![Just(None), Just(Some("own".to_owned())), Just(Some("other".to_owned()))];
    let companies = [None, Some(display_name(tenant)), Some("Namesake Inc".to_owned())];
    let company = proptest::sample::select(companies.to_vec());
    (any::<bool>(), logins, schemas, some_services(), withdrawn, uid, company, any::<bool>()).prop_map(
        |(role_exists, members, schemas, lost, withdrawn, uid, display_name, retained)| TenantData {
            role_exists,
            members,
            // A schema is there or it is not.
            lost: lost.into_iter().filter(|service| !schemas.contains_key(service)).collect(),
            schemas,
            uid,
            display_name,
            retained: retained.then_some(NOW - SignedDuration::from_hours(1)),
            withdrawn,
        },
    )
}

/// A tenant of the name, with a platform, its release and its database.
pub fn situation(name: String) -> impl Strategy<Value = (Tenant, Observed)> {
    let placed = release().prop_flat_map(|release| {
        let platform = platform("eu1".to_owned(), &release);
        (Just(release), platform)
    });
    let data = data(&name);
    (tenant(name), placed, data, option::weighted(0.1, Just(Error::Unavailable("no answer".to_owned()))), 0..2)
        .prop_map(|(tenant, (release, platform), data, trouble, ahead)| {
            let services = release.spec.services.iter();
            let published = services.map(|one| (one.name.clone(), one.schema_version + ahead)).collect();
            let observed = Observed {
                residence: Ok(Residence::on_platform(&platform)),
                release: Some(Arc::new(release)),
                database: Some(DatabaseView { tenant: data, published }),
                trouble,
            };
            (tenant, observed)
        })
}
