//! Who does something in a tenant: one of its people, who has shown who they are.

use std::{collections::BTreeSet, ops::Deref};

use axum::{extract::FromRequestParts, http::request::Parts};
use easycode_contract::runtime::TENANT_SERVICE;
use easycode_kit::{App, Caller, Problem, guard};
use uuid::Uuid;

use crate::{realm::Realm, sessions};

/// Role of a tenant's administrators, and the service that defines it.
pub const ADMINISTRATOR: (&str, &str) = (TENANT_SERVICE, guard::ADMINISTRATOR);

/// Someone who is signed in.
#[derive(Clone)]
pub struct Member {
    /// The tenant.
    pub realm: Realm,
    /// Who it is: the account's id, or what another issuer calls them.
    pub subject: String,
    /// What they may do: by what they are now, if the session is one of this service; else by their token.
    pub roles: BTreeSet<String>,
    /// Their session, if it is one of this service.
    pub session: Option<Uuid>,
}

impl Member {
    /// Refuses unless they administer the tenant.
    pub fn require_administrator(&self) -> Result<(), Problem> {
        let (_, role) = ADMINISTRATOR;
        if self.roles.contains(role) {
            return Ok(());
        }
        Err(Problem::forbidden("role-required", format!("this needs the role {role}")))
    }

    /// Their account, unless another issuer vouches for them.
    pub fn account(&self) -> Result<Uuid, Problem> {
        let foreign = || Problem::not_found("you have no account here: another issuer has signed your token");
        self.subject.parse().map_err(|_| foreign())
    }
}

impl Deref for Member {
    type Target = Realm;
    fn deref(&self) -> &Realm {
        &self.realm
    }
}

impl FromRequestParts<App> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let session = caller.own_session().and_then(|id| id.parse().ok());
        let realm = Realm { app: app.clone(), context: caller.context };
        // Who was removed or signed out must not use what is left of a token to let themselves in again.
        let roles = match session {
            Some(session) => sessions::roles_of(&realm, session, &caller.subject).await?,
            None => caller.roles,
        };
        Ok(Self { realm, subject: caller.subject, roles, session })
    }
}
