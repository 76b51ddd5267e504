//! Paging by key: a page goes on after the last record of the one before, so nothing is skipped or seen twice when records
//! come and go meanwhile. Ids are UUIDs of version 7, so their order is that of creation; what has no id is in the order of its texts.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, postgres::PgRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{App, Caller, Problem};

const MOST: i64 = 100;

/// Which page.
#[derive(Deserialize, IntoParams)]
pub struct PageQuery {
    /// Records a page, 1 to 100; 25 without it.
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
        let records = sqlx::query_as(AssertSqlSafe(query)).bind(after).bind(limit + 1).fetch_all(connection).await?;
        Ok(Page::of(records, limit, |one| id(one).as_bytes().to_vec()))
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
        let mut query = sqlx::query_as(AssertSqlSafe(query)).bind(limit + 1);
        for text in after.iter().flatten() {
            query = query.bind(text);
        }
        let mut transaction = caller.begin(app).await?;
        let records = query.fetch_all(&mut *transaction).await?;
        Ok(Page::of(records, limit, |one| json!(texts(one).as_slice()).to_string().into_bytes()))
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

impl<T> Page<T> {
    /// From one record more than the page has, if there are so many.
    fn of(mut items: Vec<T>, limit: i64, key: impl Fn(&T) -> Vec<u8>) -> Self {
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| BASE64_URL_SAFE_NO_PAD.encode(key(last)));
        Self { items, next }
    }
}
