//! What moves: receipts, issues, transfers and corrections. Each is a document whose lines happen together, or not at all.

use axum::{extract::State, http::StatusCode};
use easycode_kit::{
    Amount, App, Caller, Currency, Json, Path, Problem, Quantity, RequestKey, TenantTransaction,
    record::{self, untouched},
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    LOTS, MANAGER, MOVER, WAREHOUSING,
    stock::{self, Goods, Place},
};

/// The warehouse of who names none.
pub(crate) const MAIN: &str = "MAIN";

/// A document.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Movement {
    /// Its id.
    pub id: Uuid,
    /// `Receipt`, `Issue`, `Transfer` or `Adjustment`.
    pub kind: String,
    /// What it is for, as whoever made it says.
    pub reference: Option<String>,
    /// What it was worth in all: what came in less what went out.
    pub cost: Amount,
    /// What came in cost so much more than that was counted at which had gone out before it was there; with a minus, less. The
    /// stock is worth so much less than its receipts say: whoever posts them posts this to the cost of goods, against the stock.
    pub variance: Amount,
    #[serde(skip)]
    fingerprint: Option<String>,
    /// Its lines.
    #[sqlx(skip)]
    pub lines: Vec<MovementLine>,
}

/// A line of a document.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct MovementLine {
    /// The item.
    pub sku: String,
    /// Where it came in, or went out.
    pub warehouse: String,
    /// How much came in; with a minus, went out.
    pub quantity: Quantity,
    /// What that was worth, by first in, first out; with a minus where it went out.
    pub cost: Amount,
    /// What of that is a variance, since it settles what had gone out at another cost.
    pub variance: Amount,
    /// What its costs are in; absent until a receipt named a currency.
    pub currency: Option<Currency>,
    /// Its lot.
    pub lot: Option<String>,
}

/// What comes in.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReceiptInput {
    /// Where; `MAIN` without it.
    warehouse: Option<String>,
    /// What it is for.
    reference: Option<String>,
    /// The goods, 1 to 200 lines.
    lines: Vec<ReceiptLine>,
    /// What their costs are in; each item's own currency without it. The first that is named for an item stays its own.
    // Not in the fingerprint of what was sent before there was one, as for what costs in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
}

/// A line of what comes in.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ReceiptLine {
    /// The item.
    sku: String,
    /// How much.
    quantity: Quantity,
    /// What one of it cost; either this or `cost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_cost: Option<Amount>,
    /// Its lot; needs the module `lots`.
    lot: Option<String>,
    /// What all of it cost; either this or `unitCost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Amount>,
}

impl ReceiptLine {
    fn goods(&self) -> Result<Goods, Problem> {
        let quantity = self.quantity.exact();
        let (worth, unit_cost) = match (self.unit_cost, self.cost) {
            (Some(one), None) => (Amount::rounded(quantity * one.exact()), one.exact()),
            (None, Some(all)) => (all, all.exact() / quantity),
            _ => return Err(Problem::invalid(format!("lines: give either unitCost or cost of {}", self.sku))),
        };
        Ok(Goods { quantity, worth, unit_cost, lot: self.lot.clone() })
    }
}

/// What goes out.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IssueInput {
    /// Where from; `MAIN` without it.
    warehouse: Option<String>,
    /// What it is for.
    reference: Option<String>,
    /// The goods, 1 to 200 lines.
    lines: Vec<IssueLine>,
    /// A reservation that is used up by it.
    reservation: Option<Uuid>,
}

/// A line of what goes out.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IssueLine {
    /// The item.
    sku: String,
    /// How much.
    quantity: Quantity,
    /// From which lot; the oldest goods of any without it.
    lot: Option<String>,
}

/// What goes from one warehouse to another.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransferInput {
    /// Where from.
    from: String,
    /// Where to.
    to: String,
    /// What it is for.
    reference: Option<String>,
    /// The goods, 1 to 200 lines.
    lines: Vec<IssueLine>,
}

/// What was counted.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CountInput {
    /// Where; `MAIN` without it.
    warehouse: Option<String>,
    /// Why it is corrected.
    reference: Option<String>,
    /// The item.
    sku: String,
    /// How much is there; `0` for nothing.
    #[serde(deserialize_with = "Quantity::or_nothing")]
    counted: Quantity,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(receive))
        .routes(routes!(issue))
        .routes(routes!(transfer))
        .routes(routes!(count))
        .routes(routes!(read))
}

/// One document.
#[utoipa::path(get, path = "/movements/{id}", tag = "movements", responses((status = 200, body = Movement), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Movement>, Problem> {
    let mut transaction = caller.begin(&app).await?;
    find(&mut transaction, "id", id).await?.map(Json).ok_or_else(|| untouched(false, "movement"))
}

/// Takes goods in. Sent again with the same `Idempotency-Key`, they come in once.
#[utoipa::path(post, path = "/receipts", tag = "movements", params(RequestKey), request_body = ReceiptInput, responses((status = 200, body = Movement, description = "It was done before, by the same key."), (status = 201, body = Movement), (status = 422)))]
async fn receive(
    caller: Caller,
    State(app): State<App>,
    key: RequestKey,
    Json(mut input): Json<ReceiptInput>,
) -> Result<(StatusCode, Json<Movement>), Problem> {
    let warehouse = input.warehouse.as_deref().unwrap_or(MAIN).to_owned();
    may_move(&caller, &app, &[&warehouse], input.lines.iter().any(|line| line.lot.is_some()))?;
    record::bounded(input.lines.len(), 1)?;
    input.lines.sort_by(|a, b| a.sku.cmp(&b.sku));
    let fingerprint = record::fingerprint(&("Receipt", &input));
    let mut document = Document::begin(&caller, &app, "Receipt", input.reference, (key, fingerprint)).await?;
    if let Some(before) = document.before.take() {
        return Ok((StatusCode::OK, Json(before)));
    }
    for line in &input.lines {
        let goods = line.goods()?;
        if let Some(currency) = &input.currency {
            stock::has_costs_in(&mut document.transaction, &line.sku, currency).await?;
        }
        let mut place = document.place(&line.sku, &warehouse).await?;
        input.currency.as_ref().map_or(Ok(()), |currency| place.counts_in(currency))?;
        let variance = place.take_in(&mut document.transaction, &goods).await?;
        document.line(&place, goods.quantity, (goods.worth, variance), line.lot.as_deref()).await?;
    }
    document.end().await
}

/// Takes goods out, the oldest first. More than is there and not kept back goes out only of items that allow it. Sent again with
/// the same `Idempotency-Key`, they go out once.
#[utoipa::path(post, path = "/issues", tag = "movements", params(RequestKey), request_body = IssueInput, responses((status = 200, body = Movement, description = "It was done before, by the same key."), (status = 201, body = Movement), (status = 404), (status = 409), (status = 422)))]
async fn issue(
    caller: Caller,
    State(app): State<App>,
    key: RequestKey,
    Json(mut input): Json<IssueInput>,
) -> Result<(StatusCode, Json<Movement>), Problem> {
    let warehouse = input.warehouse.as_deref().unwrap_or(MAIN).to_owned();
    may_move(&caller, &app, &[&warehouse], input.lines.iter().any(|line| line.lot.is_some()))?;
    record::bounded(input.lines.len(), 1)?;
    input.lines.sort_by(|a, b| a.sku.cmp(&b.sku));
    let fingerprint = record::fingerprint(&("Issue", &input));
    let mut document = Document::begin(&caller, &app, "Issue", input.reference, (key, fingerprint)).await?;
    if let Some(before) = document.before.take() {
        return Ok((StatusCode::OK, Json(before)));
    }
    // What is kept back is free for the line that it was kept back for.
    let mut kept = None;
    if let Some(id) = input.reservation {
        let reserved = stock::reserved(&mut document.transaction, id).await?;
        let (sku, of) = (&reserved.sku, &reserved.warehouse);
        if *of != warehouse {
            return Err(Problem::conflict(format!("reservation: it keeps goods back in {of}, not in {warehouse}")));
        }
        if !input.lines.iter().any(|line| line.sku == *sku) {
            return Err(Problem::conflict(format!("reservation: it keeps {sku} back, which is not among the lines")));
        }
        kept = Some(reserved);
    }
    for line in &input.lines {
        let mut place = document.place(&line.sku, &warehouse).await?;
        if let Some(kept) = kept.take_if(|kept| kept.sku == line.sku) {
            kept.end(&mut document.transaction).await?;
            place = document.place(&line.sku, &warehouse).await?;
        }
        let quantity = line.quantity.exact();
        let (worth, _) = place.take_out(&mut document.transaction, quantity, line.lot.as_deref()).await?;
        document.line(&place, -quantity, (Amount::ZERO - worth, Amount::ZERO), line.lot.as_deref()).await?;
    }
    document.end().await
}

/// Takes goods from one warehouse to another, at what they cost.
#[utoipa::path(post, path = "/transfers", tag = "movements", params(RequestKey), request_body = TransferInput, responses((status = 200, body = Movement, description = "It was done before, by the same key."), (status = 201, body = Movement), (status = 403), (status = 409)))]
async fn transfer(
    caller: Caller,
    State(app): State<App>,
    key: RequestKey,
    Json(mut input): Json<TransferInput>,
) -> Result<(StatusCode, Json<Movement>), Problem> {
    caller.require_module(&app.config.service, WAREHOUSING)?;
    may_move(&caller, &app, &[&input.from, &input.to], input.lines.iter().any(|line| line.lot.is_some()))?;
    record::bounded(input.lines.len(), 1)?;
    if input.from == input.to {
        return Err(Problem::invalid("to: must be another warehouse than from"));
    }
    input.lines.sort_by(|a, b| a.sku.cmp(&b.sku));
    let fingerprint = record::fingerprint(&("Transfer", &input));
    let mut document = Document::begin(&caller, &app, "Transfer", input.reference, (key, fingerprint)).await?;
    if let Some(before) = document.before.take() {
        return Ok((StatusCode::OK, Json(before)));
    }
    for line in &input.lines {
        // Always in the same order, so that two transfers in opposite directions don't wait for each other.
        let (first, second) = if input.from < input.to { (&input.from, &input.to) } else { (&input.to, &input.from) };
        let (first, second) = (document.place(&line.sku, first).await?, document.place(&line.sku, second).await?);
        let (mut from, mut to) = if input.from < input.to { (first, second) } else { (second, first) };
        let (worth, parts) =
            from.take_out(&mut document.transaction, line.quantity.exact(), line.lot.as_deref()).await?;
        let mut variance = Amount::ZERO;
        for part in parts {
            variance = variance + to.take_in(&mut document.transaction, &part).await?;
        }
        let quantity = line.quantity.exact();
        document.line(&from, -quantity, (Amount::ZERO - worth, Amount::ZERO), line.lot.as_deref()).await?;
        document.line(&to, quantity, (worth, variance), line.lot.as_deref()).await?;
    }
    document.end().await
}

/// Corrects the stock of an item to what was counted. What is found counts at what it cost last.
#[utoipa::path(post, path = "/counts", tag = "movements", params(RequestKey), request_body = CountInput, responses((status = 200, body = Movement, description = "It was done before, by the same key."), (status = 201, body = Movement), (status = 409)))]
async fn count(
    caller: Caller,
    State(app): State<App>,
    key: RequestKey,
    Json(input): Json<CountInput>,
) -> Result<(StatusCode, Json<Movement>), Problem> {
    caller.require_role(MANAGER)?;
    let warehouse = input.warehouse.as_deref().unwrap_or(MAIN).to_owned();
    may_move(&caller, &app, &[&warehouse], false)?;
    let fingerprint = record::fingerprint(&("Adjustment", &input));
    let mut document = Document::begin(&caller, &app, "Adjustment", input.reference, (key, fingerprint)).await?;
    if let Some(before) = document.before.take() {
        return Ok((StatusCode::OK, Json(before)));
    }
    let mut place = document.place(&input.sku, &warehouse).await?;
    let difference = input.counted.exact() - place.quantity;
    if difference.is_zero() {
        return Err(Problem::conflict(format!(
            "{} are there, as was counted; nothing is to be corrected",
            place.quantity
        )));
    }
    if difference > Decimal::ZERO {
        let worth = Amount::rounded(difference * place.last_cost);
        let found = Goods { quantity: difference, worth, unit_cost: place.last_cost, lot: None };
        let variance = place.take_in(&mut document.transaction, &found).await?;
        document.line(&place, difference, (worth, variance), None).await?;
    } else {
        let (worth, _) = place.take_out(&mut document.transaction, -difference, None).await?;
        document.line(&place, difference, (Amount::ZERO - worth, Amount::ZERO), None).await?;
    }
    document.end().await
}

/// Whether the caller may move goods there.
fn may_move(caller: &Caller, app: &App, warehouses: &[&str], lots: bool) -> Result<(), Problem> {
    caller.require_any_role(&[MOVER, MANAGER])?;
    if warehouses.iter().any(|one| *one != MAIN) {
        caller.require_module(&app.config.service, WAREHOUSING)?;
    }
    if lots { caller.require_module(&app.config.service, LOTS) } else { Ok(()) }
}

/// A document that is being made.
struct Document {
    transaction: TenantTransaction,
    id: Uuid,
    lines: i32,
    /// What the same request made before.
    before: Option<Movement>,
}

impl Document {
    async fn begin(
        caller: &Caller,
        app: &App,
        kind: &str,
        reference: Option<String>,
        (key, fingerprint): (RequestKey, String),
    ) -> Result<Self, Problem> {
        let mut transaction = caller.begin(app).await?;
        let id = Uuid::now_v7();
        // Of two with one key at once, the second waits here for the first.
        let made = sqlx::query(
            "INSERT INTO movement (id, kind, reference, request_key, made_by, fingerprint) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (request_key) DO NOTHING",
        )
        .bind(id)
        .bind(kind)
        .bind(reference)
        .bind(&key.0)
        .bind(&caller.subject)
        .bind(&fingerprint)
        .execute(&mut *transaction)
        .await?;
        let before = match &key.0 {
            Some(key) if made.rows_affected() == 0 => find(&mut transaction, "request_key", key).await?,
            _ => None,
        };
        if let Some(before) = &before {
            RequestKey::same(before.fingerprint.as_deref(), &fingerprint)?;
        }
        Ok(Self { transaction, id, lines: 0, before })
    }

    async fn place(&mut self, sku: &str, warehouse: &str) -> Result<Place, Problem> {
        Place::lock(&mut self.transaction, sku, warehouse).await
    }

    async fn line(
        &mut self,
        place: &Place,
        quantity: Decimal,
        (cost, variance): (Amount, Amount),
        lot: Option<&str>,
    ) -> Result<(), Problem> {
        self.lines += 1;
        sqlx::query(
            "INSERT INTO movement_line (movement_id, position, item_id, warehouse, quantity, cost, variance, lot)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(self.id)
        .bind(self.lines)
        .bind(place.item)
        .bind(&place.warehouse)
        .bind(quantity)
        .bind(cost)
        .bind(variance)
        .bind(lot)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn end(mut self) -> Result<(StatusCode, Json<Movement>), Problem> {
        let made = find(&mut self.transaction, "id", self.id).await?.ok_or_else(Problem::internal)?;
        self.transaction.commit().await?;
        Ok((StatusCode::CREATED, Json(made)))
    }
}

async fn find<'a, V>(
    transaction: &mut TenantTransaction,
    column: &'static str,
    value: V,
) -> Result<Option<Movement>, Problem>
where
    V: sqlx::Encode<'a, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + 'a,
{
    let query = format!(
        "SELECT id, kind, reference, fingerprint, coalesce((SELECT sum(cost) FROM movement_line WHERE movement_id = id), 0) AS cost,
                coalesce((SELECT sum(variance) FROM movement_line WHERE movement_id = id), 0) AS variance
         FROM movement WHERE {column} = $1"
    );
    let found: Option<Movement> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(value).fetch_optional(&mut **transaction).await?;
    let Some(mut movement) = found else { return Ok(None) };
    movement.lines = sqlx::query_as(
        "SELECT i.sku, l.warehouse, l.quantity, l.cost, l.variance, i.currency::text AS currency, l.lot
         FROM movement_line l JOIN item i ON i.id = l.item_id WHERE movement_id = $1 ORDER BY position",
    )
    .bind(movement.id)
    .fetch_all(&mut **transaction)
    .await?;
    Ok(Some(movement))
}
