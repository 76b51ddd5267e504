//! The roles that there are: each service defines its own and publishes them, with those of other services that they imply. What of
//! them a user can be given, and what of what was given counts, follows from the tenant's entitlements at the time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use easycode_contract::{
    context::TenantContext,
    runtime::{TENANT_SERVICE, USER_SERVICE, api_url},
};
use easycode_kit::{App, Problem, http::bounded};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tracing::warn;
use utoipa::ToSchema;

use crate::realm::Realm;

/// Age from which a service is asked again.
const OLD: Duration = Duration::from_mins(1);
/// Time after which a service is asked again that did not answer.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// Longest time for its answer: someone waits to sign in.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes of an answer.
const LONGEST: usize = 1 << 16;

/// A role that was given to a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The service that defines it.
    pub service: String,
    /// Its name.
    pub role: String,
}

/// A role as its service defines it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Roles of other services that come with it.
    #[serde(default)]
    pub implies: BTreeSet<String>,
}

/// A role that a user can be given.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Assignable {
    /// The service that defines it.
    pub service: String,
    /// The role.
    #[serde(flatten)]
    pub definition: Definition,
}

/// The roles of the services that a tenant is entitled to. A service that was never reached has no entry.
pub type Catalogue = BTreeMap<String, Arc<[Definition]>>;

/// What is known of one service.
struct Known {
    roles: Option<Arc<[Definition]>>,
    ask_again: Instant,
}

/// The roles of all services, as they were last told.
#[derive(Default)]
pub struct Catalogues(Mutex<HashMap<String, Known>>);

impl Catalogues {
    /// Of the services that the tenant is entitled to.
    pub async fn of(&self, app: &App, context: &TenantContext) -> Catalogue {
        let entitled = context.entitlements.keys().map(String::as_str);
        let services: BTreeSet<_> =
            entitled.chain([TENANT_SERVICE]).filter(|service| *service != USER_SERVICE).collect();
        let known =
            services.into_iter().map(async |service| Some((service.to_owned(), self.roles(app, service).await?)));
        join_all(known).await.into_iter().flatten().collect()
    }

    async fn roles(&self, app: &App, service: &str) -> Option<Arc<[Definition]>> {
        let last = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(service) {
                Some(known) if known.ask_again > Instant::now() => return known.roles.clone(),
                known => known.and_then(|known| known.roles.clone()),
            }
        };
        let (roles, ask_again) = match fetch(app, service).await {
            Ok(roles) => (Some(Arc::from(roles)), OLD),
            Err(error) => {
                warn!(
                    service,
                    error = format!("{error:#}"),
                    "a service does not tell its roles; the last known ones count"
                );
                (last, TRY_AGAIN)
            }
        };
        let known = Known { roles: roles.clone(), ask_again: Instant::now() + ask_again };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(service.to_owned(), known);
        roles
    }
}

async fn fetch(app: &App, service: &str) -> anyhow::Result<Vec<Definition>> {
    let url = format!("{}/roles", api_url(service, &app.config.namespace));
    let response = app.http.get(url).timeout(PATIENCE).send().await?.error_for_status()?;
    Ok(serde_json::from_slice(&bounded(response, LONGEST).await?)?)
}

/// Whether a role of the service counts for the tenant now.
#[must_use]
pub fn is_active(context: &TenantContext, service: &str) -> bool {
    service == TENANT_SERVICE || context.allows(service)
}

/// What a user may do now: the roles given by services that the tenant is entitled to, and what these imply, directly or not, as far as a
/// service defines it that the tenant is entitled to.
#[must_use]
pub fn effective(context: &TenantContext, catalogue: &Catalogue, assigned: &BTreeSet<Assignment>) -> BTreeSet<String> {
    let defined = catalogue.iter().filter(|(service, _)| is_active(context, service));
    let defined: HashMap<&str, &Definition> =
        defined.flat_map(|(_, roles)| roles.iter()).map(|role| (role.name.as_str(), role)).collect();
    let given = assigned.iter().filter(|one| is_active(context, &one.service));
    let mut open: Vec<&str> = given.map(|one| one.role.as_str()).collect();
    let mut all = BTreeSet::new();
    while let Some(role) = open.pop() {
        if all.insert(role.to_owned())
            && let Some(definition) = defined.get(role)
        {
            open.extend(definition.implies.iter().map(String::as_str).filter(|one| defined.contains_key(one)));
        }
    }
    all
}

/// The roles that the users of the tenant can be given.
pub async fn assignable(realm: &Realm) -> Vec<Assignable> {
    let catalogue = crate::realm::shared().catalogues.of(&realm.app, &realm.context).await;
    let of = |(service, roles): (String, Arc<[Definition]>)| {
        let roles: Vec<_> = roles.iter().cloned().collect();
        roles.into_iter().map(move |definition| Assignable { service: service.clone(), definition })
    };
    catalogue.into_iter().flat_map(of).collect()
}

/// Refuses roles that can't be given now.
pub fn check_assignable(
    context: &TenantContext,
    catalogue: &Catalogue,
    added: impl Iterator<Item = Assignment>,
) -> Result<(), Problem> {
    for Assignment { service, role } in added {
        if !is_active(context, &service) {
            let detail = format!("roles: the company is not entitled to {service}, so nobody can be given {role}");
            return Err(Problem::forbidden("not-entitled", detail));
        }
        let unknown =
            || Problem::invalid(format!("roles: {service} has no role {role}; see GET /user/v1/assignable-roles"));
        if service == USER_SERVICE {
            return Err(unknown());
        }
        let Some(defined) = catalogue.get(&service) else {
            return Err(Problem::unavailable(format!("{service} does not tell its roles right now; try again")));
        };
        if !defined.iter().any(|one| one.name == role) {
            return Err(unknown());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn context(entitlements: &Value) -> TenantContext {
        serde_json::from_value(json!({
            "tenant": "aurora", "displayName": "Aurora", "generation": 1, "state": "Active", "entitlements": entitlements,
            "limits": { "users": 1, "connections": 1, "statementTimeoutMs": 1, "storageBytes": 1, "requestsPerSecond": 1 },
            "dataUse": { "analytics": "None", "aiTraining": "None" }, "databaseRole": "t", "release": "1",
        }))
        .unwrap()
    }

    fn catalogue() -> Catalogue {
        let role = |name: &str, implies: &[&str]| {
            let definition = json!({ "name": name, "description": "", "implies": implies });
            serde_json::from_value::<Definition>(definition).unwrap()
        };
        [
            ("tenant-service", vec![role("tenant-admin", &[])]),
            (
                "pos",
                vec![role("pos-manager", &["pos-cashier"]), role("pos-cashier", &["stock-mover", "ledger-poster"])],
            ),
            ("inventory", vec![role("stock-mover", &["pos-manager"])]),
            ("finance", vec![role("ledger-poster", &[])]),
        ]
        .map(|(service, roles)| (service.to_owned(), Arc::from(roles)))
        .into()
    }

    fn assigned(all: &[(&str, &str)]) -> BTreeSet<Assignment> {
        let one =
            |(service, role): &(&str, &str)| Assignment { service: (*service).to_owned(), role: (*role).to_owned() };
        all.iter().map(one).collect()
    }

    #[test]
    fn roles_count_as_far_as_the_tenant_is_entitled_and_so_does_what_they_imply() {
        let given = assigned(&[("pos", "pos-manager"), ("crm", "crm-user"), ("tenant-service", "tenant-admin")]);
        let of = |entitlements: Value| {
            effective(&context(&entitlements), &catalogue(), &given).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of(json!({})), ["tenant-admin"]);
        assert_eq!(of(json!({ "crm": [] })), ["crm-user", "tenant-admin"]);
        assert_eq!(
            of(json!({ "pos": [], "inventory": [] })),
            ["pos-cashier", "pos-manager", "stock-mover", "tenant-admin"],
            "no role of Finance, and a circle ends"
        );
        assert_eq!(
            of(json!({ "pos": [], "finance": [] })),
            ["ledger-poster", "pos-cashier", "pos-manager", "tenant-admin"]
        );
    }

    #[test]
    fn a_suspended_tenants_users_may_do_nothing_in_services() {
        let mut context = context(&json!({ "crm": [] }));
        context.state = easycode_contract::context::TenantState::Suspended;
        assert_eq!(effective(&context, &catalogue(), &assigned(&[("crm", "crm-user")])), BTreeSet::new());
    }

    #[test]
    fn only_what_an_entitled_service_defines_can_be_given() {
        let context = context(&json!({ "pos": [], "crm": [], "user-service": [] }));
        let check = |service: &str, role: &str| {
            let added = assigned(&[(service, role)]).into_iter();
            check_assignable(&context, &catalogue(), added).map_err(|problem| problem.status)
        };
        assert_eq!(check("pos", "pos-cashier"), Ok(()));
        assert_eq!(check("tenant-service", "tenant-admin"), Ok(()));
        assert_eq!(check("finance", "ledger-poster"), Err(403));
        assert_eq!(check("user-service", "tenant-admin"), Err(422));
        assert_eq!(check("pos", "ledger-poster"), Err(422));
        assert_eq!(check("crm", "crm-user"), Err(503), "it was not reached");
    }
}
