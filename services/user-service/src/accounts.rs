//! The tenant's users.

use std::collections::BTreeSet;

use easycode_kit::{
    Problem, TenantTransaction,
    page::{Page, PageQuery},
    record::untouched,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, types::Json};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    events::record,
    invitations::{self, Link},
    members::{ADMINISTRATOR, Member},
    realm::Realm,
    roles::{self, Assignment},
    sessions,
};

/// Most roles of a user.
const MOST_ROLES: usize = 50;
/// What is selected of users, up to the table.
pub const SELECT: &str =
    "id, email, name, status, version, created_at, coalesce(locked_until > now(), false) AS locked,
    (SELECT max(used_at) FROM session WHERE account_id = account.id) AS last_used_at,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('service', service, 'role', role) ORDER BY service, role), '[]')
     FROM assignment WHERE account_id = account.id) AS roles FROM account";

/// What an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text")]
pub enum Status {
    /// Has a link, and no way to sign in yet.
    Invited,
    /// Can sign in.
    Active,
    /// Can't sign in.
    Disabled,
}

/// A user.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Its id, as in tokens.
    pub id: Uuid,
    /// Address that the user signs in with, in lower case.
    pub email: String,
    /// The user's name.
    pub name: String,
    /// Whether the user can sign in.
    pub status: Status,
    /// What the user was given.
    #[sqlx(json)]
    pub roles: Vec<Given>,
    /// Whether signing in is locked for a while, after wrong passwords.
    pub locked: bool,
    /// When the user was last here.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<OffsetDateTime>,
    /// When the user was added.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Grows with each change; send it as `If-Match`.
    pub version: i32,
}

/// A role that a user was given.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Given {
    /// The role.
    #[serde(flatten)]
    pub assignment: Assignment,
    /// Whether it counts: the tenant is entitled to the service now.
    #[serde(default)]
    pub active: bool,
}

/// A user to be invited.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Address that the user signs in with.
    pub email: String,
    /// The user's name.
    pub name: String,
    /// What the user may do.
    #[serde(default)]
    pub roles: BTreeSet<Assignment>,
}

/// A user who has just been invited.
#[derive(Debug, Serialize, ToSchema)]
pub struct Invited {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// The link, which is shown this once.
    pub invitation: Link,
}

/// What a user becomes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The user's name.
    pub name: String,
    /// `Disabled` ends all sessions. Anything else lets the user sign in, or stays `Invited` for as long as there is no way to.
    pub status: Status,
    /// What the user may do. Those of services that the tenant is no longer entitled to can be kept, and not added.
    pub roles: BTreeSet<Assignment>,
}

/// An address as it is kept.
#[must_use]
pub fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

/// A page of users, oldest first. For administrators.
pub async fn page(member: &Member, page: &PageQuery) -> Result<Page<User>, Problem> {
    member.require_administrator()?;
    let mut page = page.select(&mut *member.begin().await?, SELECT, "id", |one: &User| one.id).await?;
    page.items.iter_mut().for_each(|user| user.tell_active(member));
    Ok(page)
}

/// One user. For administrators, and for the user.
pub async fn read(member: &Member, id: Uuid) -> Result<User, Problem> {
    if member.account().ok() != Some(id) {
        member.require_administrator()?;
    }
    find(&mut *member.begin().await?, member, id).await
}

/// Adds a user, who is active once the link was followed. For administrators.
pub async fn invite(member: &Member, new: NewUser) -> Result<Invited, Problem> {
    member.require_administrator()?;
    bounded(&new.roles)?;
    let catalogue = member.shared().catalogues.of(&member.app, &member.context).await;
    roles::check_assignable(&member.context, &catalogue, new.roles.iter().cloned())?;
    let mut transaction = begin_alone(member).await?;
    require_room(&mut transaction, member).await?;
    let id = add(&mut transaction, &normal(&new.email), &new.name).await?;
    assign(&mut transaction, id, &new.roles).await?;
    let invitation = invitations::make(&mut transaction, member, id, &member.subject).await?;
    let detail = json!({ "email": normal(&new.email), "name": new.name, "roles": new.roles });
    record(&mut transaction, &member.subject, "user.invited", id, detail).await?;
    let user = find(&mut transaction, member, id).await?;
    transaction.commit().await?;
    Ok(Invited { user, invitation })
}

/// Changes a user. For administrators.
pub async fn change(member: &Member, id: Uuid, change: Change, expected: Option<i32>) -> Result<User, Problem> {
    member.require_administrator()?;
    bounded(&change.roles)?;
    let catalogue = member.shared().catalogues.of(&member.app, &member.context).await;
    let mut transaction = begin_alone(member).await?;
    let before = find(&mut transaction, member, id).await?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Err(untouched(true, "user"));
    }
    let kept: BTreeSet<Assignment> = before.roles.iter().map(|given| given.assignment.clone()).collect();
    roles::check_assignable(&member.context, &catalogue, change.roles.difference(&kept).cloned())?;
    if before.status == Status::Disabled && change.status != Status::Disabled {
        require_room(&mut transaction, member).await?;
    }
    sqlx::query(
        "UPDATE account SET name = $2, version = version + 1, updated_at = now(), status = CASE WHEN $3 THEN 'Disabled'
             WHEN coalesce(password_hash, oidc_subject) IS NULL THEN 'Invited' ELSE 'Active' END WHERE id = $1",
    )
    .bind(id)
    .bind(&change.name)
    .bind(change.status == Status::Disabled)
    .execute(&mut *transaction)
    .await?;
    assign(&mut transaction, id, &change.roles).await?;
    if change.status == Status::Disabled {
        sessions::end_all(&mut transaction, id, None).await?;
    }
    require_administrator_left(&mut transaction, &before).await?;
    let after = find(&mut transaction, member, id).await?;
    let detail = json!({
        "email": after.email,
        "before": { "name": before.name, "status": before.status, "roles": kept },
        "after": { "name": after.name, "status": after.status, "roles": change.roles },
    });
    record(&mut transaction, &member.subject, "user.changed", id, detail).await?;
    transaction.commit().await?;
    Ok(after)
}

/// Removes a user; what the user did stays in the trail. For administrators.
pub async fn remove(member: &Member, id: Uuid, expected: Option<i32>) -> Result<(), Problem> {
    member.require_administrator()?;
    let mut transaction = begin_alone(member).await?;
    let before = find(&mut transaction, member, id).await?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Err(untouched(true, "user"));
    }
    sqlx::query("DELETE FROM account WHERE id = $1").bind(id).execute(&mut *transaction).await?;
    require_administrator_left(&mut transaction, &before).await?;
    let detail = json!({ "email": before.email, "name": before.name });
    record(&mut transaction, &member.subject, "user.removed", id, detail).await?;
    transaction.commit().await
}

/// Lets a user sign in again who had too many wrong passwords. For administrators.
pub async fn unlock(member: &Member, id: Uuid) -> Result<(), Problem> {
    member.require_administrator()?;
    let mut transaction = member.begin().await?;
    let unlock = "UPDATE account SET failed_attempts = 0, locked_until = NULL WHERE id = $1 RETURNING email";
    let email: Option<String> = sqlx::query_scalar(unlock).bind(id).fetch_optional(&mut *transaction).await?;
    let email = email.ok_or_else(|| untouched(false, "user"))?;
    record(&mut transaction, &member.subject, "user.unlocked", id, json!({ "email": email })).await?;
    transaction.commit().await
}

impl User {
    fn tell_active(&mut self, realm: &Realm) {
        for given in &mut self.roles {
            given.active = roles::is_active(&realm.context, &given.assignment.service);
        }
    }

    fn administers(&self) -> bool {
        let (service, role) = ADMINISTRATOR;
        let is = |given: &Given| given.assignment.service == service && given.assignment.role == role;
        self.status == Status::Active && self.roles.iter().any(is)
    }
}

/// A transaction in which nobody else adds, changes or removes users: how many there are, and who administers them, stays as it is
/// seen.
pub(crate) async fn begin_alone(realm: &Realm) -> Result<TenantTransaction, Problem> {
    let mut transaction = realm.begin().await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtext('user-service.account'), hashtext(current_schema()))";
    sqlx::query(lock).execute(&mut *transaction).await?;
    Ok(transaction)
}

pub(crate) async fn find(connection: &mut PgConnection, realm: &Realm, id: Uuid) -> Result<User, Problem> {
    let query = format!("SELECT {SELECT} WHERE id = $1");
    let found: Option<User> = sqlx::query_as(AssertSqlSafe(query)).bind(id).fetch_optional(connection).await?;
    let mut user = found.ok_or_else(|| untouched(false, "user"))?;
    user.tell_active(realm);
    Ok(user)
}

/// Refuses if the tenant has as many users as it may have.
pub(crate) async fn require_room(connection: &mut PgConnection, realm: &Realm) -> Result<(), Problem> {
    let users: i64 =
        sqlx::query_scalar("SELECT count(*) FROM account WHERE status <> 'Disabled'").fetch_one(connection).await?;
    let most = realm.context.limits.users;
    if users < i64::from(most) {
        return Ok(());
    }
    let detail =
        format!("the company has {users} users and may have {most}; remove or disable one, or ask EasyCode for more");
    Err(Problem::forbidden("user-limit", detail))
}

pub(crate) async fn add(connection: &mut PgConnection, email: &str, name: &str) -> Result<Uuid, Problem> {
    let id = Uuid::now_v7();
    sqlx::query("INSERT INTO account (id, email, name, status) VALUES ($1, $2, $3, 'Invited')")
        .bind(id)
        .bind(email)
        .bind(name.trim())
        .execute(connection)
        .await?;
    Ok(id)
}

/// Gives a user these roles and no others.
async fn assign(connection: &mut PgConnection, id: Uuid, roles: &BTreeSet<Assignment>) -> Result<(), Problem> {
    sqlx::query("DELETE FROM assignment WHERE account_id = $1").bind(id).execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO assignment (account_id, service, role)
         SELECT $1, given.service, given.role FROM jsonb_to_recordset($2) AS given (service text, role text)",
    )
    .bind(id)
    .bind(Json(roles))
    .execute(connection)
    .await?;
    Ok(())
}

/// Refuses what would leave a tenant that has an administrator without one.
async fn require_administrator_left(connection: &mut PgConnection, before: &User) -> Result<(), Problem> {
    if !before.administers() {
        return Ok(());
    }
    let (service, role) = ADMINISTRATOR;
    let left: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM account JOIN assignment ON account_id = id
                        WHERE status = 'Active' AND service = $1 AND role = $2)",
    )
    .bind(service)
    .bind(role)
    .fetch_one(connection)
    .await?;
    if left {
        return Ok(());
    }
    Err(Problem::conflict(format!(
        "{} is the last one with the role {role}; give it to someone else first",
        before.email
    )))
}

fn bounded(roles: &BTreeSet<Assignment>) -> Result<(), Problem> {
    if roles.len() <= MOST_ROLES {
        return Ok(());
    }
    Err(Problem::invalid(format!("roles: there must be at most {MOST_ROLES}")))
}
