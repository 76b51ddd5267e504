//! Contacts.

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

const FIELDS: &str = "id, company_id, given_name, family_name, email, phone, custom, version";

/// A contact.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Its id.
    pub id: Uuid,
    /// The company the person works for.
    pub company_id: Option<Uuid>,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// Address, kept in lowercase; no two contacts have the same.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Fields of the tenant's own.
    pub custom: Value,
    /// Grows with each change; send it as `If-Match`.
    pub version: i32,
}

/// What a caller says of a contact.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ContactInput {
    /// The company the person works for.
    company_id: Option<Uuid>,
    /// Given name.
    #[serde(default)]
    given_name: String,
    /// Family name.
    family_name: String,
    /// Address, kept in lowercase; no two contacts have the same.
    email: Option<String>,
    /// Telephone number.
    phone: Option<String>,
    /// Fields of the tenant's own.
    custom: Option<Value>,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, replace, delete))
}

/// A page of contacts, oldest first.
#[utoipa::path(get, path = "/", tag = "contacts", params(PageQuery), responses((status = 200, body = Page<Contact>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Contact>>, Problem> {
    Ok(Json(page.read(&caller, &app, &format!("{FIELDS} FROM contact"), "id", |one: &Contact| one.id).await?))
}

/// Makes a contact.
#[utoipa::path(post, path = "/", tag = "contacts", request_body = ContactInput, responses((status = 201, body = Contact), (status = 409), (status = 422)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(input): Json<ContactInput>,
) -> Result<(StatusCode, Json<Contact>), Problem> {
    let query = format!(
        "INSERT INTO contact (id, custom, company_id, given_name, family_name, email, phone) VALUES ($1, $2, $3, $4, $5, lower($6), $7) RETURNING {FIELDS}"
    );
    let custom = custom::checked(&caller, &app, custom::Kind::Contact, input.custom)?;
    let mut transaction = caller.begin(&app).await?;
    let made = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(Uuid::now_v7())
        .bind(custom)
        .bind(input.company_id)
        .bind(input.given_name)
        .bind(input.family_name)
        .bind(input.email)
        .bind(input.phone)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// One contact.
#[utoipa::path(get, path = "/{id}", tag = "contacts", responses((status = 200, body = Contact), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Contact>, Problem> {
    let query = format!("SELECT {FIELDS} FROM contact WHERE id = $1");
    let mut transaction = caller.begin(&app).await?;
    let found = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut *transaction).await?;
    found.map(Json).ok_or_else(|| untouched(false, "contact"))
}

/// Replaces a contact, with `If-Match` only the version that the caller has seen.
#[utoipa::path(put, path = "/{id}", tag = "contacts", params(IfMatch), request_body = ContactInput, responses((status = 200, body = Contact), (status = 404), (status = 412)))]
async fn replace(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(input): Json<ContactInput>,
) -> Result<Json<Contact>, Problem> {
    let expected = expected_version(&headers)?;
    let query = format!(
        "UPDATE contact SET custom = $2, (company_id, given_name, family_name, email, phone) = ROW($3, $4, $5, lower($6), $7), version = version + 1
         WHERE id = $1 AND version = coalesce($8, version) RETURNING {FIELDS}"
    );
    let custom = custom::checked(&caller, &app, custom::Kind::Contact, input.custom)?;
    let mut transaction = caller.begin(&app).await?;
    let changed: Option<Contact> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .bind(custom)
        .bind(input.company_id)
        .bind(input.given_name)
        .bind(input.family_name)
        .bind(input.email)
        .bind(input.phone)
        .bind(expected)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(changed) = changed else {
        let exists =
            sqlx::query("SELECT FROM contact WHERE id = $1").bind(id).fetch_optional(&mut *transaction).await?;
        return Err(untouched(exists.is_some(), "contact"));
    };
    transaction.commit().await?;
    Ok(Json(changed))
}

/// Deletes a contact.
#[utoipa::path(delete, path = "/{id}", tag = "contacts", responses((status = 204), (status = 404), (status = 409)))]
async fn delete(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    let mut transaction = caller.begin(&app).await?;
    let deleted = sqlx::query("DELETE FROM contact WHERE id = $1").bind(id).execute(&mut *transaction).await?;
    if deleted.rows_affected() == 0 {
        return Err(untouched(false, "contact"));
    }
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
