//! A Postgres that CloudNativePG runs: one `Cluster`, whose replicas, fail-over and backups are CloudNativePG's. The fields
//! are those of its API, `postgresql.cnpg.io/v1`.

use easycode_crds::instance::{Backup, CloudNativePg};
use serde_json::{Value, json};

use super::{Blueprint, Server, postgres::OPERATOR_LOGIN, workload};
use crate::{
    kubernetes::object::{Kind, Planned},
    postgres::credentials::Credentials,
};

/// Name of the `Cluster`; its Services and pods have names that begin with it.
pub(crate) const NAME: &str = "postgres";
/// Service of the one that is written to.
pub(crate) const SERVICE: &str = "postgres-rw";
/// Secret with the certificate authority that CloudNativePG makes.
pub(crate) const AUTHORITY: &str = "postgres-ca";
/// Label of its pods, with the cluster's name.
pub(crate) const POD_LABEL: &str = "cnpg.io/cluster";
/// Port at which each pod tells CloudNativePG's operator of itself.
pub(crate) const STATUS_PORT: u16 = 8000;

/// When base backups are made; its notation begins with seconds.
const NIGHTLY: &str = "0 0 3 * * *";

/// How the operator logs in, given its password and the server's certificate authority.
#[must_use]
pub fn operator_credentials(namespace: &str, password: &str, authority: String) -> Credentials {
    Credentials {
        host: format!("{SERVICE}.{namespace}.svc"),
        port: 5432,
        user: OPERATOR_LOGIN.to_owned(),
        password: password.to_owned(),
        dbname: "easycode".to_owned(),
        sslmode: "verify-full".to_owned(),
        ca: Some(authority),
    }
}

/// The `Cluster`. `login` is the Secret with the operator's user name and password.
#[must_use]
pub fn cluster(blueprint: &Blueprint, settings: &CloudNativePg, login: &str) -> Planned {
    let mut spec = json!({
        "instances": settings.instances,
        "storage": { "size": settings.size },
        // Its claims are found, and protected, as what belongs to the home. Not by the other labels: what it makes is not the
        // operator's.
        "inheritedMetadata": { "labels": { blueprint.home.label(): blueprint.home.name() } },
        // The operator's login may make roles and databases; it is no superuser.
        "enableSuperuserAccess": false,
        "bootstrap": { "initdb": { "database": "easycode", "owner": OPERATOR_LOGIN, "secret": { "name": login } } },
        "managed": { "roles": [{
            "name": OPERATOR_LOGIN, "ensure": "present", "login": true, "createdb": true, "createrole": true,
            "passwordSecret": { "name": login },
        }] },
        // A batch of new schemas creates many relations in one transaction.
        "postgresql": { "parameters": { "max_locks_per_transaction": "512" } },
        "affinity": { "enablePodAntiAffinity": true, "nodeSelector": blueprint.nodes.selector },
    });
    // An empty list is not the same as none to CloudNativePG: it would take the pod for an outdated one and restart it for ever.
    if !blueprint.nodes.tolerations.is_empty() {
        spec["affinity"]["tolerations"] = json!(blueprint.nodes.tolerations);
    }
    if let Some(class) = &settings.storage_class {
        spec["storage"]["storageClass"] = class.as_str().into();
    }
    if let Some(resources) = &settings.resources {
        spec["resources"] = json!(resources);
    }
    if !blueprint.bounds.defaults().is_empty() {
        workload::limit(&blueprint.bounds, &mut spec["resources"]);
    }
    if let Some(image) = &settings.image_name {
        spec["imageName"] = image.as_str().into();
    }
    if let Server::CloudNativePg(_, Some(backup)) = &blueprint.server {
        spec["backup"] = self::backup(backup);
    }
    let body = json!({ "metadata": { "labels": blueprint.home.labels(NAME) }, "spec": spec });
    Planned::new(Kind::Cluster, &blueprint.namespace(), NAME, body)
}

/// The base backups, without which nothing can be restored: one at once, and one each night; none while they are suspended.
#[must_use]
pub fn scheduled_backup(blueprint: &Blueprint, suspended: bool) -> Planned {
    let body = json!({
        "metadata": { "labels": blueprint.home.labels(NAME) },
        "spec": { "schedule": NIGHTLY, "immediate": true, "suspend": suspended, "backupOwnerReference": "none", "cluster": { "name": NAME } },
    });
    Planned::new(Kind::ScheduledBackup, &blueprint.namespace(), NAME, body)
}

fn backup(backup: &Backup) -> Value {
    let key = |key: &str| json!({ "name": backup.credentials_secret, "key": key });
    // Its notation has days, weeks and months, none shorter.
    let days = (backup.retention.millis() / 86_400_000).max(1);
    let mut store = json!({
        "destinationPath": backup.destination_path,
        "s3Credentials": { "accessKeyId": key("ACCESS_KEY_ID"), "secretAccessKey": key("ACCESS_SECRET_KEY") },
    });
    if let Some(endpoint) = &backup.endpoint_url {
        store["endpointURL"] = endpoint.as_str().into();
    }
    json!({ "barmanObjectStore": store, "retentionPolicy": format!("{days}d") })
}
