//! The roles that there are: each service defines its own and publishes them, with those that they imply in other services. What of
//! them a user can be given, and what of what was given counts, follows from the tenant's entitlements at the time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use easycode_contract::{
    context::TenantContext,
    runtime::{TENANT_SERVICE, USER_SERVICE},
};
use easycode_kit::{App, Problem, guard::ADMINISTRATOR, http::bounded};
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

/// A role that was given to a user. It may have more fields, so that a user can be sent back as read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
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
    /// Roles of other services that its service has there, when it calls them for whoever has this one.
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
    let url = format!("{}/roles", app.config.api_url(service));
    let response = app.http.get(url).timeout(PATIENCE).send().await?.error_for_status()?;
    Ok(serde_json::from_slice(&bounded(response, LONGEST).await?)?)
}

/// Whether a role of the service counts for the tenant now.
#[must_use]
pub fn is_active(context: &TenantContext, service: &str) -> bool {
    service == TENANT_SERVICE || context.allows(service)
}

/// What a user may do now: the roles given by services that the tenant is entitled to.
#[must_use]
pub fn effective(context: &TenantContext, assigned: &BTreeSet<Assignment>) -> BTreeSet<String> {
    assigned.iter().filter(|one| is_active(context, &one.service)).map(|one| one.role.clone()).collect()
}

/// What the roles that someone has in a service imply in others, as far as one defines it that the tenant is entitled to.
#[must_use]
pub fn implied(
    context: &TenantContext,
    catalogue: &Catalogue,
    service: &str,
    held: &BTreeSet<String>,
) -> BTreeSet<String> {
    let others = catalogue.iter().filter(|(other, _)| *other != service && context.allows(other));
    let defined: BTreeSet<&String> = others.flat_map(|(_, roles)| roles.iter()).map(|role| &role.name).collect();
    let own = catalogue.get(service).into_iter().flat_map(|roles| roles.iter());
    let implied = own.filter(|role| held.contains(&role.name)).flat_map(|role| &role.implies);
    // Whatever a service says of itself, it administers no company.
    implied.filter(|role| defined.contains(role) && *role != ADMINISTRATOR).cloned().collect()
}

/// Whether all services that the tenant is entitled to have told their roles.
#[must_use]
pub fn is_complete(context: &TenantContext, catalogue: &Catalogue) -> bool {
    context.entitlements.keys().all(|service| service == USER_SERVICE || catalogue.contains_key(service))
}

/// The roles that the users of the tenant can be given.
pub async fn assignable(realm: &Realm) -> Vec<Assignable> {
    let catalogue = realm.shared().catalogues.of(&realm.app, &realm.context).await;
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
                vec![role("pos-manager", &["stock-mover"]), role("pos-cashier", &["stock-mover", "ledger-poster"])],
            ),
            ("inventory", vec![role("stock-mover", &["pos-manager", "tenant-admin", "stock-keeper"])]),
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
    fn roles_count_as_far_as_the_tenant_is_entitled_and_what_they_imply_is_not_the_users() {
        let given = assigned(&[("pos", "pos-cashier"), ("crm", "crm-user"), ("tenant-service", "tenant-admin")]);
        let of = |entitlements: Value| effective(&context(&entitlements), &given).into_iter().collect::<Vec<_>>();
        assert_eq!(of(json!({})), ["tenant-admin"]);
        assert_eq!(of(json!({ "crm": [] })), ["crm-user", "tenant-admin"]);
        assert_eq!(of(json!({ "pos": [], "inventory": [], "finance": [] })), ["pos-cashier", "tenant-admin"]);
    }

    #[test]
    fn a_suspended_tenants_users_may_do_nothing_in_services() {
        let mut context = context(&json!({ "crm": [] }));
        context.state = easycode_contract::context::TenantState::Suspended;
        assert_eq!(effective(&context, &assigned(&[("crm", "crm-user")])), BTreeSet::new());
    }

    #[test]
    fn a_service_is_lent_what_the_roles_in_it_imply_in_others_as_far_as_the_tenant_is_entitled() {
        let held = ["pos-cashier", "pos-manager", "crm-user", "stock-mover"].map(str::to_owned).into();
        let of = |service: &str, entitlements: Value| {
            implied(&context(&entitlements), &catalogue(), service, &held).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of("pos", json!({ "pos": [], "inventory": [], "finance": [] })), ["ledger-poster", "stock-mover"]);
        assert_eq!(of("pos", json!({ "pos": [], "finance": [] })), ["ledger-poster"]);
        assert!(of("pos", json!({ "pos": [] })).is_empty());
        assert!(
            of("crm", json!({ "crm": [], "inventory": [] })).is_empty(),
            "roles in another service are none in this one"
        );
        let inventory = of("inventory", json!({ "pos": [], "inventory": [], "tenant-service": [] }));
        assert_eq!(inventory, ["pos-manager"], "nobody defines the one, and no service administers");
    }

    #[test]
    fn the_roles_are_complete_once_all_services_have_told_theirs() {
        let is_complete = |entitlements: Value| is_complete(&context(&entitlements), &catalogue());
        assert!(is_complete(json!({ "pos": [], "finance": [], "user-service": [] })));
        assert!(!is_complete(json!({ "pos": [], "crm": [] })));
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
