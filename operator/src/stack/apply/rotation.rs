//! Renews credentials, a step at each look; `plan/rotation.rs` says which.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    super::{
        blueprint::{Blueprint, Server},
        plan::{
            postgres,
            rotation::{self, Step},
            secrets::{self, Secrets},
            signing_keys,
        },
    },
    Applied, write,
};
use crate::{
    audit,
    kubernetes::{labels, object::Kind},
    postgres::{
        self as database, Database,
        credentials::{Credentials, generate_password},
        setup::ServiceLogins,
    },
    runtime::{context::Context, error::Error},
};

/// How often a renewal that is under way is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Takes the steps that are due. `present` are the Secrets as they were read before; those that were made since are new.
pub(super) async fn rotate(
    blueprint: &Blueprint<'_>,
    present: &Secrets,
    database: &Database,
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Error> {
    if context.databases.trouble(&blueprint.home).is_some() {
        return Ok(());
    }
    let (now, rotation) = (Timestamp::now(), &blueprint.rotation);
    let (mut moving, mut moved, mut since, mut due) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let record = async |words: &str| audit::record_act(&blueprint.home, "Rotate", words, database, context).await;
    let services: Vec<_> = database.services().into_iter().map(str::to_owned).collect();
    for service in &services {
        let name = secrets::service_secret(service);
        let Some(kept) = present.get(&name) else { continue };
        match rotation::next(rotation, kept, database.other_sessions(service).await?, now) {
            Step::Rest => {
                since.extend(kept.time(labels::ROTATED));
                due.extend(rotation::next_due(rotation, kept));
            }
            Step::Open => {
                // Before the Secret: pods must not be told of what does not work yet.
                let next = database.open_other(service, generate_password()).await?;
                record(&format!("open {} with a new password", next.login.as_str())).await?;
                let credentials = next.serving(&database.server()).map_err(database::Error::from)?;
                write(&[secrets::renewed(blueprint, &name, &credentials, now)], context, applied).await?;
                database.use_logins(next);
                moving.push(service.as_str());
            }
            Step::Wait => moving.push(service.as_str()),
            Step::Close => {
                record(&format!("close the login of {service} that is not in use any more")).await?;
                database.close_other(service).await?;
                if rotation::is_due(rotation, kept, now) {
                    moving.push(service.as_str());
                } else {
                    moved.push(service.as_str());
                    since.extend(kept.time(labels::ROTATED));
                }
            }
        }
    }
    if let Some(turned) = signing_keys::turned(blueprint, present, now) {
        record("let user-service sign with its next key").await?;
        write(&[turned], context, applied).await?;
    }
    let waits = renew_others(blueprint, present, database, now, context, applied).await?;
    if moving.is_empty() {
        applied.rotated_at = since.into_iter().min();
    } else {
        applied.rotating =
            Some(format!("{} go over to new credentials for the database within minutes", moving.join(", ")));
    }
    if !moved.is_empty() {
        applied.rotated = Some(format!(
            "{} use new credentials for the database since {}; those of before are refused",
            moved.join(", "),
            applied.rotated_at.unwrap_or(now)
        ));
    }
    let next = if moving.is_empty() && !waits {
        due.into_iter().min().map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default())
    } else {
        Some(LOOK)
    };
    applied.next_look = applied.next_look.into_iter().chain(next).min();
    Ok(())
}

/// Renews the logins that no request depends on: the migrations', and the operator's own. The Secret comes first, since a
/// password that Postgres does not know yet is set at the next connection. Returns whether something has to wait.
async fn renew_others(
    blueprint: &Blueprint<'_>,
    present: &Secrets,
    database: &Database,
    now: Timestamp,
    context: &Context,
    applied: &mut Applied,
) -> Result<bool, Error> {
    let is_due = |name: &str| present.get(name).is_some_and(|kept| rotation::is_due(&blueprint.rotation, kept, now));
    // A job that has begun has the password of before.
    let jobs = context.caches.list(Kind::Job, &blueprint.namespace());
    let runs = jobs.iter().any(|job| job.data["status"]["active"].as_i64().unwrap_or_default() > 0);
    let record = async |words: &str| audit::record_act(&blueprint.home, "Rotate", words, database, context).await;
    let mut waits = false;
    let services: Vec<_> = database.services().into_iter().map(str::to_owned).collect();
    for service in &services {
        let name = secrets::migration_secret(service);
        let lent = present.get(&name).is_some_and(secrets::was_lent);
        let Some(logins) = database.logins_of(service).filter(|_| lent || is_due(&name)) else { continue };
        if runs {
            waits = true;
            continue;
        }
        let next = ServiceLogins { migration_password: generate_password(), ..logins };
        record(&format!("set a new password for the migrations of {service}")).await?;
        let credentials = next.migrating(&database.server()).map_err(database::Error::from)?;
        let secret = secrets::renewed(blueprint, &name, &credentials, now);
        if lent {
            // The Secret says that it is done, so here it comes last; after a crash before it, all is done again.
            database.renew_migrations(service, &next.migration_password).await?;
            database.end_migration_sessions(service).await?;
            write(&[secret], context, applied).await?;
        } else {
            write(&[secret], context, applied).await?;
            database.renew_migrations(service, &next.migration_password).await?;
        }
    }
    // That at an external Postgres is renewed by whoever runs it.
    let own = match &blueprint.server {
        Server::Embedded(_) => postgres::OPERATOR_SECRET,
        Server::CloudNativePg(..) => secrets::CLOUD_NATIVE_LOGIN,
        Server::External(_) => return Ok(waits),
    };
    if is_due(own) {
        let next = Credentials { password: generate_password(), ..database.server() };
        record("set a new password for the operator's own login").await?;
        write(&[secrets::renewed(blueprint, own, &next, now)], context, applied).await?;
        database.renew_own(&next).await?;
    }
    Ok(waits)
}
