//! The company's users, for its administrators.

use axum::http::{HeaderMap, StatusCode};
use easycode_kit::{
    App, Json, Path, Problem, Query,
    page::{Page, PageQuery},
    record::{IfMatch, expected_version},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::bounded;
use crate::{
    accounts::{self, Change, Invited, NewUser, User},
    events::{self, Event},
    invitations::{self, Link},
    members::Member,
    sessions,
};

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, replace, delete))
        .routes(routes!(invite))
        .routes(routes!(unlock))
        .routes(routes!(sign_out))
        .routes(routes!(trail))
}

/// A page of users, oldest first.
#[utoipa::path(get, path = "/users", tag = "users", params(PageQuery), responses((status = 200, body = Page<User>), (status = 403)))]
async fn list(member: Member, Query(page): Query<PageQuery>) -> Result<Json<Page<User>>, Problem> {
    Ok(Json(accounts::page(&member, &page).await?))
}

/// Adds a user, and makes the link by which the user becomes active.
#[utoipa::path(post, path = "/users", tag = "users", request_body = NewUser, responses((status = 201, body = Invited), (status = 403), (status = 409), (status = 422)))]
async fn create(member: Member, Json(new): Json<NewUser>) -> Result<(StatusCode, Json<Invited>), Problem> {
    bounded(&[("email", &new.email), ("name", &new.name)])?;
    Ok((StatusCode::CREATED, Json(accounts::invite(&member, new).await?)))
}

/// One user.
#[utoipa::path(get, path = "/users/{id}", tag = "users", responses((status = 200, body = User), (status = 403), (status = 404)))]
async fn read(member: Member, Path(id): Path<Uuid>) -> Result<Json<User>, Problem> {
    Ok(Json(accounts::read(&member, id).await?))
}

/// Changes a user, with `If-Match` only the version that the caller has seen.
#[utoipa::path(put, path = "/users/{id}", tag = "users", params(IfMatch), request_body = Change, responses((status = 200, body = User), (status = 403), (status = 404), (status = 409), (status = 412), (status = 422)))]
async fn replace(
    member: Member,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(change): Json<Change>,
) -> Result<Json<User>, Problem> {
    Ok(Json(accounts::change(&member, id, change, expected_version(&headers)?).await?))
}

/// Removes a user.
#[utoipa::path(delete, path = "/users/{id}", tag = "users", params(IfMatch), responses((status = 204), (status = 403), (status = 404), (status = 409), (status = 412)))]
async fn delete(member: Member, Path(id): Path<Uuid>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    accounts::remove(&member, id, expected_version(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new link for a user: for who lost the invitation, or forgot the password. The one of before doesn't count any more.
#[utoipa::path(post, path = "/users/{id}/invitation", tag = "users", responses((status = 201, body = Link), (status = 403), (status = 404), (status = 409)))]
async fn invite(member: Member, Path(id): Path<Uuid>) -> Result<(StatusCode, Json<Link>), Problem> {
    Ok((StatusCode::CREATED, Json(invitations::renew(&member, id).await?)))
}

/// Lets a user sign in again who had too many wrong passwords.
#[utoipa::path(post, path = "/users/{id}/unlock", tag = "users", responses((status = 204), (status = 403), (status = 404)))]
async fn unlock(member: Member, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    accounts::unlock(&member, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of a user.
#[utoipa::path(delete, path = "/users/{id}/sessions", tag = "users", responses((status = 204), (status = 403), (status = 404)))]
async fn sign_out(member: Member, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    sessions::end_all_of(&member, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A page of what was done with the company's users, oldest first.
#[utoipa::path(get, path = "/events", tag = "users", params(PageQuery), responses((status = 200, body = Page<Event>), (status = 403)))]
async fn trail(member: Member, Query(page): Query<PageQuery>) -> Result<Json<Page<Event>>, Problem> {
    Ok(Json(events::page(&member, &page).await?))
}
