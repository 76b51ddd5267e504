//! What a tenant's records take in the service's database, held against the tenant's limit.
//!
//! Measured when something is to be written, at most once in [`MEASURE_INTERVAL`]: first by the files of the tenant's schema, which is
//! cheap. Files do not shrink when records are deleted, so only where they are over the limit are the records themselves measured.
//! A tenant over its limit can read and delete, and write nothing else; deleting makes room.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use easycode_contract::context::TenantContext;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::Problem;

/// Time for which a measurement counts.
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);
/// Part of the limit, in percent, from which on a tenant is warned.
const WARNING_PERCENT: u64 = 80;
/// Tells, in percent of the limit, what the tenant's records take: in answers to writes, from 80 on.
const HEADER: HeaderName = HeaderName::from_static("easycode-storage-used-percent");

/// Bytes of the files of the schema: tables with their indexes and large values.
const FILES: &str = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind IN ('r', 'm')";
/// The query for the bytes of the records of all tables of the schema, 24 more for each as Postgres has.
const RECORDS: &str = "SELECT 'SELECT (' || coalesce(string_agg(format(
        '(SELECT coalesce(sum(24 + %s), 0) FROM %I)', columns, relname), ' + '), '0') || ')::bigint'
    FROM (SELECT relname, string_agg(format('coalesce(pg_column_size(%I), 0)', attname), ' + ') AS columns
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind IN ('r', 'm')
        GROUP BY relname) AS tables";

/// What was measured of each tenant on this replica.
#[derive(Default)]
pub struct Storage(Mutex<HashMap<String, Measured>>);

#[derive(Clone, Copy)]
struct Measured {
    at: Instant,
    bytes: u64,
}

impl Storage {
    /// Refuses if the tenant's records in this service take as much as the tenant may have, or more. Measures as the tenant, so
    /// within a transaction of it. Returns the percentage that is used.
    ///
    /// # Errors
    /// 507 if there is no room; those of the database.
    pub(crate) async fn require_room(
        &self,
        connection: &mut PgConnection,
        context: &TenantContext,
    ) -> Result<u64, Problem> {
        let key = format!("{}/{}", context.tenant, context.uid);
        let known = self.lock().get(&key).copied().filter(|known| known.at.elapsed() < MEASURE_INTERVAL);
        let limit = context.limits.storage_bytes;
        let bytes = if let Some(known) = known {
            known.bytes
        } else {
            let bytes = measure(connection, limit).await?;
            self.lock().insert(key, Measured { at: Instant::now(), bytes });
            bytes
        };
        let percent = percent(bytes, limit);
        if bytes >= limit {
            tracing::warn!(tenant = context.tenant, bytes, limit, "write refused; the tenant's storage is full");
            return Err(Problem::storage_full());
        }
        if known.is_none() && percent >= WARNING_PERCENT {
            tracing::warn!(tenant = context.tenant, bytes, limit, percent, "the tenant's storage is nearly full");
        }
        Ok(percent)
    }

    /// What was measured no longer counts: something was deleted.
    pub(crate) fn forget(&self, context: &TenantContext) {
        self.lock().remove(&format!("{}/{}", context.tenant, context.uid));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Measured>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A limit of nothing is used up.
fn percent(bytes: u64, limit: u64) -> u64 {
    bytes.saturating_mul(100).checked_div(limit).unwrap_or(100)
}

async fn measure(connection: &mut PgConnection, limit: u64) -> Result<u64, Problem> {
    let files: i64 = sqlx::query_scalar(FILES).fetch_one(&mut *connection).await?;
    let files = u64::try_from(files).unwrap_or_default();
    if files < limit {
        return Ok(files);
    }
    // Made of names in the tenant's own schema alone, which Postgres quotes.
    let records: String = sqlx::query_scalar(RECORDS).fetch_one(&mut *connection).await?;
    match sqlx::query_scalar::<_, i64>(AssertSqlSafe(records)).fetch_one(connection).await {
        Ok(records) => Ok(u64::try_from(records).unwrap_or_default().min(files)),
        // They are too many to be read within the statement's time.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("57014") => Ok(files),
        Err(error) => Err(error.into()),
    }
}

/// Where a request's guard leaves what its answer is to tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notice(Arc<AtomicU64>);

impl Notice {
    pub(crate) fn set(&self, percent: u64) {
        self.0.store(percent, Ordering::Relaxed);
    }
}

/// Warns of storage that is nearly full, in a header of the answer.
pub(crate) async fn warn(mut request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let notice = Notice::default();
    request.extensions_mut().insert(notice.clone());
    let mut response = next.run(request).await;
    let percent = notice.0.load(Ordering::Relaxed);
    if percent >= WARNING_PERCENT {
        response.headers_mut().insert(HEADER, HeaderValue::from(percent));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_told_in_percent_of_the_limit() {
        assert_eq!([percent(0, 100), percent(799, 1000), percent(800, 1000), percent(5, 0)], [0, 79, 80, 100]);
        assert_eq!(percent(u64::MAX, 1), u64::MAX);
    }
}
