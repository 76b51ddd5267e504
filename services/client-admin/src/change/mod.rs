//! Changes of a custom resource: what would come of one, and making it so, by server-side apply under a field manager of the
//! console's own. What another manager owns is never overwritten, unless an administrator has seen owner and value and says so.

pub mod conflict;
pub mod ownership;
pub mod preview;

use std::{fmt::Debug, sync::Arc};

use easycode_crds::{DedicatedInstance, Tenant};
use easycode_kit::Problem;
use easycode_operator::{
    audit::trail::changes::{Change, changes},
    kubernetes::labels::{CHANGED_BY, CONFIRM_DELETE},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    core::Status,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tracing::{info, warn};
use utoipa::ToSchema;

use self::conflict::{Conflict, Fault, TakeOver};
use crate::{
    app::App,
    fleet::Fleet,
    refusal::Refusal,
    staff::{Role, Staff},
};

/// Who the console is to the API server.
pub const FIELD_MANAGER: &str = "easycode-client-admin";
/// Attempts to write before what the operator reports meanwhile.
const ATTEMPTS: usize = 5;
/// The field that names who is behind the latest change, which is the console's to say with each.
const CHANGED_BY_FIELD: &str = "metadata.annotations.easycode.io/changed-by";

/// A custom resource that the console writes.
pub trait Managed:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
    /// The one of the name that is watched.
    fn known(fleet: &Fleet, name: &str) -> Option<Arc<Self>>;
}

impl Managed for Tenant {
    fn known(fleet: &Fleet, name: &str) -> Option<Arc<Self>> {
        fleet.tenant(name)
    }
}

impl Managed for DedicatedInstance {
    fn known(fleet: &Fleet, name: &str) -> Option<Arc<Self>> {
        fleet.instance(name)
    }
}

/// What someone wants of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    /// The whole spec, as the resource has it.
    pub spec: Value,
    /// Generation of the object that they saw; none for one that is to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<i64>,
    /// Fields to take over from other managers, as they were seen.
    #[serde(default)]
    pub take_over: Vec<TakeOver>,
}

impl Wanted {
    /// Refuses taking fields over to whoever is no administrator.
    pub fn check_take_over(&self, staff: &Staff) -> Result<(), Problem> {
        if self.take_over.is_empty() || staff.role >= Role::Administrator {
            return Ok(());
        }
        Err(Problem::forbidden("role", "only an administrator may take fields over from another manager"))
    }
}

/// What would come of a change.
#[derive(Debug)]
pub struct Outcome<K> {
    /// The object as it would be, with the API server's defaults; none if that refuses it.
    pub object: Option<K>,
    /// The object as it is.
    pub present: Option<K>,
    /// What differs in the spec.
    pub changes: Vec<Change>,
    /// Fields that others own.
    pub conflicts: Vec<Conflict>,
    /// Values that are not acceptable.
    pub faults: Vec<Fault>,
}

impl<K> Outcome<K> {
    /// Whether it may be applied as it is.
    #[must_use]
    pub fn is_applicable(&self) -> bool {
        self.faults.is_empty() && self.conflicts.is_empty()
    }
}

/// An object as it is, as far as a change needs it.
struct Present<K> {
    object: Option<K>,
    value: Value,
}

/// What would come of it. Nothing is written; the API server tries it, so that its rules speak.
pub async fn plan<K: Managed>(
    client: &Client,
    name: &str,
    wanted: &Wanted,
    staff: &Staff,
) -> Result<Outcome<K>, Refusal> {
    let api: Api<K> = Api::all(client.clone());
    let present = read(&api, name, wanted.seen).await?;
    let mut conflicts = kept(&present, &wanted.spec);
    let body = body(&present, name, &wanted.spec, staff, None);
    let mut tried = send(&api, name, &body, false, true).await;
    if let Err(Refused::Conflict(status)) = &tried {
        conflicts.extend(others(status, &present.value, &body));
        // As a trial only: what would come of it, were the conflicts settled.
        tried = send(&api, name, &body, true, true).await;
    }
    let (object, faults) = match tried {
        Ok(object) => (Some(object), Vec::new()),
        Err(Refused::Invalid(status)) => (None, conflict::faults(&status)),
        Err(Refused::Conflict(status)) => return Err(Problem::conflict(status.message.clone()).into()),
        Err(Refused::Other(problem)) => return Err(problem.into()),
    };
    let after = object.as_ref().map_or_else(|| wanted.spec.clone(), |object| value_of(object)["spec"].clone());
    // Of what is new each value is told by itself.
    let before = if present.object.is_some() { present.value["spec"].clone() } else { emptied(&after) };
    let changes = changes(&before, &after);
    Ok(Outcome { object, present: present.object, changes, conflicts, faults })
}

/// The object as it is now.
pub async fn present<K: Managed>(client: &Client, name: &str) -> Result<K, Problem> {
    check_name(name)?;
    let object = Api::<K>::all(client.clone()).get_opt(name).await.map_err(|error| refused(error).problem())?;
    object.ok_or_else(|| Problem::not_found(format!("{} {name} does not exist", K::kind(&()))))
}

/// Makes it so. By then the fleet knows of it: whoever is sent on to a page of it would read that it is gone.
pub async fn apply<K: Managed>(app: &App, name: &str, wanted: &Wanted, staff: &Staff) -> Result<K, Refusal> {
    let written: K = write(&app.client, name, Spec::Wanted(wanted), staff, None).await?;
    let as_written = |fleet: &Fleet| {
        K::known(fleet, name).is_some_and(|known| {
            let (known, written) = (known.meta(), written.meta());
            known.uid == written.uid && known.generation >= written.generation
        })
    };
    if !app.fleet.shows(as_written).await {
        warn!(kind = %K::kind(&()), name, "the watch is behind what was just written");
    }
    Ok(written)
}

/// Deletes the object: confirms it by name, in the name of who asked, and then deletes just what was confirmed.
pub async fn delete<K: Managed>(client: &Client, name: &str, staff: &Staff) -> Result<(), Refusal> {
    let confirmed: K = write(client, name, Spec::AsItIs, staff, Some(name)).await?;
    let api: Api<K> = Api::all(client.clone());
    let same = Preconditions { uid: confirmed.meta().uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(same), ..DeleteParams::default() };
    api.delete(name, &params).await.map_err(|error| refused(error).problem())?;
    info!(kind = %K::kind(&()), name, by = staff.email, "deleted");
    Ok(())
}

/// Which spec is written.
#[derive(Clone, Copy)]
enum Spec<'a> {
    Wanted(&'a Wanted),
    AsItIs,
}

async fn write<K: Managed>(
    client: &Client,
    name: &str,
    spec: Spec<'_>,
    staff: &Staff,
    confirm: Option<&str>,
) -> Result<K, Refusal> {
    let api: Api<K> = Api::all(client.clone());
    let none = Vec::new();
    let taken = match spec {
        Spec::Wanted(wanted) => {
            wanted.check_take_over(staff)?;
            &wanted.take_over
        }
        Spec::AsItIs => &none,
    };
    for _ in 0..ATTEMPTS {
        let present = match spec {
            Spec::Wanted(wanted) => read(&api, name, wanted.seen).await?,
            Spec::AsItIs => existing(client, name).await?,
        };
        let wanted = match spec {
            Spec::Wanted(wanted) => &wanted.spec,
            Spec::AsItIs => &present.value["spec"],
        };
        let kept = kept(&present, wanted);
        if !kept.is_empty() {
            return Err(Refusal::Conflicts(kept));
        }
        let body = body(&present, name, wanted, staff, confirm);
        let force = match send(&api, name, &body, false, true).await {
            Ok(_) => false,
            Err(Refused::Conflict(status)) if is_outdated(&status) => continue,
            Err(Refused::Conflict(status)) => {
                let found = others(&status, &present.value, &body);
                let all_seen = found.iter().all(|one| taken.iter().any(|seen| one.is_as_seen(seen)));
                if !all_seen {
                    return Err(Refusal::Conflicts(found));
                }
                true
            }
            Err(refused) => return Err(refused.into()),
        };
        // The version that was just read is part of the request, so nothing that came in between is overwritten.
        match send(&api, name, &body, force, false).await {
            Ok(object) => {
                info!(kind = %K::kind(&()), name, by = staff.email, taken = taken.len(), "applied");
                return Ok(object);
            }
            Err(Refused::Conflict(_)) => {}
            Err(refused) => return Err(refused.into()),
        }
    }
    Err(Problem::unavailable("the object changes all the time; try again").into())
}

/// Checks that a text names an object and nothing else: it becomes a part of the path that the API server is asked at.
fn check_name(name: &str) -> Result<(), Problem> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = name.starts_with(fits) && name.ends_with(fits);
    if ends && name.len() <= 253 && name.chars().all(|c| fits(c) || matches!(c, '-' | '.')) {
        return Ok(());
    }
    Err(Problem::invalid(format!(
        "name: {name:?} can't be one; it must consist of lowercase letters, digits and dashes, such as aurora"
    )))
}

/// The object, if it is as it was seen.
async fn read<K: Managed>(api: &Api<K>, name: &str, seen: Option<i64>) -> Result<Present<K>, Problem> {
    check_name(name)?;
    let object = api.get_opt(name).await.map_err(|error| refused(error).problem())?;
    let kind = K::kind(&());
    let present = object.as_ref().map(|object| object.meta().generation.unwrap_or_default());
    match (present, seen) {
        (Some(_), None) => {
            Err(Problem::changed(format!("{kind} {name} exists already; open it, or choose another name")))
        }
        (None, Some(_)) => Err(Problem::not_found(format!("{kind} {name} does not exist (any more)"))),
        (Some(present), Some(seen)) if present != seen => Err(Problem::changed(format!(
            "{kind} {name} was changed since you looked at it (version {present}, you saw {seen}); look again, then repeat your change"
        ))),
        _ => Ok(Present { value: object.as_ref().map_or(Value::Null, value_of), object }),
    }
}

async fn existing<K: Managed>(client: &Client, name: &str) -> Result<Present<K>, Problem> {
    let object = present(client, name).await?;
    Ok(Present { value: value_of(&object), object: Some(object) })
}

fn value_of<K: Managed>(object: &K) -> Value {
    serde_json::to_value(object).expect("a resource has only string keys")
}

/// What is applied, in the name of who asked for it.
fn body<K: Managed>(present: &Present<K>, name: &str, wanted: &Value, staff: &Staff, confirm: Option<&str>) -> Value {
    let meta = present.object.as_ref().map(Resource::meta);
    let owned = meta.map_or(Value::Null, ownership::owned);
    let mut body = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "metadata": { "name": name, "annotations": { CHANGED_BY: staff.email } },
        "spec": ownership::to_apply(wanted, &present.value["spec"], &owned),
    });
    if let Some(version) = meta.and_then(|meta| meta.resource_version.as_deref()) {
        body["metadata"]["resourceVersion"] = version.into();
    }
    if let Some(confirmed) = confirm {
        body["metadata"]["annotations"][CONFIRM_DELETE] = confirmed.into();
    }
    body
}

/// The same fields down to the last object, without values.
fn emptied(value: &Value) -> Value {
    let inner = value.as_object().into_iter().flatten().filter(|(_, inner)| inner.is_object());
    Value::Object(inner.map(|(key, inner)| (key.clone(), emptied(inner))).collect())
}

/// Conflicts over what is to go.
fn kept<K: Managed>(present: &Present<K>, wanted: &Value) -> Vec<Conflict> {
    let Some(object) = &present.object else { return Vec::new() };
    let kept = ownership::kept_by_others(wanted, &present.value["spec"], object.meta());
    kept.into_iter().map(Conflict::of_kept).collect()
}

/// Conflicts over what is to be set, but for who is behind the change.
fn others(status: &Status, live: &Value, body: &Value) -> Vec<Conflict> {
    let mut found = conflict::conflicts(status, live, body);
    found.retain(|one| one.field != CHANGED_BY_FIELD);
    found
}

/// Whether it was refused for its version, and not for its fields.
fn is_outdated(status: &Status) -> bool {
    !status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == "FieldManagerConflict")
}

/// Why the API server refused.
enum Refused {
    Conflict(Box<Status>),
    Invalid(Box<Status>),
    Other(Problem),
}

impl Refused {
    fn problem(self) -> Problem {
        match self {
            Self::Conflict(status) => Problem::conflict(status.message.clone()),
            Self::Invalid(status) => Problem::invalid(status.message.clone()),
            Self::Other(problem) => problem,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(status) => Self::Invalid(conflict::faults(&status)),
            other => Self::Problem(other.problem()),
        }
    }
}

async fn send<K: Managed>(api: &Api<K>, name: &str, body: &Value, force: bool, dry_run: bool) -> Result<K, Refused> {
    let params = PatchParams { force, dry_run, ..PatchParams::apply(FIELD_MANAGER) };
    api.patch(name, &params, &Patch::Apply(body)).await.map_err(refused)
}

fn refused(error: kube::Error) -> Refused {
    match error {
        kube::Error::Api(status) => match status.code {
            409 => Refused::Conflict(status),
            400 | 422 => Refused::Invalid(status),
            // So it says that a value is of another type, such as a text for a number.
            500 if status.message.contains(conflict::OF_ANOTHER_TYPE) => Refused::Invalid(status),
            403 => Refused::Other(Problem::forbidden("forbidden", status.message.clone())),
            404 => Refused::Other(Problem::not_found(status.message.clone())),
            _ => {
                warn!(code = status.code, message = status.message, "the API server refused");
                Refused::Other(Problem::unavailable("the API server does not answer as it should; try again"))
            }
        },
        error => {
            warn!(%error, "the API server");
            Refused::Other(Problem::unavailable("the API server does not answer; try again"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for name in ["aurora", "a-1", "2026.11"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "aurora/status", "aurora?dryRun=All", "Aurora", "aurora-", "%2e"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn of_a_new_object_each_value_is_told_by_itself() {
        let spec = json!({ "displayName": "Acme", "limits": { "users": 5 }, "entitlements": [] });
        let told: Vec<_> = changes(&emptied(&spec), &spec).into_iter().map(|one| one.path).collect();
        assert_eq!(told, ["displayName", "entitlements", "limits.users"]);
    }
}
