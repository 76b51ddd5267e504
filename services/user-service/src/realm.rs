//! The tenant that something is done in: its context at the time, and the way to its data.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use easycode_contract::{context::TenantContext, database::Identifier, runtime::USER_SERVICE};
use easycode_kit::{App, Problem, TenantTransaction, guard};
use tokio::time::sleep_until;

use crate::{
    attempts::Attempts,
    buckets::{Buckets, Pace, key},
    keys::SigningKeys,
    oidc::Providers,
    outbound::Outbound,
    passwords::Hasher,
    recognised::Recognised,
    roles::Catalogues,
};

/// Most bytes of a request of someone who has not shown who they are: more is read only for people of a company.
pub const STRANGERS_BODY_BYTES: usize = 16 << 10;

/// What may be asked of one company by those who have not shown who they are. The same for each, since a company's own limit would tell
/// that there is one of this name.
const STRANGERS: Pace = Pace { size: 100, refill: Duration::from_millis(10) };
/// When a refusal is sent to who has not shown who they are, counted from the request: longer than any of the work takes, so that its
/// time does not tell how much there was.
const REFUSED_AFTER: Duration = Duration::from_millis(400);

/// Passes an outcome on, and a refusal no sooner than any other.
///
/// # Errors
/// Those of the outcome.
pub async fn refuse_evenly<T>(started: Instant, outcome: Result<T, Problem>) -> Result<T, Problem> {
    if outcome.is_err() {
        wait_for_refusal(started).await;
    }
    outcome
}

/// Waits until a refusal is due.
pub async fn wait_for_refusal(started: Instant) {
    sleep_until((started + REFUSED_AFTER).into()).await;
}

/// How much is asked of each company by those who have not shown who they are.
struct Strangers {
    here: Buckets,
    /// Of companies that there are not, of which anyone can invent as many as they like: these take no place among the others.
    nowhere: Buckets,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { here: Buckets::new(STRANGERS), nowhere: Buckets::new(STRANGERS) }
    }
}

impl Strangers {
    fn admit(&self, tenant: &str, exists: bool, now: Instant) -> Result<(), Problem> {
        let buckets = if exists { &self.here } else { &self.nowhere };
        if buckets.take(key(&[tenant]), now) { Ok(()) } else { Err(Problem::too_many()) }
    }
}

/// What a process has for all tenants: the keys of a folder, the order in which passwords take their turns, and what was seen lately.
pub struct Shared {
    /// Signs tokens.
    pub keys: SigningKeys,
    /// The roles that the services define.
    pub catalogues: Catalogues,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// How often someone failed to sign in lately.
    pub attempts: Attempts,
    /// Sessions that were good when they were last shown.
    pub recognised: Recognised,
    /// How much is asked by those who want to sign in with a password.
    sign_ins: Strangers,
    /// How much is asked by those who have shown nothing yet.
    strangers: Strangers,
    /// Asks tenants' identity providers.
    pub providers: Providers,
}

impl Shared {
    /// Signs with the keys in a folder; the identity providers in `private_issuers`, separated by spaces, need not be public.
    #[must_use]
    pub fn new(signing_keys: &Path, private_issuers: &str) -> Self {
        Self {
            keys: SigningKeys::in_folder(signing_keys),
            catalogues: Catalogues::default(),
            hasher: Hasher::default(),
            attempts: Attempts::default(),
            recognised: Recognised::default(),
            sign_ins: Strangers::default(),
            strangers: Strangers::default(),
            providers: Providers::new(Outbound::allowing(private_issuers)),
        }
    }

    /// That of the process.
    ///
    /// # Panics
    /// If the process was started without it.
    #[must_use]
    pub fn of(app: &App) -> &Self {
        app.own()
    }
}

/// Who asks without a token of the guard's. Each kind has a limit of its own for each tenant: so who knows no more than a company's name
/// can't use up what its people need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Someone of the company, by a session that was good before. They share the limit with those whom the guard admits.
    Known,
    /// Who wants to sign in with a password.
    ToSignIn,
    /// Anyone else.
    Stranger,
}

/// A tenant that may use the service; cheap to clone.
#[derive(Clone)]
pub struct Realm {
    /// The process.
    pub app: App,
    /// The tenant's context.
    pub context: Arc<TenantContext>,
}

impl Realm {
    /// The tenant of that name, for someone who has not shown who they are. `None` if there is none that may be served now, and
    /// whoever asks is not to learn which of it is so.
    pub async fn find(app: &App, tenant: &str, asking: Asking) -> Result<Option<Self>, Problem> {
        // What can't be a tenant's name is not asked for.
        if Identifier::tenant(tenant).is_err() {
            return Ok(None);
        }
        let context = app.contexts.get(tenant).await?;
        let is_served = guard::admit(context.as_deref(), USER_SERVICE).is_ok();
        let (context, shared, now) = (context.filter(|_| is_served), Shared::of(app), Instant::now());
        match (asking, &context) {
            (Asking::Known, Some(context)) => app.limits.request(context, now)?,
            (Asking::ToSignIn, _) => shared.sign_ins.admit(tenant, is_served, now)?,
            (Asking::Stranger | Asking::Known, _) => shared.strangers.admit(tenant, is_served, now)?,
        }
        let Some(context) = context else { return Ok(None) };
        tracing::Span::current().record("tenant", tenant);
        Ok(Some(Self { app: app.clone(), context }))
    }

    /// What the process has for all tenants.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        Shared::of(&self.app)
    }

    /// The tenant's name.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.context.tenant
    }

    /// Begins the tenant's transaction.
    pub async fn begin(&self) -> Result<TenantTransaction, Problem> {
        guard::require_same_tenant(&self.app, &self.context).await?;
        TenantTransaction::begin(&self.app.connections, &self.context, &self.app.limits).await
    }

    /// Refuses while the tenant's data is being moved.
    pub fn require_writable(&self) -> Result<(), Problem> {
        if self.context.read_only { Err(Problem::moving()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_company_that_there_is_not_is_limited_as_one_that_there_is() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let admitted = |tenant: &str, exists| {
            (0..2 * STRANGERS.size).take_while(|_| strangers.admit(tenant, exists, now).is_ok()).count()
        };
        assert_eq!(admitted("aurora", true), admitted("nowhere", false));
        let refusal = |tenant: &str, exists| {
            let problem = strangers.admit(tenant, exists, now).unwrap_err();
            (problem.status, problem.detail)
        };
        assert_eq!(refusal("aurora", true), refusal("nowhere", false));
        assert!(strangers.admit("borealis", true, now).is_ok());
    }
}
