//! Paging by key: a page goes on after the last record of the one before, so nothing is skipped or seen twice when records
//! come and go meanwhile. Ids are UUIDs of version 7, so their order is that of creation; what has no id is in the order of its texts.
//!
//! A page also ends, with a cursor for the rest, before its records come to more than [`PAGE_BYTES`]: a hundred large ones would take
//! the memory of the process.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{Stream, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Row, ValueRef, postgres::PgRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{App, Caller, Problem};

const MOST: i64 = 100;
/// Bytes, as Postgres sends them, that the records of a page have together at most, unless the first one alone has more. What is made
/// of them in memory takes several times as much.
pub const PAGE_BYTES: usize = 256 << 10;

/// Which page.
#[derive(Deserialize, IntoParams)]
pub struct PageQuery {
    /// Records a page, 1 to 100; 25 without it. Large ones are fewer: what counts is whether there is `next`.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// One page.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// The records.
    pub items: Vec<T>,
    /// Cursor of the next page; absent on the last.
    pub next: Option<String>,
}

impl PageQuery {
    /// Reads the page of what is selected, such as `id, name FROM item`; `key` is the column with the id, in whose order it is.
    pub async fn read<T>(
        &self,
        caller: &Caller,
        app: &App,
        select: &str,
        key: &str,
        id: impl Fn(&T) -> Uuid,
    ) -> Result<Page<T>, Problem>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        self.select(&mut *caller.begin(app).await?, select, key, id).await
    }

    /// As [`PageQuery::read`], in a transaction that was begun already.
    pub async fn select<T>(
        &self,
        connection: &mut PgConnection,
        select: &str,
        key: &str,
        id: impl Fn(&T) -> Uuid,
    ) -> Result<Page<T>, Problem>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let limit = bounded(self.limit)?;
        let after = self.after(|bytes| Uuid::from_slice(bytes).ok())?.unwrap_or_default();
        let query = format!("SELECT {select} WHERE {key} > $1 ORDER BY {key} LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(query)).bind(after).bind(limit + 1).fetch(connection);
        Page::of(rows, limit, |one| id(one).as_bytes().to_vec()).await
    }

    /// Reads the page of what is selected, such as `code, name FROM warehouse`, in the order of `keys`: columns of texts that
    /// together tell one record from all others.
    pub async fn read_by<T, const N: usize>(
        &self,
        caller: &Caller,
        app: &App,
        select: &str,
        keys: [&str; N],
        texts: impl Fn(&T) -> [&str; N],
    ) -> Result<Page<T>, Problem>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let limit = bounded(self.limit)?;
        let after = self.after(|bytes| {
            let texts: Vec<String> = serde_json::from_slice(bytes).ok()?;
            // Postgres stores no such character.
            (texts.len() == N && !texts.iter().any(|text| text.contains('\0'))).then_some(texts)
        })?;
        let keys = keys.join(", ");
        let places = (2..N + 2).map(|place| format!("${place}::text")).collect::<Vec<_>>().join(", ");
        let condition = if after.is_some() { format!("WHERE ({keys}) > ({places})") } else { String::new() };
        let query = format!("SELECT {select} {condition} ORDER BY {keys} LIMIT $1");
        let mut query = sqlx::query(AssertSqlSafe(query)).bind(limit + 1);
        for text in after.iter().flatten() {
            query = query.bind(text);
        }
        let mut transaction = caller.begin(app).await?;
        let rows = query.fetch(&mut *transaction);
        Page::of(rows, limit, |one| json!(texts(one).as_slice()).to_string().into_bytes()).await
    }

    /// What the page comes after.
    fn after<K>(&self, read: impl Fn(&[u8]) -> Option<K>) -> Result<Option<K>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let key = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| read(&bytes));
        key.map(Some).ok_or_else(|| Problem::invalid("cursor: use next of the page before, unchanged"))
    }
}

/// How many records a page has: what is asked for, within bounds.
pub fn bounded(limit: Option<i64>) -> Result<i64, Problem> {
    let limit = limit.unwrap_or(25);
    if (1..=MOST).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::invalid(format!("limit: must be from 1 to {MOST}")))
}

impl<T: for<'r> FromRow<'r, PgRow>> Page<T> {
    /// From one row more than the page may have, if there are so many.
    async fn of(
        rows: impl Stream<Item = sqlx::Result<PgRow>>,
        limit: i64,
        key: impl Fn(&T) -> Vec<u8>,
    ) -> Result<Self, Problem> {
        let (items, more) = within_budget(rows, usize::try_from(limit).unwrap_or_default(), PAGE_BYTES).await?;
        let next = items.last().filter(|_| more).map(|last| BASE64_URL_SAFE_NO_PAD.encode(key(last)));
        Ok(Self { items, next })
    }
}

/// The first records, at most so many and so large together, and whether there are more.
///
/// # Errors
/// Those of the database, and of a row that can't be read as a record.
pub async fn within_budget<T: for<'r> FromRow<'r, PgRow>>(
    rows: impl Stream<Item = sqlx::Result<PgRow>>,
    limit: usize,
    budget: usize,
) -> Result<(Vec<T>, bool), Problem> {
    let mut rows = std::pin::pin!(rows);
    let (mut items, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        bytes += size(&row)?;
        if items.len() >= limit || (bytes > budget && !items.is_empty()) {
            return Ok((items, true));
        }
        items.push(T::from_row(&row)?);
    }
    Ok((items, false))
}

/// The bytes of a row's values, as Postgres has sent them.
fn size(row: &PgRow) -> sqlx::Result<usize> {
    (0..row.len()).try_fold(0, |bytes, column| {
        let value = row.try_get_raw(column)?;
        let length = if value.is_null() { 0 } else { value.as_bytes().map_err(sqlx::Error::Decode)?.len() };
        Ok(bytes + length)
    })
}
