//! The Secrets of a stack: one a login. A password is made once and kept until it is rotated.

use std::collections::{BTreeMap, BTreeSet};

use easycode_contract::database::{Identifier, InvalidName};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::{Value, json};

use super::Blueprint;
use crate::{
    kubernetes::{
        labels,
        object::{Kind, Planned},
    },
    postgres::{
        credentials::{Credentials, generate_password},
        setup::ServiceLogins,
    },
};

/// Secrets by name, as read.
pub type Secrets = BTreeMap<String, Kept>;

/// What a Secret holds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its data.
    pub data: BTreeMap<String, ByteString>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its labels, if it was read.
    pub labels: BTreeMap<String, String>,
    /// When it was made, if it was.
    pub created: Option<Timestamp>,
}

impl From<Secret> for Kept {
    fn from(secret: Secret) -> Self {
        Self {
            data: secret.data.unwrap_or_default(),
            annotations: secret.metadata.annotations.unwrap_or_default(),
            labels: secret.metadata.labels.unwrap_or_default(),
            created: secret.metadata.creation_timestamp.map(|time| time.0),
        }
    }
}

impl Kept {
    /// What a Secret is to hold.
    #[must_use]
    pub fn new<K: Into<String>, A: Into<String>>(
        fields: impl IntoIterator<Item = (K, String)>,
        annotations: impl IntoIterator<Item = (A, String)>,
    ) -> Self {
        let data = fields.into_iter().map(|(key, value)| (key.into(), ByteString(value.into_bytes()))).collect();
        let annotations = annotations.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Self { data, annotations, ..Self::default() }
    }

    /// A field, if it is there and has a text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(|value| std::str::from_utf8(&value.0).ok()).filter(|text| !text.is_empty())
    }

    /// An annotation that is a time.
    #[must_use]
    pub fn time(&self, annotation: &str) -> Option<Timestamp> {
        self.annotations.get(annotation)?.parse().ok()
    }
}

/// Secret with the operator's login as CloudNativePG takes it.
pub(crate) const CLOUD_NATIVE_LOGIN: &str = "postgres-login";
/// Type of that Secret.
const BASIC: &str = "kubernetes.io/basic-auth";
/// What these Secrets are named by their label.
const COMPONENT: &str = "credentials";
const MIGRATION_PREFIX: &str = "database-mig-";
/// Annotations of a login's Secret that stay while it is written anew.
const REMEMBERED: [&str; 3] = [labels::ROTATED, labels::ROTATE_CREDENTIALS, labels::LOGIN_GENERATION];
/// Generation of the migrations' passwords. Those without one may have been handed to the Job of a move, in a namespace where a
/// client chooses what runs; since then they leave their home no more.
const GENERATION: &str = "2";

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

/// The password in a Secret, or a new one.
#[must_use]
pub fn password(secrets: &Secrets, name: &str) -> String {
    secrets.get(name).and_then(|kept| kept.text("password")).map_or_else(generate_password, str::to_owned)
}

/// Whether the password of migrations in a Secret may have been handed out of its home.
#[must_use]
pub fn was_lent(kept: &Kept) -> bool {
    kept.annotations.get(labels::LOGIN_GENERATION).is_none_or(|generation| generation != GENERATION)
}

/// The annotation by which the Secret of a new password tells its generation.
fn generation(name: &str) -> Option<(&'static str, String)> {
    name.starts_with(MIGRATION_PREFIX).then(|| (labels::LOGIN_GENERATION, GENERATION.to_owned()))
}

/// The annotation by which a Secret tells which request for new credentials it has served.
pub(super) fn served(blueprint: &Blueprint) -> Option<(&'static str, String)> {
    blueprint.rotation.requested.clone().map(|value| (labels::ROTATE_CREDENTIALS, value))
}

/// The Secret of a login, if it differs from what is there.
#[must_use]
pub fn planned(blueprint: &Blueprint, name: &str, credentials: &Credentials, present: &Secrets) -> Option<Planned> {
    let kept = Kept::new(credentials.to_fields(), remembered(blueprint, name, present));
    changed(blueprint, name, "Opaque", &kept, present)
}

/// The annotations of a login's Secret that is not renewed.
fn remembered(blueprint: &Blueprint, name: &str, present: &Secrets) -> Vec<(&'static str, String)> {
    match present.get(name) {
        Some(kept) => REMEMBERED.iter().filter_map(|key| Some((*key, kept.annotations.get(*key)?.clone()))).collect(),
        // What was made just now serves the request, too.
        None => served(blueprint).into_iter().chain(generation(name)).collect(),
    }
}

/// The Secret of a login with credentials that are new as of now.
#[must_use]
pub fn renewed(blueprint: &Blueprint, name: &str, credentials: &Credentials, now: Timestamp) -> Planned {
    let annotations = [(labels::ROTATED, now.to_string())].into_iter().chain(served(blueprint)).chain(generation(name));
    if name == CLOUD_NATIVE_LOGIN {
        return body(blueprint, name, BASIC, &Kept::new(basic(&credentials.user, &credentials.password), annotations));
    }
    body(blueprint, name, "Opaque", &Kept::new(credentials.to_fields(), annotations))
}

/// The operator's login as CloudNativePG takes it, if it differs from what is there.
#[must_use]
pub fn cloud_native_login(blueprint: &Blueprint, user: &str, password: &str, present: &Secrets) -> Option<Planned> {
    let kept = Kept::new(basic(user, password), remembered(blueprint, CLOUD_NATIVE_LOGIN, present));
    changed(blueprint, CLOUD_NATIVE_LOGIN, BASIC, &kept, present)
}

fn basic(user: &str, password: &str) -> [(&'static str, String); 2] {
    [("username", user.to_owned()), ("password", password.to_owned())]
}

/// A Secret, if it differs from what is there.
#[must_use]
pub fn changed(blueprint: &Blueprint, name: &str, type_: &str, kept: &Kept, present: &Secrets) -> Option<Planned> {
    let labels = labels_of(blueprint, type_);
    let mut labels = labels.as_object().into_iter().flatten();
    let same = present.get(name).is_some_and(|there| {
        let remembers = |(key, value): (&String, &String)| there.annotations.get(key) == Some(value);
        let bears =
            |(key, value): (&String, &serde_json::Value)| there.labels.get(key).map(String::as_str) == value.as_str();
        there.data == kept.data && kept.annotations.iter().all(remembers) && labels.all(bears)
    });
    (!same).then(|| body(blueprint, name, type_, kept))
}

fn labels_of(blueprint: &Blueprint, type_: &str) -> Value {
    let mut labels = blueprint.home.labels(COMPONENT);
    if type_ == BASIC {
        // CloudNativePG then takes over a new password at once: https://cloudnative-pg.io/documentation/current/labels_annotations/
        labels["cnpg.io/reload"] = "true".into();
    }
    labels
}

fn body(blueprint: &Blueprint, name: &str, type_: &str, kept: &Kept) -> Planned {
    let metadata = json!({ "labels": labels_of(blueprint, type_), "annotations": kept.annotations });
    let body = json!({ "metadata": metadata, "type": type_, "data": kept.data });
    Planned::new(Kind::Secret, &blueprint.namespace(), name, body)
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
        let (service_name, migration_name) = (service_secret(&service), migration_secret(&service));
        let second = Identifier::second_service_login(&service)?;
        let user = present.get(&service_name).and_then(|kept| kept.text("user"));
        let made = ServiceLogins {
            login: if user == Some(second.as_str()) { second } else { Identifier::service_login(&service)? },
            service_password: password(present, &service_name),
            migration_password: password(present, &migration_name),
            service,
        };
        for (name, credentials) in [(service_name, made.serving(server)?), (migration_name, made.migrating(server)?)] {
            objects.extend(planned(blueprint, &name, &credentials, present));
        }
        logins.push(made);
    }
    Ok((logins, objects))
}
