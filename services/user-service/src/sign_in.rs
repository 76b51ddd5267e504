//! Signing in with a password. Whoever is refused learns nothing but that: whether tenant, account or password is wrong, whether the
//! account is locked or the tenant suspended, the answer is the same, as much was worked for it, and it comes after the same time.
//! Only that a company's data is being moved is told, since then nobody can sign in.

use std::time::Instant;

use easycode_kit::{App, Problem};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    accounts::{Status, normal},
    attempts::too_many,
    events::{ANYONE, record},
    members::Member,
    passwords::OF_NO_COMPANY,
    realm::{Asking, Realm, Shared, wait_for_refusal},
    secret::Secret,
    sessions::{self, Client, Holder, Opened},
    strength,
};

/// Wrong passwords in a row, from which on the account is locked for a while.
const PATIENCE: i32 = 5;
/// Fewest wrong passwords in a row with which an account may not be tried while too many fail in the company: its own people mistype once
/// or twice, and are let in all the same.
const SUSPICIOUS: i32 = 3;
/// How long it is locked at first, and at most; twice as long each time.
const LOCK_MINUTES: (i32, i32) = (1, 60);
/// Longest password that is looked at, in bytes.
const LONGEST: usize = 1024;

/// What the database knows of who signs in.
#[derive(sqlx::FromRow)]
struct Known {
    #[sqlx(flatten)]
    holder: Holder,
    password_hash: Option<String>,
    status: Status,
    locked: bool,
    failed_attempts: i32,
}

impl Known {
    /// `beyond` says whether too many have failed in the company.
    fn may_sign_in(&self, beyond: bool) -> bool {
        self.status == Status::Active && !self.locked && !(beyond && self.failed_attempts >= SUSPICIOUS)
    }
}

/// Opens a session for who knows the password.
pub async fn with_password(
    app: &App,
    tenant: &str,
    email: &str,
    password: &Secret,
    client: &Client,
) -> Result<Opened, Problem> {
    let started = Instant::now();
    let email = normal(email);
    let realm = Realm::find(app, tenant, Asking::ToSignIn).await?;
    let attempt = Shared::of(app).attempts.begin(tenant, realm.is_some(), &email)?;
    let beyond = attempt.is_beyond_the_companys();
    if let Some(opened) = try_out(app, realm, &email, password, beyond, client).await? {
        attempt.succeeded();
        return Ok(opened);
    }
    wait_for_refusal(started).await;
    if beyond {
        return Err(too_many());
    }
    Err(Problem::unauthorized(
        "company, address or password is wrong, or the account can't be used now: after several wrong passwords it is locked for a \
         while, and an administrator of the company can unlock it",
    ))
}

/// Changes one's own password, which ends all other sessions.
pub async fn change_password(member: &Member, current: &Secret, new: &Secret) -> Result<(), Problem> {
    let account = member.account()?;
    let attempt = member.shared().attempts.begin(member.tenant(), true, &account.to_string())?;
    let by_id = known(&mut *member.begin().await?, "account.id = $1::uuid", &account.to_string()).await?;
    let known = by_id
        .filter(|known| known.status == Status::Active)
        .ok_or_else(|| Problem::not_found("you have no account any more"))?;
    let hash = known.password_hash.clone();
    if hash.is_none() {
        return Err(Problem::conflict("you sign in at your company's identity provider, and have no password here"));
    }
    if current.reveal().len() > LONGEST || !member.shared().hasher.is(member.tenant(), current, hash.clone()).await? {
        return Err(Problem::invalid("current: it is not your password"));
    }
    attempt.succeeded();
    strength::check(member, new, &known.holder.email, &known.holder.name).await?;
    let changed = member.shared().hasher.hash(member.tenant(), new).await?;
    let mut transaction = member.begin().await?;
    let change = "UPDATE account SET password_hash = $3, updated_at = now() WHERE id = $1 AND password_hash = $2";
    let done = sqlx::query(change).bind(account).bind(hash).bind(changed).execute(&mut *transaction).await?;
    if done.rows_affected() == 0 {
        return Err(Problem::changed("your password was changed meanwhile"));
    }
    sessions::end_all(&mut transaction, account, member.session).await?;
    let detail = json!({ "email": known.holder.email });
    record(&mut transaction, &member.subject, "user.password-changed", account, detail).await?;
    transaction.commit().await
}

/// `None` if it is refused. Without a realm there is no such company.
async fn try_out(
    app: &App,
    realm: Option<Realm>,
    email: &str,
    password: &Secret,
    beyond: bool,
    client: &Client,
) -> Result<Option<Opened>, Problem> {
    let found = match &realm {
        Some(realm) => {
            realm.require_writable()?;
            known(&mut *realm.begin().await?, "email = $1", email).await?
        }
        None => None,
    };
    // No transaction is open meanwhile: the tenant's connections are for who has passed.
    let hash = found.as_ref().filter(|known| known.may_sign_in(beyond)).and_then(|known| known.password_hash.clone());
    let company = realm.as_ref().map_or(OF_NO_COMPANY, Realm::tenant);
    let password_fits =
        password.reveal().len() <= LONGEST && Shared::of(app).hasher.is(company, password, hash).await?;
    let (Some(realm), Some(seen)) = (realm, found) else { return Ok(None) };

    let mut transaction = realm.begin().await?;
    // As it is now: others may have tried it at the same time, and it may have been locked by that.
    let lock = "SELECT FROM account WHERE id = $1 FOR UPDATE";
    sqlx::query(lock).bind(seen.holder.id).fetch_optional(&mut *transaction).await?;
    let now = known(&mut transaction, "email = $1", email).await?;
    let Some(now) = now.filter(|now| now.may_sign_in(beyond)) else { return Ok(None) };
    if !password_fits {
        count_failure(&mut transaction, &now.holder).await?;
        transaction.commit().await?;
        return Ok(None);
    }
    if now.password_hash != seen.password_hash {
        return Ok(None);
    }
    sqlx::query("UPDATE account SET failed_attempts = 0, locked_until = NULL WHERE id = $1")
        .bind(now.holder.id)
        .execute(&mut *transaction)
        .await?;
    let opened = sessions::open(&mut transaction, &realm, &now.holder, "password", client).await?;
    transaction.commit().await?;
    Ok(Some(opened))
}

async fn known(connection: &mut PgConnection, which: &'static str, value: &str) -> Result<Option<Known>, Problem> {
    let query = format!(
        "SELECT account.id, email, name, password_hash, status, coalesce(locked_until > now(), false) AS locked, failed_attempts
         FROM account WHERE {which}"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(value).fetch_optional(connection).await?)
}

/// Counts a wrong password, and locks the account if there were too many in a row.
async fn count_failure(connection: &mut PgConnection, holder: &Holder) -> Result<(), Problem> {
    let count = "UPDATE account SET failed_attempts = failed_attempts + 1 WHERE id = $1 RETURNING failed_attempts";
    let failed: i32 = sqlx::query_scalar(count).bind(holder.id).fetch_one(&mut *connection).await?;
    let Some(minutes) = lock_minutes(failed) else { return Ok(()) };
    lock(connection, holder.id, minutes).await?;
    let detail = json!({ "email": holder.email, "wrongPasswords": failed, "minutes": minutes });
    record(connection, ANYONE, "user.locked", holder.id, detail).await
}

async fn lock(connection: &mut PgConnection, account: Uuid, minutes: i32) -> Result<(), Problem> {
    let lock = "UPDATE account SET locked_until = now() + make_interval(mins => $2) WHERE id = $1";
    sqlx::query(lock).bind(account).bind(minutes).execute(connection).await?;
    Ok(())
}

/// How long an account is locked after so many wrong passwords in a row.
fn lock_minutes(failed: i32) -> Option<i32> {
    let (first, longest) = LOCK_MINUTES;
    let doublings = u32::try_from(failed - PATIENCE).ok()?;
    Some(first.checked_shl(doublings.min(16)).unwrap_or(longest).min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_doubles_up_to_an_hour() {
        let minutes: Vec<_> = (3..=13).map(|failed| lock_minutes(failed).unwrap_or_default()).collect();
        assert_eq!(minutes, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(lock_minutes(i32::MAX), Some(60));
    }

    #[test]
    fn while_too_many_fail_in_a_company_accounts_that_nobody_guesses_for_are_let_in() {
        let may = |status, locked, failed_attempts, beyond| {
            let holder = Holder { id: Uuid::nil(), email: String::new(), name: String::new() };
            Known { holder, password_hash: None, status, locked, failed_attempts }.may_sign_in(beyond)
        };
        assert!(may(Status::Active, false, SUSPICIOUS - 1, true) && !may(Status::Active, false, SUSPICIOUS, true));
        assert!(may(Status::Active, false, 100, false), "its lock is over");
        assert!(!may(Status::Active, true, 0, false) && !may(Status::Disabled, false, 0, false));
    }
}
