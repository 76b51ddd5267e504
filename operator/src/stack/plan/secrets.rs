//! The Secrets of a stack: one a login. A password is made once and kept.

use std::collections::{BTreeMap, BTreeSet};

use easycode_contract::database::{Identifier, InvalidName};
use k8s_openapi::ByteString;
use serde_json::json;

use super::Blueprint;
use crate::{
    kubernetes::object::{Kind, Planned},
    postgres::{credentials::Credentials, setup::ServiceLogins},
};

/// Secrets by name, as read.
pub type Secrets = BTreeMap<String, BTreeMap<String, ByteString>>;

/// Secret with the operator's login as CloudNativePG takes it.
pub(crate) const CLOUD_NATIVE_LOGIN: &str = "postgres-login";
const MIGRATION_PREFIX: &str = "database-mig-";

/// Secret that a service's pods mount.
#[must_use]
pub fn service_secret(service: &str) -> String {
    format!("database-svc-{service}")
}

/// Secret that a service's migration job mounts.
#[must_use]
pub fn migration_secret(service: &str) -> String {
    format!("{MIGRATION_PREFIX}{service}")
}

/// The password in a Secret, or a new one: 32 letters and digits.
#[must_use]
pub fn password(secrets: &Secrets, name: &str) -> String {
    secrets
        .get(name)
        .and_then(|data| std::str::from_utf8(&data.get("password")?.0).ok())
        .filter(|password| !password.is_empty())
        .map_or_else(generate, str::to_owned)
}

fn generate() -> String {
    use rand::{Rng, distr::Alphanumeric};
    rand::rng().sample_iter(&Alphanumeric).take(32).map(char::from).collect()
}

/// The Secret of a login, if it differs from what is there.
#[must_use]
pub fn planned(blueprint: &Blueprint, name: &str, credentials: &Credentials, present: &Secrets) -> Option<Planned> {
    with_fields(blueprint, name, "Opaque", credentials.to_fields(), present)
}

/// The operator's login as CloudNativePG takes it, if it differs from what is there.
#[must_use]
pub fn cloud_native_login(blueprint: &Blueprint, user: &str, password: &str, present: &Secrets) -> Option<Planned> {
    let fields = [("username", user), ("password", password)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    with_fields(blueprint, CLOUD_NATIVE_LOGIN, "kubernetes.io/basic-auth", fields.into(), present)
}

fn with_fields(
    blueprint: &Blueprint,
    name: &str,
    type_: &str,
    fields: BTreeMap<String, String>,
    present: &Secrets,
) -> Option<Planned> {
    let same = present.get(name).is_some_and(|data| {
        data.len() == fields.len()
            && fields.iter().all(|(key, value)| data.get(key).is_some_and(|one| one.0 == value.as_bytes()))
    });
    let body = json!({
        "metadata": { "labels": blueprint.home.labels("credentials") },
        "type": type_,
        "data": fields.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect::<BTreeMap<_, _>>(),
    });
    (!same).then(|| Planned::new(Kind::Secret, &blueprint.namespace(), name, body))
}

/// Services that have a database: those of the release, and those of releases before, whose tenants' data is still there.
fn services(blueprint: &Blueprint, present: &Secrets) -> BTreeSet<String> {
    let before = present.keys().filter_map(|name| name.strip_prefix(MIGRATION_PREFIX)).map(str::to_owned);
    blueprint.services().iter().map(|service| service.name.clone()).chain(before).collect()
}

/// The logins of every service that has a database, with their Secrets that are to be written.
pub fn logins(
    blueprint: &Blueprint,
    server: &Credentials,
    present: &Secrets,
) -> Result<(Vec<ServiceLogins>, Vec<Planned>), InvalidName> {
    let mut logins = Vec::new();
    let mut objects = Vec::new();
    for service in services(blueprint, present) {
        let database = Identifier::database(&service)?;
        let (service_name, migration_name) = (service_secret(&service), migration_secret(&service));
        let made = ServiceLogins {
            service: service.clone(),
            service_password: password(present, &service_name),
            migration_password: password(present, &migration_name),
        };
        for (name, login, password) in [
            (service_name, Identifier::service_login(&service)?, &made.service_password),
            (migration_name, Identifier::migration_login(&service)?, &made.migration_password),
        ] {
            let credentials = server.with_login(login.as_str(), password, database.as_str());
            objects.extend(planned(blueprint, &name, &credentials, present));
        }
        logins.push(made);
    }
    Ok((logins, objects))
}
