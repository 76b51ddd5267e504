//! Paging by key: a page goes on after the last record of the one before, so nothing is skipped or seen twice when records
//! come and go meanwhile. Ids are UUIDs of version 7, so their order is that of creation.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
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
        let (limit, after) = self.resolve()?;
        let query = format!("SELECT {select} WHERE {key} > $1 ORDER BY {key} LIMIT $2");
        let records = sqlx::query_as(AssertSqlSafe(query)).bind(after).bind(limit + 1).fetch_all(connection).await?;
        Ok(Page::of(records, limit, id))
    }

    /// Number of records, and the id they come after.
    fn resolve(&self) -> Result<(i64, Uuid), Problem> {
        let limit = self.limit.unwrap_or(25);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::invalid(format!("limit: must be from 1 to {MOST}")));
        }
        let after = match &self.cursor {
            None => Uuid::nil(),
            Some(cursor) => BASE64_URL_SAFE_NO_PAD
                .decode(cursor)
                .ok()
                .and_then(|bytes| Uuid::from_slice(&bytes).ok())
                .ok_or_else(|| Problem::invalid("cursor: use next of the page before, unchanged"))?,
        };
        Ok((limit, after))
    }
}

impl<T> Page<T> {
    /// From one record more than the page has, if there are so many.
    fn of(mut items: Vec<T>, limit: i64, id: impl Fn(&T) -> Uuid) -> Self {
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| BASE64_URL_SAFE_NO_PAD.encode(id(last).as_bytes()));
        Self { items, next }
    }
}
