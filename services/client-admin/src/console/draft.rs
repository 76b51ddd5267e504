//! What someone is making up: a company to onboard, a change, an instance. It goes from form to plan to form in hidden fields, so
//! that nothing is kept on the server.

use axum::{
    Form,
    extract::{Path, State},
};
use easycode_crds::{DedicatedInstance, SharedPlatform, Tenant};
use easycode_kit::Problem;
use kube::ResourceExt;
use maud::Markup;
use serde_json::{Value, json};

use super::{fields::Fields, form, layout::Refused, plan};
use crate::{
    App,
    api::{InstanceChange, TenantChange},
    change::{
        Wanted,
        conflict::{Fault, TakeOver},
    },
    session::Session,
    staff::Role,
};

/// The instance that a form for one of its own was made up from, as name and version.
pub const INSTANCE_SEEN: &str = "instance.seen";
/// Instead of the version of one that was not there.
const NONE: &str = "none";
/// Said of an instance that is not there any more.
const GONE: &str = "the instance does not exist any more";

/// What a draft is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A company that is new.
    Onboard,
    /// A tenant as it is to be.
    Change,
    /// A tenant that is to have an instance of its own, and the instance.
    Dedicate,
    /// An instance as it is to be.
    Instance,
}

/// A draft.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it is of.
    pub purpose: Purpose,
    /// Everything that the form sends.
    pub fields: Fields,
}

/// What a draft asks for.
pub enum Asked {
    /// A change of a tenant.
    Tenant(TenantChange),
    /// A change of an instance alone.
    Instance(Wanted),
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Onboard => "onboard",
            Self::Change => "change",
            Self::Dedicate => "dedicate",
            Self::Instance => "instance",
        }
    }
}

impl Draft {
    fn begin(purpose: Purpose, name: &str, fields: Fields, seen: Option<i64>) -> Self {
        let mut draft = Self { purpose, fields };
        draft.fields.set("purpose", purpose.name());
        draft.fields.set("name", name);
        draft.fields.set("seen", seen.map(|seen| seen.to_string()).unwrap_or_default());
        draft
    }

    /// A draft that a form sent.
    pub fn sent(fields: Fields) -> Result<Self, Problem> {
        let purposes = [Purpose::Onboard, Purpose::Change, Purpose::Dedicate, Purpose::Instance];
        let named = fields.get("purpose").to_owned();
        let purpose = purposes.into_iter().find(|one| one.name() == named);
        let purpose = purpose.ok_or_else(|| Problem::invalid("the form is not of this console; begin anew"))?;
        Ok(Self { purpose, fields })
    }

    /// Name of what it is of.
    #[must_use]
    pub fn name(&self) -> &str {
        self.fields.get("name").trim()
    }

    /// Where its form is.
    #[must_use]
    pub fn form_path(&self) -> String {
        let name: String = url::form_urlencoded::byte_serialize(self.name().as_bytes()).collect();
        match self.purpose {
            Purpose::Onboard => "/client-admin/tenants/new".to_owned(),
            Purpose::Change => format!("/client-admin/tenants/{name}/change"),
            Purpose::Dedicate => format!("/client-admin/tenants/{name}/dedicate"),
            Purpose::Instance => format!("/client-admin/instances/{name}/change"),
        }
    }

    /// Fields that are to be taken over; each is carried as JSON.
    #[must_use]
    pub fn taken(&self) -> Vec<TakeOver> {
        self.fields.all("take-over").filter_map(|text| serde_json::from_str(text).ok()).collect()
    }

    fn seen(&self) -> Option<i64> {
        self.fields.get("seen").parse().ok()
    }

    /// Keeps which instance its form shows.
    fn shows(&mut self, name: &str, instance: Option<&DedicatedInstance>) {
        let version = instance.and_then(|one| one.metadata.generation);
        let version = version.map_or_else(|| NONE.to_owned(), |version| version.to_string());
        self.fields.set(INSTANCE_SEEN, format!("{name} {version}"));
    }

    /// The version of the instance that its form shows; none if there was no such instance, or if it shows another one.
    fn shown_of(&self, instance: &str) -> Option<i64> {
        let (name, version) = self.fields.get(INSTANCE_SEEN).split_once(' ')?;
        version.parse().ok().filter(|_| name == instance)
    }

    /// What it asks for; or what is wrong with it before the API server is asked.
    pub fn asked(&self, app: &App) -> Result<Asked, Vec<Fault>> {
        let name = self.name();
        if !is_name(name) {
            let message = "name: must begin with a letter and consist of at most 40 lowercase letters, digits and dashes, such as aurora";
            return Err(fault("metadata.name", message));
        }
        let (own, instances): (Vec<_>, Vec<_>) =
            self.taken().into_iter().partition(|one| !one.field.starts_with("instance."));
        let of_instance = instances
            .into_iter()
            .map(|one| TakeOver { field: one.field.trim_start_matches("instance.").to_owned(), ..one })
            .collect();
        let tenant = Wanted { spec: self.fields.tenant_spec(), seen: self.seen(), take_over: own };
        match self.purpose {
            Purpose::Onboard | Purpose::Change => Ok(Asked::Tenant(TenantChange { tenant, instance: None })),
            Purpose::Dedicate => {
                let instance = self.fields.get("spec.deployment.instance").trim();
                if !is_name(instance) {
                    let message = "name the instance: lowercase letters, digits and dashes, beginning with a letter";
                    return Err(fault("spec.deployment.instance", message));
                }
                let (present, seen) = (app.fleet.instance(instance), self.shown_of(instance));
                as_seen(present.as_deref(), seen)?;
                let base = match &present {
                    Some(present) => json!(present.spec),
                    None => template(app, name),
                };
                let wanted = Wanted { spec: self.fields.instance_spec(&base), seen, take_over: of_instance };
                let instance = Some(InstanceChange { name: instance.to_owned(), wanted });
                Ok(Asked::Tenant(TenantChange { tenant, instance }))
            }
            Purpose::Instance => {
                let present = app.fleet.instance(name).ok_or_else(|| fault("", GONE))?;
                as_seen(Some(&present), self.seen())?;
                let spec = self.fields.instance_spec(&json!(present.spec));
                Ok(Asked::Instance(Wanted { spec, seen: self.seen(), take_over: of_instance }))
            }
        }
    }
}

fn fault(field: &str, message: &str) -> Vec<Fault> {
    vec![Fault { field: field.to_owned(), message: message.to_owned() }]
}

/// What a form does not show of an instance is taken from the version that it was made up from, and from no other.
fn as_seen(present: Option<&DedicatedInstance>, seen: Option<i64>) -> Result<(), Vec<Fault>> {
    match (present.map(|one| one.metadata.generation.unwrap_or_default()), seen) {
        (Some(_), None) => Err(fault(
            "spec.deployment.instance",
            "there is an instance of that name already, and this form does not show it; choose another name, or change the tenant to have it move there as it is",
        )),
        (None, Some(_)) => Err(fault("", GONE)),
        (Some(present), Some(seen)) if present != seen => {
            Err(fault("", "the instance was changed since you looked at it; look again, then repeat your change"))
        }
        _ => Ok(()),
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// An instance as it is begun with for a tenant: what its platform has, so that its people and its data find what they know.
fn template(app: &App, tenant: &str) -> Value {
    let known = app.fleet.tenant(tenant);
    let home = known.as_ref().and_then(|one| app.fleet.platform(one.status.as_ref()?.platform.as_deref()?));
    let mut spec = json!({
        "tenantRef": { "name": tenant },
        "release": {},
        "location": { "region": known.and_then(|one| one.spec.region.clone()).unwrap_or_default() },
        "database": { "provider": "Embedded" },
        "maintenance": { "windows": [] },
    });
    if let Some(platform) = home {
        inherit(&mut spec, &platform);
    }
    if let Some(channel) = app.fleet.channels().first() {
        spec["release"]["channel"] = channel.name_any().into();
    }
    spec
}

fn inherit(spec: &mut Value, platform: &SharedPlatform) {
    spec["identity"] = json!(platform.spec.identity);
    if spec["location"]["region"] == "" {
        spec["location"]["region"] = platform.spec.region.clone().into();
    }
    if let Some(embedded) = &platform.spec.database.embedded {
        let embedded = json!(embedded);
        spec["database"]["embedded"] = json!({ "image": embedded["image"], "size": embedded["size"] });
    }
}

fn of_tenant(purpose: Purpose, tenant: &Tenant) -> Draft {
    Draft::begin(purpose, &tenant.name_any(), Fields::of_tenant(&json!(tenant.spec)), tenant.metadata.generation)
}

fn of_instance(instance: &DedicatedInstance) -> Draft {
    let mut fields = Fields::default();
    fields.add_instance(&json!(instance.spec));
    Draft::begin(Purpose::Instance, &instance.name_any(), fields, instance.metadata.generation)
}

/// Who may not change anything sees no form.
fn changer(session: &Session) -> Result<(), Refused> {
    session.require(Role::Operations).map_err(|problem| Refused::new(&problem, session))
}

fn found(app: &App, name: &str, session: &Session) -> Result<std::sync::Arc<Tenant>, Refused> {
    app.fleet.known_tenant(name).map_err(|problem| Refused::new(&problem, session))
}

/// The form to onboard a company.
pub async fn onboard(State(app): State<App>, session: Session) -> Result<Markup, Refused> {
    changer(&session)?;
    // What the resource itself has where nothing is said.
    let spec: easycode_crds::TenantSpec =
        serde_json::from_value(json!({ "displayName": "" })).expect("all else has a default");
    let draft = Draft::begin(Purpose::Onboard, "", Fields::of_tenant(&json!(spec)), None);
    Ok(form::page(&app, &session, &draft, &[]))
}

/// The form to change a tenant.
pub async fn change(State(app): State<App>, session: Session, Path(name): Path<String>) -> Result<Markup, Refused> {
    changer(&session)?;
    let tenant = found(&app, &name, &session)?;
    Ok(form::page(&app, &session, &of_tenant(Purpose::Change, &tenant), &[]))
}

/// The form to give a tenant an instance of its own.
pub async fn dedicate(State(app): State<App>, session: Session, Path(name): Path<String>) -> Result<Markup, Refused> {
    changer(&session)?;
    let tenant = found(&app, &name, &session)?;
    let mut draft = of_tenant(Purpose::Dedicate, &tenant);
    draft.fields.set("spec.deployment.model", "Dedicated");
    draft.fields.set("spec.deployment.platform", "");
    let named = draft.fields.get("spec.deployment.instance").to_owned();
    let instance = if named.is_empty() { begun(&app, &name).unwrap_or_else(|| name.clone()) } else { named };
    let present = app.fleet.instance(&instance);
    draft.shows(&instance, present.as_deref());
    draft.fields.set("spec.deployment.instance", instance);
    let base = present.map_or_else(|| template(&app, &name), |present| json!(present.spec));
    draft.fields.add_instance(&base);
    Ok(form::page(&app, &session, &draft, &[]))
}

/// The instance that is there for the tenant already, such as one whose tenant could not be changed after it.
fn begun(app: &App, tenant: &str) -> Option<String> {
    let instances = app.fleet.instances();
    instances.iter().find(|one| one.spec.tenant_ref.name == tenant).map(|one| one.name_any())
}

/// The form to change an instance.
pub async fn change_instance(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
) -> Result<Markup, Refused> {
    changer(&session)?;
    let instance = app.fleet.known_instance(&name).map_err(|problem| Refused::new(&problem, &session))?;
    Ok(form::page(&app, &session, &of_instance(&instance), &[]))
}

/// The form again, with what was filled in.
pub async fn again(
    State(app): State<App>,
    session: Session,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Markup, Refused> {
    changer(&session)?;
    let refused = |problem: &Problem| Refused::new(problem, &session);
    session.check(Fields(fields.clone()).get("csrf")).map_err(|problem| refused(&problem))?;
    let draft = Draft::sent(Fields(fields)).map_err(|problem| refused(&problem))?;
    Ok(form::page(&app, &session, &draft, &[]))
}

/// What would come of suspending a tenant.
pub async fn suspend(State(app): State<App>, session: Session, Path(name): Path<String>) -> Result<Markup, Refused> {
    in_state(&app, &session, &name, "Suspended").await
}

/// What would come of letting it work again.
pub async fn resume(State(app): State<App>, session: Session, Path(name): Path<String>) -> Result<Markup, Refused> {
    in_state(&app, &session, &name, "Active").await
}

async fn in_state(app: &App, session: &Session, name: &str, state: &str) -> Result<Markup, Refused> {
    changer(session)?;
    let tenant = found(app, name, session)?;
    let mut draft = of_tenant(Purpose::Change, &tenant);
    draft.fields.set("spec.state", state);
    plan::page(app, session, &draft).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(generation: i64) -> DedicatedInstance {
        let spec = json!({
            "tenantRef": { "name": "aurora" }, "release": { "channel": "stable" }, "location": { "region": "eu" },
            "database": { "provider": "Embedded" }, "identity": { "issuer": "https://login.example.com" },
        });
        let mut instance = DedicatedInstance::new("aurora", serde_json::from_value(spec).unwrap());
        instance.metadata.generation = Some(generation);
        instance
    }

    #[test]
    fn an_instance_of_its_own_is_written_only_as_the_form_has_shown_it() {
        let shown = |present: Option<&DedicatedInstance>| {
            let mut draft = Draft::begin(Purpose::Dedicate, "aurora", Fields::default(), Some(1));
            draft.shows("aurora", present);
            // As it comes back from the browser.
            Draft::sent(draft.fields).unwrap()
        };
        let outcome = |draft: &Draft, name: &str, present: Option<&DedicatedInstance>| {
            as_seen(present, draft.shown_of(name)).map_err(|faults| faults[0].message.clone())
        };
        let (before, after) = (instance(3), instance(4));
        let of_present = shown(Some(&before));
        assert_eq!(of_present.shown_of("aurora"), Some(3));
        let carried = form::hidden(&of_present).into_string();
        assert!(carried.contains(r#"name="instance.seen" value="aurora 3""#), "{carried}");
        assert!(outcome(&of_present, "aurora", Some(&before)).is_ok());
        assert!(outcome(&of_present, "aurora", Some(&after)).unwrap_err().contains("changed since you looked"));
        assert!(outcome(&of_present, "aurora", None).unwrap_err().contains("any more"));
        let of_none = shown(None);
        assert_eq!(of_none.fields.get(INSTANCE_SEEN), "aurora none");
        assert!(outcome(&of_none, "aurora", None).is_ok());
        assert!(outcome(&of_none, "aurora", Some(&before)).unwrap_err().contains("already"));
        // Under another name it is another instance, of which the form shows nothing.
        assert!(outcome(&of_present, "other", None).is_ok());
        assert!(outcome(&of_present, "other", Some(&before)).unwrap_err().contains("already"));
    }

    #[test]
    fn a_name_is_one_that_a_path_can_have() {
        assert!(is_name("aurora") && is_name("a") && is_name("a-2"));
        for bad in ["", "2a", "A", "a/b", "a-", "../x", "ä", &"a".repeat(41)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
