//! The guard: a handler that takes a [`Caller`] runs only for a known user of a tenant that may use the service now.

use std::{
    collections::BTreeSet,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};
use easycode_contract::{
    context::{TenantContext, TenantState},
    database::Identifier,
    delegation::Actor,
    runtime::COMMON_SERVICES,
};

use crate::{
    App, Config, Problem, TenantTransaction,
    storage::Notice,
    token::{Claims, bearer},
};

/// Role of a company's administrators.
pub const ADMINISTRATOR: &str = "tenant-admin";
/// Code of a refusal to a tenant that lacks the service.
pub(crate) const NOT_ENTITLED: &str = "not-entitled";
/// How often it is looked whether the context says why the database refuses, and the time between.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Who asks, for which tenant.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant.
    pub tenant: String,
    /// The user.
    pub subject: String,
    /// What the user may do for the tenant.
    pub roles: BTreeSet<String>,
    /// The user's session, if the issuer tells.
    pub session: Option<String>,
    /// Who has signed what the caller showed.
    pub issuer: String,
    /// The service that acts for the user, if it is not the user who asks.
    pub actor: Option<Actor>,
    /// When what the caller showed expires, in seconds since 1970.
    pub expires: f64,
    /// The tenant's context at the time of the request.
    pub context: Arc<TenantContext>,
    token: Token,
    config: Arc<Config>,
    method: Method,
    storage: Notice,
}

/// A token, which is not to be seen in any log.
#[derive(Clone)]
struct Token(Arc<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Caller {
    /// The session, if it is one of the platform's or instance's own user-service.
    #[must_use]
    pub fn own_session(&self) -> Option<&str> {
        self.session.as_deref().filter(|_| Some(&self.issuer) == self.config.user_service.as_ref())
    }

    /// Refuses unless the tenant is entitled to the module of the service.
    pub fn require_module(&self, service: &str, module: &str) -> Result<(), Problem> {
        if self.context.allows_module(service, module) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "module-not-entitled",
            format!("the tenant is not entitled to module {module} of {service}"),
        ))
    }

    /// Refuses unless the user has the role.
    pub fn require_role(&self, role: &str) -> Result<(), Problem> {
        if self.roles.contains(role) {
            return Ok(());
        }
        Err(Problem::forbidden("role-required", format!("this needs the role {role}")))
    }

    /// Refuses unless the user has one of the roles.
    pub fn require_any_role(&self, roles: &[&str]) -> Result<(), Problem> {
        if roles.iter().any(|role| self.roles.contains(*role)) {
            return Ok(());
        }
        Err(Problem::forbidden("role-required", format!("this needs one of the roles {}", roles.join(", "))))
    }

    /// The roles of other services that this one has there on the caller's behalf, beside those that the caller has.
    pub(crate) fn lent_roles(&self) -> impl Iterator<Item = &'static str> {
        // Without user-service nobody lends any.
        let roles = self.config.user_service.as_ref().map_or(&[][..], |_| self.config.roles);
        let held = roles.iter().filter(|role| self.roles.contains(role.name));
        held.flat_map(|role| role.implies).copied().filter(|role| !self.roles.contains(*role))
    }

    /// What the caller showed.
    pub(crate) fn token(&self) -> &Arc<str> {
        &self.token.0
    }

    /// Begins the tenant's transaction. If the database lets nobody act as the tenant any more, says why as soon as the context
    /// does, which is published at the same time.
    pub async fn begin(&self, app: &App) -> Result<TenantTransaction, Problem> {
        require_same_tenant(app, &self.context).await?;
        let mut transaction = self.begin_transaction(app).await?;
        if self.method == Method::DELETE {
            app.storage.forget(&self.context);
        } else if !self.method.is_safe() {
            self.storage.set(app.storage.require_room(&mut transaction, &self.context).await?);
        }
        Ok(transaction)
    }

    async fn begin_transaction(&self, app: &App) -> Result<TenantTransaction, Problem> {
        let refusal = match TenantTransaction::begin(&app.connections, &self.context, &app.limits).await {
            Err(problem) if problem.code == NOT_ENTITLED => problem,
            outcome => return outcome,
        };
        for _ in 0..LOOKS {
            let context = app.contexts.get(&self.tenant).await?;
            admit(context.as_deref(), &app.config.service)?;
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Err(refusal)
    }
}

/// Refuses if another tenant has the name by now. A request can take long, for example to send its body, and must not end in the data
/// of a company that was made meanwhile.
///
/// # Errors
/// 401 if so; 503 if it can't be told.
pub async fn require_same_tenant(app: &App, context: &TenantContext) -> Result<(), Problem> {
    let present = app.contexts.get(&context.tenant).await?;
    if present.is_some_and(|present| present.uid != context.uid) {
        return Err(Problem::unauthorized("another tenant has this name now; sign in again"));
    }
    Ok(())
}

/// Whether a tenant of this context may use the service.
pub fn admit(context: Option<&TenantContext>, service: &str) -> Result<(), Problem> {
    let Some(context) = context else {
        return Err(Problem::forbidden("unknown-tenant", "the token's tenant does not exist on this platform"));
    };
    if context.state == TenantState::Suspended {
        return Err(Problem::forbidden("tenant-suspended", "the tenant is suspended; its data is kept"));
    }
    if !COMMON_SERVICES.contains(&service) && !context.allows(service) {
        return Err(Problem::forbidden(NOT_ENTITLED, format!("the tenant is not entitled to {service}")));
    }
    Ok(())
}

/// Whoever works in a service has a role there; another service that acts for someone has what that one's role there implies.
fn has_a_role(roles: &BTreeSet<String>, app: &App) -> Result<(), Problem> {
    let Config { service, roles: known, .. } = &*app.config;
    if COMMON_SERVICES.contains(&service.as_str()) || known.iter().any(|role| roles.contains(role.name)) {
        return Ok(());
    }
    let names: Vec<_> = known.iter().map(|role| role.name).collect();
    Err(Problem::forbidden("role-required", format!("this needs a role of {service}: {}", names.join(", "))))
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Self::of_the_tenant(parts, app).await?;
        has_a_role(&caller.roles, app)?;
        Ok(caller)
    }
}

/// A caller who need not work in the service, as long as it is one of the company's administrators: for what configuring the service
/// takes, or seeing to what others could not be told, and shows none of its records.
#[derive(Clone, Debug)]
pub struct Configuring(pub Caller);

impl FromRequestParts<App> for Configuring {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::of_the_tenant(parts, app).await?;
        if !caller.roles.contains(ADMINISTRATOR) {
            has_a_role(&caller.roles, app)?;
        }
        Ok(Self(caller))
    }
}

impl Caller {
    async fn of_the_tenant(parts: &Parts, app: &App) -> Result<Self, Problem> {
        let token =
            bearer(&parts.headers).ok_or_else(|| Problem::unauthorized("send a token as Authorization: Bearer …"))?;
        let caller = Self::by_token(token, &parts.method, app).await?;
        Ok(Self { storage: parts.extensions.get::<Notice>().cloned().unwrap_or_default(), ..caller })
    }

    /// The user whose token it is, whatever the user's roles are, if the tenant may use the service now. For requests that show it
    /// in another way than services do.
    pub async fn by_token(token: &str, method: &Method, app: &App) -> Result<Self, Problem> {
        let claims: Claims = app.issuers.verify(token).await?;
        // What can't be a tenant's name is not asked for.
        let context = match Identifier::tenant(&claims.tenant) {
            Ok(_) => app.contexts.get(&claims.tenant).await?,
            Err(_) => None,
        };
        admit(context.as_deref(), &app.config.service)?;
        let context = context.ok_or_else(Problem::internal)?;
        claims.check_tenant(&context)?;
        app.limits.request(&context, Instant::now())?;
        if context.read_only && !method.is_safe() {
            return Err(Problem::moving());
        }
        tracing::Span::current().record("tenant", claims.tenant.as_str());
        let token = Token(Arc::from(token));
        if let Some(actor) = &claims.act {
            tracing::Span::current().record("actor", actor.sub.as_str());
        }
        let Claims { iss: issuer, sub: subject, tenant, roles, sid: session, act: actor, exp: expires, .. } = claims;
        let config = Arc::clone(&app.config);
        let (method, storage) = (method.clone(), Notice::default());
        Ok(Self { tenant, subject, roles, session, issuer, actor, expires, context, token, config, method, storage })
    }
}

#[cfg(test)]
impl Caller {
    /// Someone of a company that has bought `pos` and `inventory`, who asks a service that is configured so.
    pub(crate) fn of_nowhere(app: &App, roles: &[&str], token: &str) -> Self {
        let context = serde_json::json!({
            "tenant": "aurora", "displayName": "Aurora", "generation": 1, "state": "Active", "release": "1",
            "entitlements": { "pos": [], "inventory": [] }, "databaseRole": "t", "dataUse": { "analytics": "None", "aiTraining": "None" },
            "limits": { "users": 1, "connections": 1, "statementTimeoutMs": 1, "storageBytes": 1, "requestsPerSecond": 1 },
        });
        Self {
            tenant: "aurora".to_owned(),
            subject: "ada".to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            session: None,
            issuer: String::new(),
            actor: None,
            expires: f64::INFINITY,
            context: Arc::new(serde_json::from_value(context).unwrap()),
            token: Token(Arc::from(token)),
            config: Arc::clone(&app.config),
            method: Method::GET,
            storage: Notice::default(),
        }
    }
}
