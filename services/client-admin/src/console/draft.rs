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

    /// What it asks for; or what is wrong with it before the API server is asked.
    pub fn asked(&self, app: &App) -> Result<Asked, Vec<Fault>> {
        let name = self.name();
        let fault = |field: &str, message: &str| vec![Fault { field: field.to_owned(), message: message.to_owned() }];
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
                let present = app.fleet.instance(instance);
                let base = match &present {
                    Some(present) => json!(present.spec),
                    None => template(app, name),
                };
                let seen = present.and_then(|one| one.metadata.generation);
                let wanted = Wanted { spec: self.fields.instance_spec(&base), seen, take_over: of_instance };
                let instance = Some(InstanceChange { name: instance.to_owned(), wanted });
                Ok(Asked::Tenant(TenantChange { tenant, instance }))
            }
            Purpose::Instance => {
                let present = app.fleet.instance(name);
                let present = present.ok_or_else(|| fault("", "the instance does not exist any more"))?;
                // What the form does not show is taken from the version that it was made up from, and from no other.
                if present.metadata.generation != self.seen() {
                    return Err(fault(
                        "",
                        "the instance was changed since you looked at it; look again, then repeat your change",
                    ));
                }
                let spec = self.fields.instance_spec(&json!(present.spec));
                Ok(Asked::Instance(Wanted { spec, seen: self.seen(), take_over: of_instance }))
            }
        }
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
    if draft.fields.get("spec.deployment.instance").is_empty() {
        draft.fields.set("spec.deployment.instance", name.clone());
    }
    let present = app.fleet.instance(draft.fields.get("spec.deployment.instance"));
    let base = present.map_or_else(|| template(&app, &name), |present| json!(present.spec));
    draft.fields.add_instance(&base);
    Ok(form::page(&app, &session, &draft, &[]))
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
    use super::is_name;

    #[test]
    fn a_name_is_one_that_a_path_can_have() {
        assert!(is_name("aurora") && is_name("a") && is_name("a-2"));
        for bad in ["", "2a", "A", "a/b", "a-", "../x", "ä", &"a".repeat(41)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
