//! The journal: entries that balance, and stay as they were posted. A mistake is mended by an entry that reverses it.

use std::collections::BTreeSet;

use axum::{extract::State, http::StatusCode};
use easycode_kit::{
    Amount, App, Caller, Currency, Json, Path, Problem, Query, RequestKey, TenantTransaction,
    date::Date,
    page::{Page, PageQuery},
    record::{self, untouched},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{MANAGER, POSTER};

/// The module of accounts, journal and reports.
pub const LEDGER: &str = "ledger";

/// An entry as it was posted.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// The day that it counts for.
    pub date: Date,
    /// What it is for.
    pub description: String,
    /// What had it posted, such as `manual`, `invoice` or `pos`.
    pub source: String,
    /// Its currency.
    pub currency: Currency,
    /// The entry that it reverses.
    pub reverses: Option<Uuid>,
    /// The user who posted it, or had it posted.
    pub posted_by: String,
    #[serde(skip)]
    fingerprint: Option<String>,
    /// Its lines.
    #[sqlx(skip)]
    pub lines: Vec<Line>,
}

/// A line of an entry: one account, one side.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Code of the account.
    pub account: String,
    /// What is added on the debit side.
    #[serde(default)]
    pub debit: Amount,
    /// What is added on the credit side.
    #[serde(default)]
    pub credit: Amount,
}

/// What is to be posted.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryInput {
    /// The day that it counts for; today without it.
    pub date: Option<Date>,
    /// What it is for.
    pub description: String,
    /// What has it posted; `manual` without it.
    pub source: Option<String>,
    /// Its currency.
    pub currency: Currency,
    /// Its lines, 2 to 200; debits and credits must be equal.
    pub lines: Vec<Line>,
}

const FIELDS: &str = "id, date, description, source, currency::text AS currency, reverses, posted_by, fingerprint";

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read)).routes(routes!(reverse))
}

impl EntryInput {
    /// Refuses with words what the database would refuse by a constraint.
    fn check(&self) -> Result<(), Problem> {
        record::bounded(self.lines.len(), 2)?;
        for (at, line) in self.lines.iter().enumerate() {
            if (line.debit == Amount::ZERO) == (line.credit == Amount::ZERO) {
                return Err(Problem::invalid(format!("lines.{at}: must have either a debit or a credit")));
            }
        }
        let sum = |side: fn(&Line) -> Amount| self.lines.iter().map(side).sum::<Amount>();
        let (debit, credit) = (sum(|line| line.debit), sum(|line| line.credit));
        if debit != credit {
            return Err(Problem::invalid(format!(
                "lines: debits are {debit} and credits {credit}; they must be equal"
            )));
        }
        Ok(())
    }
}

/// A page of entries, oldest first, without their lines.
#[utoipa::path(get, path = "/", tag = "journal", params(PageQuery), responses((status = 200, body = Page<Entry>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Entry>>, Problem> {
    caller.require_module(&app.config.service, LEDGER)?;
    Ok(Json(page.read(&caller, &app, &format!("{FIELDS} FROM entry"), "id", |one: &Entry| one.id).await?))
}

/// One entry.
#[utoipa::path(get, path = "/{id}", tag = "journal", responses((status = 200, body = Entry), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Entry>, Problem> {
    caller.require_module(&app.config.service, LEDGER)?;
    let mut transaction = caller.begin(&app).await?;
    find(&mut transaction, "id", id).await?.map(Json).ok_or_else(|| untouched(false, "entry"))
}

/// Posts an entry. Sent again with the same `Idempotency-Key`, it answers with what was posted the first time.
#[utoipa::path(post, path = "/", tag = "journal", params(RequestKey), request_body = EntryInput, responses((status = 200, body = Entry, description = "It was done before, by the same key."), (status = 201, body = Entry), (status = 409), (status = 422)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    key: RequestKey,
    Json(input): Json<EntryInput>,
) -> Result<(StatusCode, Json<Entry>), Problem> {
    caller.require_module(&app.config.service, LEDGER)?;
    caller.require_any_role(&[MANAGER, POSTER])?;
    input.check()?;
    let mut transaction = caller.begin(&app).await?;
    let fingerprint = record::fingerprint(&input);
    let known = key.0.as_deref().map(|key| (key, fingerprint.as_str()));
    let Some(id) = post(&mut transaction, &caller, &input, None, known).await? else {
        return again(transaction, known.map_or("", |(key, _)| key), &fingerprint).await;
    };
    let entry = find(&mut transaction, "id", id).await?.ok_or_else(Problem::internal)?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(entry)))
}

/// Posts the reverse of an entry, which can be done once. What reverses another can't be reversed: what it took back is posted anew.
#[utoipa::path(post, path = "/{id}/reversal", tag = "journal", responses((status = 201, body = Entry), (status = 404), (status = 409)))]
async fn reverse(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<Entry>), Problem> {
    caller.require_module(&app.config.service, LEDGER)?;
    caller.require_role(MANAGER)?;
    let mut transaction = caller.begin(&app).await?;
    let before = find(&mut transaction, "id", id).await?.ok_or_else(|| untouched(false, "entry"))?;
    // Else what a void invoice or a payment that was taken back had posted would be in the books again.
    if before.reverses.is_some() {
        return Err(Problem::conflict("the entry reverses another and stays; post what is to count as a new entry"));
    }
    let bound: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM invoice WHERE entry_id = $1) OR EXISTS (SELECT FROM payment WHERE entry_id = $1)",
    )
    .bind(id)
    .fetch_one(&mut *transaction)
    .await?;
    if bound {
        return Err(Problem::conflict(
            "the entry belongs to an invoice or to a payment of one; void that, or take it back",
        ));
    }
    let reversed: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM entry WHERE reverses = $1)")
        .bind(id)
        .fetch_one(&mut *transaction)
        .await?;
    if reversed {
        return Err(Problem::conflict("the entry is reversed already"));
    }
    let made = post(&mut transaction, &caller, &reversal_of(&before), Some(id), None).await?;
    let made = made.ok_or_else(Problem::internal)?;
    let entry = find(&mut transaction, "id", made).await?.ok_or_else(Problem::internal)?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(entry)))
}

/// The entry with its sides exchanged.
#[must_use]
pub fn reversal_of(entry: &Entry) -> EntryInput {
    let turned = |line: &Line| Line { account: line.account.clone(), debit: line.credit, credit: line.debit };
    let description: String = format!("Reversal of: {}", entry.description).chars().take(500).collect();
    EntryInput {
        date: None,
        description,
        source: Some(entry.source.clone()),
        currency: entry.currency.clone(),
        lines: entry.lines.iter().map(turned).collect(),
    }
}

/// Answers with what the same request has posted before.
async fn again(
    mut transaction: TenantTransaction,
    key: &str,
    fingerprint: &str,
) -> Result<(StatusCode, Json<Entry>), Problem> {
    let before = find(&mut transaction, "request_key", key).await?.ok_or_else(Problem::internal)?;
    RequestKey::same(before.fingerprint.as_deref(), fingerprint)?;
    Ok((StatusCode::OK, Json(before)))
}

/// Posts what was checked, and returns its id; nothing if the request's key was used before. `known` is that key, with the
/// fingerprint of what is asked for.
pub async fn post(
    transaction: &mut TenantTransaction,
    caller: &Caller,
    input: &EntryInput,
    reverses: Option<Uuid>,
    known: Option<(&str, &str)>,
) -> Result<Option<Uuid>, Problem> {
    let accounts: BTreeSet<&str> = input.lines.iter().map(|line| line.account.as_str()).collect();
    let accounts: Vec<&str> = accounts.into_iter().collect();
    // Locked, so that none is closed while it is posted to.
    let open: Vec<(String, bool)> =
        sqlx::query_as("SELECT code, closed FROM account WHERE code = ANY($1) ORDER BY code FOR SHARE")
            .bind(&accounts)
            .fetch_all(&mut **transaction)
            .await?;
    for account in accounts {
        match open.iter().find(|(code, _)| code == account) {
            None => return Err(Problem::invalid(format!("lines: there is no account {account}"))),
            Some((_, true)) => return Err(Problem::conflict(format!("lines: account {account} is closed"))),
            Some(_) => {}
        }
    }
    let id = Uuid::now_v7();
    // Of two with one key at once, the second waits here for the first.
    let posted = sqlx::query(
        "INSERT INTO entry (id, date, description, source, currency, lines, reverses, request_key, posted_by, fingerprint)
         VALUES ($1, coalesce($2, current_date), $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (request_key) DO NOTHING",
    )
    .bind(id)
    .bind(input.date)
    .bind(&input.description)
    .bind(input.source.as_deref().unwrap_or("manual"))
    .bind(&input.currency)
    .bind(i32::try_from(input.lines.len()).unwrap_or(i32::MAX))
    .bind(reverses)
    .bind(known.map(|(key, _)| key))
    .bind(&caller.subject)
    .bind(known.map(|(_, fingerprint)| fingerprint))
    .execute(&mut **transaction)
    .await?;
    if posted.rows_affected() == 0 {
        return Ok(None);
    }
    let column = |side: fn(&Line) -> Amount| input.lines.iter().map(side).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO entry_line (entry_id, position, account, debit, credit)
         SELECT $1, position, account, debit, credit
         FROM unnest($2::text[], $3::numeric[], $4::numeric[]) WITH ORDINALITY line(account, debit, credit, position)",
    )
    .bind(id)
    .bind(input.lines.iter().map(|line| line.account.as_str()).collect::<Vec<_>>())
    .bind(column(|line| line.debit))
    .bind(column(|line| line.credit))
    .execute(&mut **transaction)
    .await?;
    Ok(Some(id))
}

/// The entry that has the value in a column which is unique.
pub async fn find<'a, V>(
    transaction: &mut TenantTransaction,
    column: &'static str,
    value: V,
) -> Result<Option<Entry>, Problem>
where
    V: sqlx::Encode<'a, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + 'a,
{
    let query = format!("SELECT {FIELDS} FROM entry WHERE {column} = $1");
    let found: Option<Entry> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(value).fetch_optional(&mut **transaction).await?;
    let Some(mut entry) = found else { return Ok(None) };
    entry.lines = sqlx::query_as("SELECT account, debit, credit FROM entry_line WHERE entry_id = $1 ORDER BY position")
        .bind(entry.id)
        .fetch_all(&mut **transaction)
        .await?;
    Ok(Some(entry))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn entry(lines: &serde_json::Value) -> Result<(), String> {
        let input = json!({ "description": "x", "currency": "EUR", "lines": lines });
        from_value::<EntryInput>(input).unwrap().check().map_err(|problem| problem.detail)
    }

    #[test]
    fn an_entry_balances() {
        let cash = |amount: &str| json!({ "account": "1000", "debit": amount });
        let sales = |amount: &str| json!({ "account": "4000", "credit": amount });
        assert_eq!(entry(&json!([cash("12.10"), sales("10.00"), sales("2.10")])), Ok(()));
        let refused = entry(&json!([cash("12.10"), sales("12.00")])).unwrap_err();
        assert!(refused.contains("debits are 12.10 and credits 12.00"), "{refused}");
        assert!(entry(&json!([cash("0")])).unwrap_err().contains("2 to 200"));
        let both = json!({ "account": "1000", "debit": "1", "credit": "1" });
        assert!(entry(&json!([both, both])).unwrap_err().contains("lines.0"));
        assert!(entry(&json!([{ "account": "1000" }, { "account": "4000" }])).unwrap_err().contains("either"));
    }
}
