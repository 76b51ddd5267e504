//! Sessions: each gives tokens that live for minutes, by one that is another each time. What a user may do is found out anew whenever a
//! token is given, so what was taken from a user ends within minutes everywhere.

use std::{collections::BTreeSet, time::Instant};

use easycode_contract::runtime::USER_AUDIENCE;
use easycode_kit::{App, Problem, record::untouched};
use jsonwebtoken::get_current_timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    accounts::{self, Status},
    events::{ANYONE, record},
    members::Member,
    realm::{Realm, Shared, refuse_evenly},
    roles::{self, Assignment},
    secret::{Secret, SessionToken},
};

/// How long a token counts.
const TOKEN: u64 = 5 * 60;
/// How long a session lives without being used.
const IDLE: Duration = Duration::hours(12);
/// How long a session lives at most.
const LONGEST: Duration = Duration::days(30);
/// Most sessions of an account; the one that was unused for longest ends for a new one.
const MOST: i64 = 20;
/// How long a page may have been used before the session's life is counted anew, lest each look at a page be a write.
const NOTED: Duration = Duration::minutes(5);
/// Most of a browser's name that is kept.
const LONGEST_USER_AGENT: usize = 200;

/// What a session gives.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    /// Token for the services, as `Authorization: Bearer …`.
    pub access_token: Secret,
    /// Seconds that it counts.
    pub expires_in: u64,
    /// Gives the next ones, once.
    pub refresh_token: Secret,
    /// Seconds that it counts.
    pub refresh_expires_in: i64,
}

/// A session, as its user sees it.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// What it was opened with.
    pub user_agent: Option<String>,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last used.
    #[serde(with = "time::serde::rfc3339")]
    pub used_at: OffsetDateTime,
    /// When it ends, if it isn't used.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// Whether it is the one that asks.
    #[sqlx(default)]
    pub current: bool,
}

/// What a person signs in with.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// What the browser says of itself.
    pub user_agent: Option<String>,
}

impl Client {
    fn short(&self) -> Option<String> {
        self.user_agent.as_deref().map(|text| text.chars().take(LONGEST_USER_AGENT).collect())
    }
}

/// Whose a session is.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Holder {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) name: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: Uuid,
    tenant: &'a str,
    tenant_uid: &'a str,
    roles: BTreeSet<String>,
    name: &'a str,
    email: &'a str,
    sid: Uuid,
    iat: u64,
    exp: u64,
}

#[derive(sqlx::FromRow)]
struct Open {
    family_hash: Vec<u8>,
    refresh_hash: Vec<u8>,
    used_at: OffsetDateTime,
    #[sqlx(flatten)]
    holder: Holder,
}

/// Someone whose session goes on.
pub struct Resumed {
    /// Who it is.
    pub member: Member,
    /// How much is left of the session, if its life was just counted anew: whatever keeps its token is to keep it for as long.
    pub extended: Option<Duration>,
}

/// How a session's token was found to be.
enum Shown {
    /// The present one.
    Present(Open),
    /// One of the same session that was used already. The session is over now: whoever shows it, someone has it who should not.
    UsedAlready,
    /// None that counts.
    Nothing,
}

/// Opens a session for who has shown who they are.
pub(crate) async fn open(
    connection: &mut PgConnection,
    realm: &Realm,
    holder: &Holder,
    by: &str,
    client: &Client,
) -> Result<Opened, Problem> {
    sqlx::query("DELETE FROM session WHERE account_id = $1 AND (revoked_at IS NOT NULL OR expires_at < now())")
        .bind(holder.id)
        .execute(&mut *connection)
        .await?;
    let make_room = "DELETE FROM session WHERE id IN
         (SELECT id FROM session WHERE account_id = $1 ORDER BY used_at DESC OFFSET $2)";
    sqlx::query(make_room).bind(holder.id).bind(MOST - 1).execute(&mut *connection).await?;
    let token = SessionToken::new(realm.tenant());
    sqlx::query(
        "INSERT INTO session (id, account_id, family_hash, refresh_hash, expires_at, user_agent)
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5), $6)",
    )
    .bind(token.session)
    .bind(holder.id)
    .bind(token.family_hash())
    .bind(token.turn_hash())
    .bind(IDLE.as_seconds_f64())
    .bind(client.short())
    .execute(&mut *connection)
    .await?;
    realm.shared().recognised.note(&token, true);
    let detail = json!({ "email": holder.email, "by": by, "userAgent": client.short() });
    record(connection, &holder.id.to_string(), "session.opened", holder.id, detail).await?;
    give(connection, realm, holder, &token, IDLE).await
}

/// Gives the next tokens of a session. The one that is shown does not count any more, and ends the session if it is shown again.
pub async fn refresh(app: &App, secret: &Secret) -> Result<Opened, Problem> {
    refuse_evenly(Instant::now(), renew(app, secret).await).await
}

async fn renew(app: &App, secret: &Secret) -> Result<Opened, Problem> {
    let token = SessionToken::decode(secret).ok_or_else(over)?;
    let realm = Realm::find(app, &token.tenant, Shared::of(app).recognised.asking(&token)).await?.ok_or_else(over)?;
    realm.require_writable()?;
    let mut transaction = realm.begin().await?;
    match look_up(&mut transaction, &realm, &token).await? {
        Shown::Present(open) => {
            let next = token.next();
            let left = extend(&mut transaction, &next).await?;
            let opened = give(&mut transaction, &realm, &open.holder, &next, left).await?;
            transaction.commit().await?;
            Ok(opened)
        }
        Shown::UsedAlready => {
            transaction.commit().await?;
            Err(over())
        }
        Shown::Nothing => Err(over()),
    }
}

/// Who a session's token belongs to, without using it up: for pages of this service, to which a browser shows it each time.
pub async fn resume(app: &App, secret: &Secret) -> Result<Option<Resumed>, Problem> {
    let Some(token) = SessionToken::decode(secret) else { return Ok(None) };
    let Some(realm) = Realm::find(app, &token.tenant, Shared::of(app).recognised.asking(&token)).await? else {
        return Ok(None);
    };
    let mut transaction = realm.begin().await?;
    let open = match look_up(&mut transaction, &realm, &token).await? {
        Shown::Present(open) => open,
        Shown::UsedAlready => {
            transaction.commit().await?;
            return Ok(None);
        }
        Shown::Nothing => return Ok(None),
    };
    let due = !realm.context.read_only && OffsetDateTime::now_utc() - open.used_at > NOTED;
    let extended = if due { Some(extend(&mut transaction, &token).await?) } else { None };
    let assigned = assigned(&mut transaction, open.holder.id).await?;
    let roles = roles::effective(&realm.context, &assigned);
    transaction.commit().await?;
    let member = Member { realm, subject: open.holder.id.to_string(), roles, session: Some(token.session) };
    Ok(Some(Resumed { member, extended }))
}

/// What the user may do whose session it is; refuses if that is over, or the user may not sign in any more.
pub async fn roles_of(realm: &Realm, session: Uuid, subject: &str) -> Result<BTreeSet<String>, Problem> {
    let query = "SELECT account.id FROM session JOIN account ON account.id = account_id
         WHERE session.id = $1 AND account.id::text = $2 AND revoked_at IS NULL AND expires_at > now() AND status = $3";
    let mut transaction = realm.begin().await?;
    let account: Option<Uuid> = sqlx::query_scalar(query)
        .bind(session)
        .bind(subject)
        .bind(Status::Active)
        .fetch_optional(&mut *transaction)
        .await?;
    let assigned = assigned(&mut transaction, account.ok_or_else(over)?).await?;
    Ok(roles::effective(&realm.context, &assigned))
}

/// A token by which other services know who was [resumed](resume), for what pages of this service ask them.
pub async fn token_of(member: &Member) -> Result<Secret, Problem> {
    let session = member.session.ok_or_else(Problem::internal)?;
    let find = "SELECT id, email, name FROM account WHERE id = $1";
    let holder: Holder = sqlx::query_as(find).bind(member.account()?).fetch_one(&mut *member.begin().await?).await?;
    sign(member, &holder, member.roles.clone(), session)
}

/// Ends the session that the token is of.
pub async fn end(app: &App, secret: &Secret) -> Result<(), Problem> {
    refuse_evenly(Instant::now(), end_shown(app, secret).await).await
}

async fn end_shown(app: &App, secret: &Secret) -> Result<(), Problem> {
    let token = SessionToken::decode(secret).ok_or_else(over)?;
    let realm = Realm::find(app, &token.tenant, Shared::of(app).recognised.asking(&token)).await?.ok_or_else(over)?;
    let mut transaction = realm.begin().await?;
    if let Shown::Present(open) = look_up(&mut transaction, &realm, &token).await? {
        end_own(&mut transaction, open.holder.id, token.session).await?;
    }
    transaction.commit().await
}

/// The open sessions of who asks, newest first.
pub async fn list(member: &Member) -> Result<Vec<Session>, Problem> {
    let query = "SELECT id, user_agent, created_at, used_at, expires_at FROM session
         WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > now() ORDER BY id DESC LIMIT $2";
    let mut transaction = member.begin().await?;
    let mut sessions: Vec<Session> =
        sqlx::query_as(query).bind(member.account()?).bind(MOST).fetch_all(&mut *transaction).await?;
    for session in &mut sessions {
        session.current = Some(session.id) == member.session;
    }
    Ok(sessions)
}

/// Ends one of one's own sessions.
pub async fn end_one(member: &Member, session: Uuid) -> Result<(), Problem> {
    let mut transaction = member.begin().await?;
    end_own(&mut transaction, member.account()?, session).await?;
    transaction.commit().await
}

/// Ends all sessions of a user. For administrators.
pub async fn end_all_of(member: &Member, account: Uuid) -> Result<(), Problem> {
    member.require_administrator()?;
    let mut transaction = member.begin().await?;
    let user = accounts::find(&mut transaction, member, account).await?;
    end_all(&mut transaction, account, None).await?;
    record(&mut transaction, &member.subject, "user.signed-out", account, json!({ "email": user.email })).await?;
    transaction.commit().await
}

/// Ends the sessions of an account, but for one.
pub(crate) async fn end_all(connection: &mut PgConnection, account: Uuid, but: Option<Uuid>) -> Result<(), Problem> {
    let end =
        "UPDATE session SET revoked_at = now() WHERE account_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $2";
    sqlx::query(end).bind(account).bind(but).execute(connection).await?;
    Ok(())
}

async fn end_own(connection: &mut PgConnection, account: Uuid, session: Uuid) -> Result<(), Problem> {
    let end = "UPDATE session SET revoked_at = now() WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL AND expires_at > now()";
    let ended = sqlx::query(end).bind(session).bind(account).execute(&mut *connection).await?;
    if ended.rows_affected() == 0 {
        return Err(untouched(false, "session"));
    }
    record(connection, &account.to_string(), "session.ended", account, json!({ "session": session })).await
}

/// Looks a session up by its token, and ends it if that was used already.
async fn look_up(connection: &mut PgConnection, realm: &Realm, token: &SessionToken) -> Result<Shown, Problem> {
    let shown = find(connection, token).await?;
    realm.shared().recognised.note(token, matches!(shown, Shown::Present(_)));
    Ok(shown)
}

async fn find(connection: &mut PgConnection, token: &SessionToken) -> Result<Shown, Problem> {
    let query = "SELECT family_hash, refresh_hash, used_at, account.id, email, name FROM session JOIN account ON account.id = account_id
         WHERE session.id = $1 AND revoked_at IS NULL AND expires_at > now() AND status = $2";
    let lock = format!("{query} FOR UPDATE OF session");
    let query = if is_read_only(connection).await? { query.to_owned() } else { lock };
    let open: Option<Open> = sqlx::query_as(AssertSqlSafe(query))
        .bind(token.session)
        .bind(Status::Active)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(open) = open.filter(|open| open.family_hash == token.family_hash()) else { return Ok(Shown::Nothing) };
    if open.refresh_hash == token.turn_hash() {
        return Ok(Shown::Present(open));
    }
    sqlx::query("UPDATE session SET revoked_at = now() WHERE id = $1")
        .bind(token.session)
        .execute(&mut *connection)
        .await?;
    let detail = json!({ "email": open.holder.email, "session": token.session });
    record(connection, ANYONE, "session.token-reused", open.holder.id, detail).await?;
    Ok(Shown::UsedAlready)
}

/// Rows can't be locked where nothing can be written.
async fn is_read_only(connection: &mut PgConnection) -> Result<bool, Problem> {
    Ok(sqlx::query_scalar("SELECT current_setting('transaction_read_only')::boolean").fetch_one(connection).await?)
}

/// Counts the session's life anew, with the token given; returns how much is left of it.
async fn extend(connection: &mut PgConnection, token: &SessionToken) -> Result<Duration, Problem> {
    let extend = "UPDATE session SET refresh_hash = $2, used_at = now(),
             expires_at = least(now() + make_interval(secs => $3), created_at + make_interval(secs => $4))
         WHERE id = $1 RETURNING extract(epoch FROM expires_at - now())::bigint";
    let seconds: i64 = sqlx::query_scalar(extend)
        .bind(token.session)
        .bind(token.turn_hash())
        .bind(IDLE.as_seconds_f64())
        .bind(LONGEST.as_seconds_f64())
        .fetch_one(connection)
        .await?;
    Ok(Duration::seconds(seconds))
}

async fn assigned(connection: &mut PgConnection, account: Uuid) -> Result<BTreeSet<Assignment>, Problem> {
    let assigned: Vec<(String, String)> = sqlx::query_as("SELECT service, role FROM assignment WHERE account_id = $1")
        .bind(account)
        .fetch_all(connection)
        .await?;
    Ok(assigned.into_iter().map(|(service, role)| Assignment { service, role }).collect())
}

/// Signs a token by which the services know the account.
async fn give(
    connection: &mut PgConnection,
    realm: &Realm,
    holder: &Holder,
    token: &SessionToken,
    left: Duration,
) -> Result<Opened, Problem> {
    let assigned = assigned(connection, holder.id).await?;
    let roles = roles::effective(&realm.context, &assigned);
    Ok(Opened {
        access_token: sign(realm, holder, roles, token.session)?,
        expires_in: TOKEN,
        refresh_token: token.encode(),
        refresh_expires_in: left.whole_seconds(),
    })
}

fn sign(realm: &Realm, holder: &Holder, roles: BTreeSet<String>, session: Uuid) -> Result<Secret, Problem> {
    let issuer = realm.app.config.user_service.as_deref().ok_or_else(Problem::internal)?;
    let now = get_current_timestamp();
    let claims = Claims {
        iss: issuer,
        aud: USER_AUDIENCE,
        sub: holder.id,
        tenant: realm.tenant(),
        tenant_uid: &realm.context.uid,
        roles,
        name: &holder.name,
        email: &holder.email,
        sid: session,
        iat: now,
        exp: now + TOKEN,
    };
    Ok(realm.shared().keys.sign(&claims)?.into())
}

fn over() -> Problem {
    Problem::unauthorized("the session is over; sign in again")
}
