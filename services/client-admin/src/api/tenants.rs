//! Tenants.

use axum::{extract::State, http::StatusCode};
use easycode_crds::{DedicatedInstance, Tenant};
use easycode_kit::{Json, Path, Problem, Query};
use easycode_operator::audit::trail::changes::Change;
use kube::ResourceExt;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    App,
    change::{
        self, Managed, Outcome, Wanted,
        conflict::{Conflict, Fault},
        preview::{self, OperatorPlan},
    },
    fleet::{
        query::{Found, TenantQuery},
        summary::{self, TenantSummary},
    },
    history::{self, History},
    invitation::{self, Invitation},
    refusal::{ProblemDocument, Refusal},
    session::ApiCaller,
    staff::{Role, Staff},
};

/// A tenant as a whole.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantDocument {
    summary: TenantSummary,
    /// Version of the spec: what a change was made up from.
    generation: i64,
    /// The spec, as the resource has it.
    spec: Value,
    /// What was observed, as the resource has it.
    status: Value,
}

/// What someone wants of a tenant, and of the instance that is made along with it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// The tenant.
    #[serde(deserialize_with = "object")]
    pub tenant: Wanted,
    /// The instance, for one that is to be dedicated.
    #[serde(default, deserialize_with = "optional_object")]
    pub instance: Option<InstanceChange>,
}

/// What someone wants of an instance.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceChange {
    /// Its name.
    pub name: String,
    /// What is wanted.
    #[serde(deserialize_with = "object")]
    pub wanted: Wanted,
}

/// Reads an object, and no list of its values, which serde would take for it.
fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let fields = Map::<String, Value>::deserialize(deserializer)?;
    serde_json::from_value(Value::Object(fields)).map_err(D::Error::custom)
}

/// The same of one that may be left out.
fn optional_object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let fields = Option::<Map<String, Value>>::deserialize(deserializer)?;
    fields.map(|fields| serde_json::from_value(Value::Object(fields)).map_err(D::Error::custom)).transpose()
}

/// What would come of a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanDocument {
    /// Fields of the spec that would differ; those of an instance begin with `instance.`.
    #[schema(value_type = Vec<Object>)]
    pub changes: Vec<Change>,
    /// Fields that other managers own.
    pub conflicts: Vec<Conflict>,
    /// Values that are not acceptable.
    pub errors: Vec<Fault>,
    /// What the operator would do; none if the API server refuses the objects.
    pub operator: Option<OperatorPlan>,
}

/// The version that someone saw.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    seen: i64,
}

/// A confirmation by name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Name of what is to be deleted.
    pub confirm: String,
}

/// Who is to be invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invitee {
    /// Address of one of the tenant's administrators.
    email: String,
}

impl TenantChange {
    /// What would come of it.
    pub async fn plan(&self, app: &App, name: &str, staff: &Staff) -> Result<PlanDocument, Refusal> {
        let mut instance: Option<Outcome<DedicatedInstance>> = None;
        if let Some(InstanceChange { name, wanted }) = &self.instance {
            instance = Some(change::plan(&app.client, name, wanted, staff).await?);
        }
        let tenant: Outcome<Tenant> = change::plan(&app.client, name, &self.tenant, staff).await?;
        Ok(document(app, Some(tenant), instance))
    }

    /// Makes it so: the instance first, so that the tenant never names one that isn't there.
    pub async fn apply(&self, app: &App, name: &str, staff: &Staff) -> Result<Tenant, Refusal> {
        self.check_take_over(staff)?;
        if let Some(InstanceChange { name: instance, wanted }) = &self.instance {
            // Refused here, the tenant's change leaves no instance behind.
            let tried: Outcome<Tenant> = change::plan(&app.client, name, &self.tenant, staff).await?;
            if !tried.faults.is_empty() {
                return Err(Refusal::Invalid(tried.faults));
            }
            if !tried.conflicts.iter().all(|one| self.tenant.take_over.iter().any(|seen| one.is_as_seen(seen))) {
                return Err(Refusal::Conflicts(tried.conflicts));
            }
            change::apply::<DedicatedInstance>(app, instance, wanted, staff).await?;
        }
        change::apply(app, name, &self.tenant, staff).await
    }

    /// Of both before either is written: the API server that tries the tenant knows nothing of roles.
    fn check_take_over(&self, staff: &Staff) -> Result<(), Problem> {
        let instance = self.instance.iter().map(|one| &one.wanted);
        instance.chain([&self.tenant]).try_for_each(|wanted| wanted.check_take_over(staff))
    }
}

/// What would come of changes of both.
#[must_use]
pub fn document(
    app: &App,
    tenant: Option<Outcome<Tenant>>,
    instance: Option<Outcome<DedicatedInstance>>,
) -> PlanDocument {
    let mut plan = PlanDocument { changes: Vec::new(), conflicts: Vec::new(), errors: Vec::new(), operator: None };
    let mut objects = (None, None);
    let mut add = |prefix: &str, changes: Vec<Change>, conflicts: Vec<Conflict>, errors: Vec<Fault>| {
        plan.changes.extend(changes.into_iter().map(|one| Change { path: format!("{prefix}{}", one.path), ..one }));
        plan.conflicts
            .extend(conflicts.into_iter().map(|one| Conflict { field: format!("{prefix}{}", one.field), ..one }));
        plan.errors.extend(errors.into_iter().map(|one| Fault { field: format!("{prefix}{}", one.field), ..one }));
    };
    if let Some(outcome) = instance {
        add("instance.", outcome.changes, outcome.conflicts, outcome.faults);
        objects.1 = outcome.object;
    }
    if let Some(outcome) = tenant {
        add("", outcome.changes, outcome.conflicts, outcome.faults);
        objects.0 = outcome.object;
    }
    if plan.errors.is_empty() {
        plan.operator = Some(preview::of(app, objects.0, objects.1));
    }
    plan
}

fn tenant_document(app: &App, tenant: &Tenant) -> TenantDocument {
    TenantDocument {
        summary: summary::of_tenant(tenant, &app.fleet),
        generation: tenant.metadata.generation.unwrap_or_default(),
        spec: json!(tenant.spec),
        status: json!(tenant.status),
    }
}

/// A page of the tenants that are asked for.
#[utoipa::path(get, path = "/tenants", params(TenantQuery), responses((status = 200, body = Found<TenantSummary>)))]
pub async fn list(
    State(app): State<App>,
    _: ApiCaller,
    Query(query): Query<TenantQuery>,
) -> Json<Found<TenantSummary>> {
    Json(query.of(&app.fleet))
}

/// One tenant.
#[utoipa::path(get, path = "/tenants/{name}", responses(
    (status = 200, body = TenantDocument), (status = 404, body = ProblemDocument)))]
pub async fn one(
    State(app): State<App>,
    _: ApiCaller,
    Path(name): Path<String>,
) -> Result<Json<TenantDocument>, Problem> {
    let tenant = app.fleet.known_tenant(&name)?;
    Ok(Json(tenant_document(&app, &tenant)))
}

/// Its past: the newest records of its audit trail, events and conditions. The whole trail tells `easycode audit --tenant NAME`.
#[utoipa::path(get, path = "/tenants/{name}/history", responses((status = 200, body = History)))]
pub async fn history(State(app): State<App>, _: ApiCaller, Path(name): Path<String>) -> Result<Json<History>, Problem> {
    let tenant = app.fleet.known_tenant(&name)?;
    Ok(Json(history::of_tenant(&app, &tenant).await?))
}

/// What would come of a change. Nothing is written.
#[utoipa::path(post, path = "/tenants/{name}/plan", request_body = TenantChange, responses(
    (status = 200, body = PlanDocument), (status = 412, body = ProblemDocument, description = "changed since it was seen")))]
pub async fn plan(
    State(app): State<App>,
    caller: ApiCaller,
    Path(name): Path<String>,
    Json(change): Json<TenantChange>,
) -> Result<Json<PlanDocument>, Refusal> {
    Ok(Json(change.plan(&app, &name, &caller.0).await?))
}

/// Onboards or changes a tenant.
#[utoipa::path(put, path = "/tenants/{name}", request_body = TenantChange, responses(
    (status = 200, body = TenantDocument),
    (status = 409, body = ProblemDocument, description = "other managers own fields of it"),
    (status = 412, body = ProblemDocument, description = "changed since it was seen"),
    (status = 422, body = ProblemDocument)))]
pub async fn apply(
    State(app): State<App>,
    caller: ApiCaller,
    Path(name): Path<String>,
    Json(change): Json<TenantChange>,
) -> Result<Json<TenantDocument>, Refusal> {
    caller.require(Role::Operations)?;
    let tenant = change.apply(&app, &name, &caller.0).await?;
    Ok(Json(tenant_document(&app, &tenant)))
}

/// Stops all access within a second; the data stays.
#[utoipa::path(post, path = "/tenants/{name}/suspend", request_body = Seen, responses(
    (status = 200, body = TenantDocument), (status = 409, body = ProblemDocument), (status = 412, body = ProblemDocument)))]
pub async fn suspend(
    State(app): State<App>,
    caller: ApiCaller,
    Path(name): Path<String>,
    Json(seen): Json<Seen>,
) -> Result<Json<TenantDocument>, Refusal> {
    set_state(&app, &caller, &name, &seen, "Suspended").await
}

/// Lets a suspended tenant work again.
#[utoipa::path(post, path = "/tenants/{name}/resume", request_body = Seen, responses(
    (status = 200, body = TenantDocument), (status = 409, body = ProblemDocument), (status = 412, body = ProblemDocument)))]
pub async fn resume(
    State(app): State<App>,
    caller: ApiCaller,
    Path(name): Path<String>,
    Json(seen): Json<Seen>,
) -> Result<Json<TenantDocument>, Refusal> {
    set_state(&app, &caller, &name, &seen, "Active").await
}

async fn set_state(
    app: &App,
    caller: &ApiCaller,
    name: &str,
    seen: &Seen,
    state: &str,
) -> Result<Json<TenantDocument>, Refusal> {
    caller.require(Role::Operations)?;
    // As it is now: what is remembered of it may be older than what the caller has seen.
    let mut spec = json!(change::present::<Tenant>(&app.client, name).await?.spec);
    spec["state"] = state.into();
    let wanted = Wanted { spec, seen: Some(seen.seen), take_over: Vec::new() };
    let tenant = change::apply::<Tenant>(app, name, &wanted, &caller.0).await?;
    Ok(Json(tenant_document(app, &tenant)))
}

/// Offboards a tenant. What becomes of its data says its `deletionPolicy`.
#[utoipa::path(delete, path = "/tenants/{name}", request_body = Confirmation, responses(
    (status = 202), (status = 403, body = ProblemDocument), (status = 422, body = ProblemDocument)))]
pub async fn offboard(
    State(app): State<App>,
    caller: ApiCaller,
    Path(name): Path<String>,
    Json(confirmation): Json<Confirmation>,
) -> Result<StatusCode, Refusal> {
    end::<Tenant>(&app, &caller, &name, &confirmation).await
}

/// Deletes what was confirmed by its own name, for an administrator.
pub async fn end<K: Managed>(
    app: &App,
    caller: &ApiCaller,
    name: &str,
    confirmation: &Confirmation,
) -> Result<StatusCode, Refusal> {
    caller.require(Role::Administrator)?;
    if confirmation.confirm != name {
        let message = format!("type the name, {name}, to confirm");
        return Err(Refusal::Invalid(vec![Fault { field: "confirm".to_owned(), message }]));
    }
    change::delete::<K>(&app.client, name, &caller.0).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Makes a link by which one of its administrators becomes a user. It is told once.
#[utoipa::path(post, path = "/tenants/{name}/invitations", request_body = Invitee, responses(
    (status = 200, body = Invitation), (status = 422, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn invite(
    State(app): State<App>,
    caller: ApiCaller,
    Path(name): Path<String>,
    Json(invitee): Json<Invitee>,
) -> Result<Json<Invitation>, Problem> {
    caller.require(Role::Operations)?;
    let tenant = app.fleet.known_tenant(&name)?;
    Ok(Json(invite_administrator(&app, &tenant, &invitee.email, &caller.0).await?))
}

/// Invites one of the administrators that the spec names, and nobody else: the company makes its other users itself.
pub async fn invite_administrator(
    app: &App,
    tenant: &Tenant,
    email: &str,
    staff: &Staff,
) -> Result<Invitation, Problem> {
    let named = tenant.spec.administrators.iter().find(|one| one.email.eq_ignore_ascii_case(email));
    let Some(administrator) = named else {
        let name = tenant.name_any();
        return Err(Problem::invalid(format!(
            "email: is no administrator of tenant {name}; add the person there first"
        )));
    };
    invitation::invite(app, tenant, &administrator.email, staff).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_administrator_takes_over_fields_of_either() {
        let taken = json!([{ "field": "spec.limits.users", "managers": ["argocd"], "present": 7 }]);
        let change = |of_tenant: &Value, of_instance: &Value| {
            let wanted = |taken: &Value| json!({ "spec": {}, "takeOver": taken });
            let instance = json!({ "name": "aurora", "wanted": wanted(of_instance) });
            serde_json::from_value::<TenantChange>(json!({ "tenant": wanted(of_tenant), "instance": instance }))
                .unwrap()
        };
        let (none, [operations, administrator]) = (
            json!([]),
            [Role::Operations, Role::Administrator].map(|role| Staff { email: "ada@easycode.example".into(), role }),
        );
        assert!(change(&none, &none).check_take_over(&operations).is_ok());
        for change in [change(&taken, &none), change(&none, &taken)] {
            assert_eq!(change.check_take_over(&operations).unwrap_err().status, 403);
            assert!(change.check_take_over(&administrator).is_ok());
        }
    }
}
