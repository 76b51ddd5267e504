//! Companies.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use easycode_kit::{
    App, Caller, Json, Path, Problem, Query,
    page::{Page, PageQuery},
    record::{IfMatch, expected_version, untouched},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::custom;

const FIELDS: &str = "id, name, domain, custom, version";

/// A company.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Company {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its domain on the internet.
    pub domain: Option<String>,
    /// Fields of the tenant's own.
    pub custom: Value,
    /// Grows with each change; send it as `If-Match`.
    pub version: i32,
}

/// What a caller says of a company.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CompanyInput {
    /// Its name.
    name: String,
    /// Its domain on the internet.
    domain: Option<String>,
    /// Fields of the tenant's own.
    custom: Option<Value>,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, replace, delete))
}

/// A page of companies, oldest first.
#[utoipa::path(get, path = "/", tag = "companies", params(PageQuery), responses((status = 200, body = Page<Company>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Company>>, Problem> {
    Ok(Json(page.read(&caller, &app, &format!("{FIELDS} FROM company"), "id", |one: &Company| one.id).await?))
}

/// Makes a company.
#[utoipa::path(post, path = "/", tag = "companies", request_body = CompanyInput, responses((status = 201, body = Company), (status = 409), (status = 422)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(input): Json<CompanyInput>,
) -> Result<(StatusCode, Json<Company>), Problem> {
    let query = format!("INSERT INTO company (id, custom, name, domain) VALUES ($1, $2, $3, $4) RETURNING {FIELDS}");
    let custom = custom::checked(&caller, &app, custom::Kind::Company, input.custom)?;
    let mut transaction = caller.begin(&app).await?;
    let made = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(Uuid::now_v7())
        .bind(custom)
        .bind(input.name)
        .bind(input.domain)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// One company.
#[utoipa::path(get, path = "/{id}", tag = "companies", responses((status = 200, body = Company), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Company>, Problem> {
    let query = format!("SELECT {FIELDS} FROM company WHERE id = $1");
    let mut transaction = caller.begin(&app).await?;
    let found = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut *transaction).await?;
    found.map(Json).ok_or_else(|| untouched(false, "company"))
}

/// Replaces a company, with `If-Match` only the version that the caller has seen.
#[utoipa::path(put, path = "/{id}", tag = "companies", params(IfMatch), request_body = CompanyInput, responses((status = 200, body = Company), (status = 404), (status = 412)))]
async fn replace(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(input): Json<CompanyInput>,
) -> Result<Json<Company>, Problem> {
    let expected = expected_version(&headers)?;
    let query = format!(
        "UPDATE company SET custom = $2, (name, domain) = ROW($3, $4), version = version + 1
         WHERE id = $1 AND version = coalesce($5, version) RETURNING {FIELDS}"
    );
    let custom = custom::checked(&caller, &app, custom::Kind::Company, input.custom)?;
    let mut transaction = caller.begin(&app).await?;
    let changed: Option<Company> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .bind(custom)
        .bind(input.name)
        .bind(input.domain)
        .bind(expected)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(changed) = changed else {
        let exists =
            sqlx::query("SELECT FROM company WHERE id = $1").bind(id).fetch_optional(&mut *transaction).await?;
        return Err(untouched(exists.is_some(), "company"));
    };
    transaction.commit().await?;
    Ok(Json(changed))
}

/// Deletes a company.
#[utoipa::path(delete, path = "/{id}", tag = "companies", responses((status = 204), (status = 404), (status = 409)))]
async fn delete(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    let mut transaction = caller.begin(&app).await?;
    let deleted = sqlx::query("DELETE FROM company WHERE id = $1").bind(id).execute(&mut *transaction).await?;
    if deleted.rows_affected() == 0 {
        return Err(untouched(false, "company"));
    }
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
