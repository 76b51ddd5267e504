//! Settings and their versions in the tenant's own schema. Versions are numbered on when settings go back to their defaults, so that
//! a version names one state for ever.

use easycode_kit::{
    Caller, Problem, TenantTransaction,
    page::{PAGE_BYTES, within_budget},
};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Settings of one service, as they are.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// The service, or `ui`.
    pub service: String,
    /// What is set; empty where the defaults are in force.
    pub value: Value,
    /// Grows with each change, from 0 where nothing was ever set; send it as `If-Match`.
    pub version: i32,
    /// When they were changed last.
    #[serde(with = "time::serde::rfc3339::option")]
    pub changed_at: Option<OffsetDateTime>,
    /// Who changed them last.
    pub changed_by: Option<String>,
}

impl Setting {
    /// Whether the defaults are in force.
    pub fn is_default(&self) -> bool {
        self.value.as_object().is_none_or(serde_json::Map::is_empty)
    }
}

/// What made a version.
#[derive(Clone, Copy, Debug, Serialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text")]
pub enum Act {
    /// An administrator set it.
    Set,
    /// An earlier version was taken back.
    Rollback,
    /// The defaults were taken back.
    Reset,
}

/// A version of the settings of a service.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Its number.
    #[serde(rename = "version")]
    #[sqlx(rename = "version")]
    pub number: i32,
    /// What made it.
    pub act: Act,
    /// What was set; empty where the defaults were taken back.
    pub value: Value,
    /// The version that was taken back, by a rollback.
    pub restored: Option<i32>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who made it.
    pub by: String,
}

/// A change to be made.
pub enum Change {
    /// To this value.
    Set(Value),
    /// To the value of the version.
    Rollback(i32, Value),
    /// To the defaults.
    Reset,
}

const VERSION: &str = "version, act, value, restored, made_at AS at, made_by AS by FROM setting_version";

/// All that is set.
pub async fn all(transaction: &mut TenantTransaction) -> Result<Vec<Setting>, Problem> {
    let query = "SELECT service, value, version, updated_at AS changed_at, updated_by AS changed_by FROM setting
        ORDER BY service";
    Ok(sqlx::query_as(query).fetch_all(&mut **transaction).await?)
}

/// The settings of a service as they are, set or not.
pub async fn present(transaction: &mut TenantTransaction, service: &str) -> Result<Setting, Problem> {
    let query = "SELECT $1 AS service, coalesce(setting.value, '{}') AS value,
            greatest(setting.version, last.version, 0) AS version,
            coalesce(setting.updated_at, last.made_at) AS changed_at,
            coalesce(setting.updated_by, last.made_by) AS changed_by
        FROM (VALUES ($1)) AS asked (service) LEFT JOIN setting USING (service)
            LEFT JOIN LATERAL (SELECT version, made_at, made_by FROM setting_version
                WHERE service = $1 ORDER BY version DESC LIMIT 1) AS last ON true";
    Ok(sqlx::query_as(query).bind(service).fetch_one(&mut **transaction).await?)
}

/// A page of versions, newest first, of those before one, and whether there are older ones.
pub async fn versions(
    transaction: &mut TenantTransaction,
    service: &str,
    before: i32,
    limit: i64,
) -> Result<(Vec<Version>, bool), Problem> {
    let query = format!("SELECT {VERSION} WHERE service = $1 AND version < $2 ORDER BY version DESC LIMIT $3");
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(query)).bind(service).bind(before).bind(limit + 1).fetch(&mut **transaction);
    within_budget(rows, usize::try_from(limit).unwrap_or_default(), PAGE_BYTES).await
}

/// One version.
pub async fn version(transaction: &mut TenantTransaction, service: &str, number: i32) -> Result<Version, Problem> {
    let query = format!("SELECT {VERSION} WHERE service = $1 AND version = $2");
    let found =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(service).bind(number).fetch_optional(&mut **transaction);
    found.await?.ok_or_else(|| Problem::not_found(format!("the settings of {service} have no version {number}")))
}

/// Holds all changes of the tenant's settings back until the transaction ends.
pub async fn hold(transaction: &mut TenantTransaction) -> Result<(), Problem> {
    sqlx::query("LOCK TABLE setting_version IN SHARE ROW EXCLUSIVE MODE").execute(&mut **transaction).await?;
    Ok(())
}

/// Changes the present settings; the transaction must [`hold`] the others back.
pub async fn change(
    transaction: &mut TenantTransaction,
    caller: &Caller,
    present: Setting,
    change: Change,
) -> Result<Setting, Problem> {
    let (service, version) = (present.service.as_str(), present.version + 1);
    let (act, value, restored) = match change {
        Change::Set(value) => (Act::Set, value, None),
        Change::Rollback(restored, value) => (Act::Rollback, value, Some(restored)),
        Change::Reset => (Act::Reset, json!({}), None),
    };
    sqlx::query(
        "INSERT INTO setting_version (service, version, act, value, restored, made_by) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(service)
    .bind(version)
    .bind(act)
    .bind(&value)
    .bind(restored)
    .bind(&caller.subject)
    .execute(&mut **transaction)
    .await?;
    if matches!(act, Act::Reset) {
        sqlx::query("DELETE FROM setting WHERE service = $1").bind(service).execute(&mut **transaction).await?;
    } else {
        sqlx::query(
            "INSERT INTO setting (service, value, version, updated_by) VALUES ($1, $2, $3, $4)
             ON CONFLICT (service) DO UPDATE SET value = excluded.value, version = excluded.version,
                 updated_at = now(), updated_by = excluded.updated_by",
        )
        .bind(service)
        .bind(&value)
        .bind(version)
        .bind(&caller.subject)
        .execute(&mut **transaction)
        .await?;
    }
    self::present(transaction, service).await
}
