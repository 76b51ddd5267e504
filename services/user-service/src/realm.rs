//! The tenant that something is done in: its context at the time, and the way to its data.

use std::{path::Path, sync::Arc, time::Instant};

use easycode_contract::{context::TenantContext, database::Identifier, runtime::USER_SERVICE};
use easycode_kit::{App, Problem, TenantTransaction, guard, limits::Limits};

use crate::{
    attempts::Attempts, keys::SigningKeys, oidc::Providers, outbound::Outbound, passwords::Hasher,
    recognised::Recognised, roles::Catalogues,
};

/// Most bytes of a request of someone who has not shown who they are: more is read only for people of a company.
pub const STRANGERS_BODY_BYTES: usize = 16 << 10;

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
    sign_ins: Limits,
    /// How much is asked by those who have shown nothing yet.
    strangers: Limits,
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
            sign_ins: Limits::default(),
            strangers: Limits::default(),
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

/// Who asks without a token of the guard's. Each kind has a limit of its own for each tenant, as high as that for its people's
/// requests: so who knows no more than a company's name can't use up what its people need.
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
        if guard::admit(context.as_deref(), USER_SERVICE).is_err() {
            return Ok(None);
        }
        let Some(context) = context else { return Ok(None) };
        let limits = match asking {
            Asking::Known => &*app.limits,
            Asking::ToSignIn => &Shared::of(app).sign_ins,
            Asking::Stranger => &Shared::of(app).strangers,
        };
        limits.request(&context, Instant::now())?;
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
