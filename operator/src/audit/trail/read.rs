//! Reads the records of one platform or instance out of its database.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use easycode_crds::{DedicatedInstance, SharedPlatform, instance, platform};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client};
use serde_json::Value;
use sqlx::{Connection, PgConnection, Row, postgres::PgRow};

use super::{Record, Wanted, Way, changes::changes, forward::forward};
use crate::{
    postgres::{credentials::Credentials, database::in_time},
    stack::{
        home::Home,
        plan::{cloudnative_pg, postgres as embedded, secrets},
    },
};

/// Each with the spec before it, whenever that was recorded.
const RECORDS: &str = "
    SELECT a.id, (extract(epoch FROM a.at) * 1000000)::bigint AS at, a.kind, a.name, a.uid, a.generation, a.actor, a.act,
           a.detail, (SELECT b.detail->'spec' FROM easycode.audit b
                      WHERE a.detail ? 'spec' AND b.uid = a.uid AND b.generation < a.generation
                        AND b.act IN ('SpecCreated', 'SpecChanged', 'SpecDeleted')
                      ORDER BY b.generation DESC LIMIT 1) AS before
    FROM easycode.audit a
    WHERE ($1::text IS NULL OR (a.kind = 'Tenant' AND a.name = $1))
      AND ($4::text IS NULL OR a.uid = $4)
      AND ($2::double precision IS NULL OR a.at >= now() - make_interval(secs => $2))
    ORDER BY a.id DESC LIMIT $3";

/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(15);

/// Reads, in a session that can't write.
pub async fn read(client: &Client, home: &Home, wanted: &Wanted, way: Way) -> anyhow::Result<Vec<Record>> {
    let mut credentials = login(client, home).await?;
    if way == Way::Outside {
        credentials = forward(client, credentials).await?;
    }
    let mut settings = vec![("default_transaction_read_only", "on".to_owned())];
    // Who gives up must not leave a query behind that goes on.
    settings.extend(wanted.patience.map(|patience| ("statement_timeout", patience.as_millis().to_string())));
    let options = credentials.options().application_name("easycode-audit").options(settings);
    let connecting = async { anyhow::Ok(PgConnection::connect_with(&options).await?) };
    let mut session = in_time(CONNECT, connecting).await?;
    let present: bool =
        sqlx::query_scalar("SELECT to_regclass('easycode.audit') IS NOT NULL").fetch_one(&mut session).await?;
    let rows = if present {
        let query = sqlx::query(RECORDS).bind(&wanted.tenant).bind(wanted.since.map(|since| since.as_secs_f64()));
        let query = query.bind(wanted.newest.map(i64::from)).bind(&wanted.uid);
        query.fetch_all(&mut session).await?
    } else {
        Vec::new()
    };
    session.close().await?;
    rows.iter().map(|row| record(row, home)).collect()
}

fn record(row: &PgRow, home: &Home) -> anyhow::Result<Record> {
    let detail: Value = row.try_get("detail")?;
    let before: Option<Value> = row.try_get("before")?;
    Ok(Record {
        id: row.try_get("id")?,
        at: Timestamp::from_microsecond(row.try_get("at")?)?,
        home: home.to_string(),
        kind: row.try_get("kind")?,
        name: row.try_get("name")?,
        uid: row.try_get("uid")?,
        generation: row.try_get("generation")?,
        actor: row.try_get("actor")?,
        act: row.try_get("act")?,
        changes: before.map(|before| changes(&before, &detail["spec"])),
        detail,
    })
}

enum Source {
    Secret { namespace: String, name: String },
    CloudNativePg,
}

/// The operator's own login.
async fn login(client: &Client, home: &Home) -> anyhow::Result<Credentials> {
    let namespace = home.namespace();
    let secret = async |namespace: &str, name: &str| -> anyhow::Result<BTreeMap<String, ByteString>> {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let reading = || format!("reading Secret {namespace}/{name}");
        let found = api.get_opt(name).await.with_context(reading)?;
        found.and_then(|secret| secret.data).with_context(|| format!("no Secret {namespace}/{name}"))
    };
    match source(client, home).await? {
        Source::Secret { namespace, name } => Ok(Credentials::from_secret(&secret(&namespace, &name).await?)?),
        Source::CloudNativePg => {
            let login = secret(&namespace, secrets::CLOUD_NATIVE_LOGIN).await?;
            let authority = secret(&namespace, cloudnative_pg::AUTHORITY).await?;
            let text = |data: &BTreeMap<String, ByteString>, key: &str| {
                let value = data.get(key).with_context(|| format!("the Secret has no {key}"))?;
                Ok::<_, anyhow::Error>(String::from_utf8(value.0.clone())?)
            };
            let (password, authority) = (text(&login, "password")?, text(&authority, "ca.crt")?);
            Ok(cloudnative_pg::operator_credentials(&namespace, &password, authority))
        }
    }
}

/// Where the login is.
async fn source(client: &Client, home: &Home) -> anyhow::Result<Source> {
    let embedded = || embedded_in(home);
    let named =
        |reference: platform::SecretRef| Source::Secret { namespace: reference.namespace, name: reference.name };
    match home {
        Home::Platform(name) => {
            let found = Api::<SharedPlatform>::all(client.clone()).get_opt(name).await?;
            let Some(database) = found.map(|platform| platform.spec.database) else { return Ok(embedded()) };
            match (database.provider, database.external) {
                (platform::Provider::External, Some(external)) => Ok(named(external.secret_ref)),
                (platform::Provider::External, None) => bail!("it names no Secret with its database"),
                (platform::Provider::Embedded, _) => Ok(embedded()),
            }
        }
        Home::Instance(name) => {
            let found = Api::<DedicatedInstance>::all(client.clone()).get_opt(name).await?;
            let Some(database) = found.map(|instance| instance.spec.database) else { return left(client, home).await };
            match (database.provider, database.external) {
                (instance::Provider::External, Some(external)) => Ok(named(external.secret_ref)),
                (instance::Provider::External, None) => bail!("it names no Secret with its database"),
                (instance::Provider::CloudNativePg, _) => Ok(Source::CloudNativePg),
                (instance::Provider::Embedded, _) => Ok(embedded()),
            }
        }
    }
}

fn embedded_in(home: &Home) -> Source {
    Source::Secret { namespace: home.namespace(), name: embedded::OPERATOR_SECRET.to_owned() }
}

/// Where the login of an instance is that does not exist any more: the Secrets that are left tell what it had. One that was elsewhere
/// left none.
async fn left(client: &Client, home: &Home) -> anyhow::Result<Source> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &home.namespace());
    let cloud_native = secrets.get_opt(secrets::CLOUD_NATIVE_LOGIN).await?.is_some();
    Ok(if cloud_native { Source::CloudNativePg } else { embedded_in(home) })
}
