//! The stack's Postgres: made where it is the operator's, found where it is someone else's, and connected.

use std::{sync::Arc, time::Duration};

use easycode_crds::{
    conditions::{self, Finding, reason},
    instance::CloudNativePg,
    platform::SecretRef,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt, api::ListParams};

use super::{
    super::{
        blueprint::{Blueprint, Server},
        plan::{certificates, cloudnative_pg, postgres as embedded, secrets, workload},
    },
    Applied, Stop, pods, write,
};
use crate::{
    kubernetes::object::{Kind, Planned},
    postgres::{self, Database, credentials::Credentials},
    runtime::{context::Context, error::Error},
};

/// Secrets are read when needed, not watched: the operator may read them only in namespaces that it made.
pub(super) async fn read_secrets(namespace: &str, context: &Context) -> Result<secrets::Secrets, Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    // Not by label: a password must outlive the loss of one.
    let found = api.list(&ListParams::default()).await?;
    Ok(found.into_iter().map(|secret| (secret.name_any(), secret.into())).collect())
}

/// Where the Postgres is; an embedded one is made if it is not there.
pub(super) async fn server(
    blueprint: &Blueprint<'_>,
    present: &secrets::Secrets,
    context: &Context,
    applied: &mut Applied,
) -> Result<Credentials, Stop> {
    let settings = match &blueprint.server {
        Server::Embedded(settings) => settings,
        Server::CloudNativePg(settings, backup) => {
            return cloud_native(blueprint, (settings, backup.is_some()), present, context, applied).await;
        }
        Server::External(reference) => return external(blueprint, reference, context, applied).await,
    };
    let namespace = blueprint.namespace();
    let live = context.caches.get(Kind::StatefulSet, &namespace, embedded::NAME);
    let (authority, certificate) = certificates::planned(blueprint, present, Timestamp::now());
    write(certificate.as_slice(), context, applied).await?;
    let password = secrets::password(present, embedded::OPERATOR_SECRET);
    let encrypted = embedded::is_encrypted(live.as_deref().map(|live| &live.data), present);
    let credentials = embedded::operator_credentials(&namespace, &password, authority, encrypted);
    let secret = secrets::planned(blueprint, embedded::OPERATOR_SECRET, &credentials, present);
    write(secret.as_slice(), context, applied).await?;
    let (objects, pending) =
        embedded::objects(blueprint, settings, live.as_deref().map(workload::annotations).as_ref());
    if pending {
        applied.pending.push("StatefulSet postgres".to_owned());
    }
    write(&objects, context, applied).await?;
    Ok(credentials)
}

/// A cluster of CloudNativePG is made if it is not there, as soon as its definition is.
async fn cloud_native(
    blueprint: &Blueprint<'_>,
    (settings, backed_up): (&CloudNativePg, bool),
    present: &secrets::Secrets,
    context: &Context,
    applied: &mut Applied,
) -> Result<Credentials, Stop> {
    let namespace = blueprint.namespace();
    let password = secrets::password(present, secrets::CLOUD_NATIVE_LOGIN);
    let secret = secrets::cloud_native_login(blueprint, embedded::OPERATOR_LOGIN, &password, present);
    write(secret.as_slice(), context, applied).await?;
    let cluster = cloudnative_pg::cluster(blueprint, settings, secrets::CLOUD_NATIVE_LOGIN);
    // No watch tells of it.
    applied.next_look = Some(Duration::from_secs(10));
    let missing = "the definition clusters.postgresql.cnpg.io does not exist; install CloudNativePG, or choose another database.provider";
    apply_defined(&cluster, missing, context, applied).await?;
    let backups = context.applier.api(Kind::ScheduledBackup, &namespace);
    let scheduled = match backups.get(cloudnative_pg::NAME).await {
        Ok(_) => true,
        Err(error) if is_missing(&error) => false,
        Err(error) => return Err(error.into()),
    };
    if scheduled || backed_up {
        let nightly = cloudnative_pg::scheduled_backup(blueprint, !backed_up);
        let missing = "the definition scheduledbackups.postgresql.cnpg.io does not exist; install all of CloudNativePG, or take backup out";
        apply_defined(&nightly, missing, context, applied).await?;
    }
    let live = context.applier.api(Kind::Cluster, &namespace).get(cloudnative_pg::NAME).await?;
    applied.last_backup = live.data["status"]["lastSuccessfulBackup"].as_str().map(str::to_owned);
    let (phase, ready) = (live.data["status"]["phase"].as_str(), live.data["status"]["readyInstances"].as_i64());
    let authority = present.get(cloudnative_pg::AUTHORITY).and_then(|kept| kept.text("ca.crt")).map(str::to_owned);
    let Some(authority) = authority.filter(|_| ready.unwrap_or_default() >= 1) else {
        let phase = phase.unwrap_or("nothing yet");
        let message = format!("CloudNativePG says of Cluster {namespace}/{}: {phase}", cloudnative_pg::NAME);
        return Err(waits(reason::PROVISIONING, message, applied));
    };
    applied.next_look = None;
    Ok(cloudnative_pg::operator_credentials(&namespace, &password, authority))
}

/// Applies an object of another project's kind; waits with the message where that is not installed.
async fn apply_defined(planned: &Planned, missing: &str, context: &Context, applied: &mut Applied) -> Result<(), Stop> {
    match context.applier.apply(planned, &context.caches).await {
        Ok(written) => applied.changed |= written,
        Err(error) if is_missing(&error) => return Err(waits(reason::DEFINITION_MISSING, missing.to_owned(), applied)),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Says what the database waits for.
fn waits(reason: &'static str, message: String, applied: &mut Applied) -> Stop {
    applied.findings.push(Finding::new(conditions::DATABASE_READY, Some(false), reason, message));
    Stop::Wait
}

/// Whether the API server does not know the kind.
pub(super) fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

async fn external(
    blueprint: &Blueprint<'_>,
    reference: &SecretRef,
    context: &Context,
    applied: &mut Applied,
) -> Result<Credentials, Stop> {
    let mut invalid = |why: String| {
        applied.next_look = Some(Duration::from_secs(15));
        let message = format!("Secret {}/{}: {why}", reference.namespace, reference.name);
        applied.findings.push(Finding::new(conditions::DATABASE_READY, Some(false), reason::SECRET_INVALID, message));
        Stop::Wait
    };
    // Never that of another home: whoever may write a spec could borrow its database.
    let allowed = [context.options.database_secrets_namespace.clone(), blueprint.namespace()];
    if !allowed.contains(&reference.namespace) {
        return Err(invalid(format!("the operator reads Secrets only in {}; put it there", allowed.join(" and "))));
    }
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &reference.namespace);
    let Some(secret) = api.get_opt(&reference.name).await? else {
        return Err(invalid("does not exist; create it with host, port, user, password and dbname".to_owned()));
    };
    Credentials::from_secret(&secret.data.unwrap_or_default()).map_err(|error| invalid(error.to_string()))
}

/// The connection to the Postgres, with everything the services need in it.
pub(super) async fn connect(
    blueprint: &Blueprint<'_>,
    server: Credentials,
    logins: &[crate::postgres::setup::ServiceLogins],
    context: &Context,
    applied: &mut Applied,
) -> Result<Arc<Database>, Stop> {
    if let Some(database) = context.databases.get(&blueprint.home)
        && database.serves(&server, logins)
    {
        let trouble = context.databases.trouble(&blueprint.home);
        // Why the pod does not run says more than that nothing answers.
        let why = if trouble.is_some() { pods_trouble(blueprint, context).await? } else { None };
        applied.findings.push(match why {
            Some(why) => Finding::new(conditions::DATABASE_READY, Some(false), why.reason, why.message),
            None => answers(trouble.as_ref()),
        });
        return Ok(database);
    }
    if let Some(outdated) = context.databases.get(&blueprint.home) {
        outdated.close().await;
        context.databases.remove(&blueprint.home);
    }
    if matches!(blueprint.server, Server::Embedded(_)) && !is_up(blueprint, context) {
        let trouble = pods::trouble(&blueprint.namespace(), pods::OF_POSTGRES, context).await?;
        let (reason, message) = match trouble {
            Some(trouble) => (trouble.reason, trouble.message),
            None => (reason::PROVISIONING, "the embedded Postgres is starting; see pod postgres-0".to_owned()),
        };
        applied.next_look = Some(Duration::from_secs(10));
        applied.findings.push(Finding::new(conditions::DATABASE_READY, Some(false), reason, message));
        return Err(Stop::Wait);
    }
    match Database::connect(server, logins, &blueprint.home.to_string(), Arc::clone(&context.metrics)).await {
        Ok(database) => {
            let trouble = database.try_room().await.err();
            applied.findings.push(answers(trouble.as_ref()));
            context.databases.insert(&blueprint.home, Arc::clone(&database), trouble);
            (applied.changed, applied.connected) = (true, true);
            Ok(database)
        }
        Err(error) => {
            applied.findings.push(answers(Some(&error)));
            Err(error.into())
        }
    }
}

/// Whether Postgres answers, by what was wrong when it was last asked.
fn answers(trouble: Option<&postgres::Error>) -> Finding {
    let (ready, reason, message) = match trouble {
        None => (true, reason::AS_PLANNED, "Postgres answers".to_owned()),
        Some(trouble) => (false, trouble.reason(), trouble.to_string()),
    };
    Finding::new(conditions::DATABASE_READY, Some(ready), reason, message)
}

fn is_up(blueprint: &Blueprint, context: &Context) -> bool {
    context
        .caches
        .get(Kind::StatefulSet, &blueprint.namespace(), embedded::NAME)
        .is_some_and(|live| live.data["status"]["readyReplicas"].as_i64().unwrap_or_default() >= 1)
}

/// What keeps the pod of an embedded Postgres from running.
async fn pods_trouble(blueprint: &Blueprint<'_>, context: &Context) -> Result<Option<pods::Trouble>, Error> {
    if !matches!(blueprint.server, Server::Embedded(_)) {
        return Ok(None);
    }
    pods::trouble(&blueprint.namespace(), pods::OF_POSTGRES, context).await
}
