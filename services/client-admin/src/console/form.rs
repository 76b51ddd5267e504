//! The form of a draft, with what is wrong beside each field.

use maud::{Markup, html};

use super::{
    draft::{Draft, INSTANCE_SEEN, Purpose},
    fields::{ADMINISTRATORS, ENTITLEMENTS, INSTANCE, TENANT, WINDOWS, input_of},
    layout::{Page, csrf},
};
use crate::{App, catalogue, change::conflict::Fault, session::Session};

/// Fields that the form only carries along.
const CARRIED: [&str; 5] = ["purpose", "seen", INSTANCE_SEEN, "take-over", "name"];

/// What the inputs of a form have in common.
struct Form<'a> {
    draft: &'a Draft,
    faults: &'a [Fault],
}

/// One input.
struct Input<'a> {
    name: &'a str,
    label: &'a str,
    hint: &'a str,
}

impl Form<'_> {
    fn faults_of(&self, name: &str) -> Vec<&str> {
        let faults = self.faults.iter().filter(|fault| input_of(fault) == Some(name));
        faults.map(|fault| fault.message.as_str()).collect()
    }

    /// Label, hint and faults around an input, which is given the ids that describe it.
    fn field(&self, input: &Input, control: impl FnOnce(&str, Option<&str>) -> Markup) -> Markup {
        let faults = self.faults_of(input.name);
        let (hint, error) = (format!("{}-hint", input.name), format!("{}-error", input.name));
        let described: Vec<&str> =
            [(!input.hint.is_empty()).then_some(&*hint), (!faults.is_empty()).then_some(&*error)]
                .into_iter()
                .flatten()
                .collect();
        html! {
            div.field {
                label for=(input.name) { (input.label) }
                @if !input.hint.is_empty() { p.hint id=(hint) { (input.hint) } }
                @if !faults.is_empty() { p.error id=(error) { "Error: " (faults.join("; ")) } }
                (control(&described.join(" "), (!faults.is_empty()).then_some("true")))
            }
        }
    }

    fn text(&self, name: &str, label: &str, hint: &str) -> Markup {
        self.field(&Input { name, label, hint }, |described, invalid| {
            html! {
                input id=(name) name=(name) value=(self.draft.fields.get(name)) maxlength="400" autocomplete="off"
                    aria-describedby=[Some(described).filter(|ids| !ids.is_empty())] aria-invalid=[invalid];
            }
        })
    }

    fn area(&self, name: &str, label: &str, hint: &str) -> Markup {
        self.field(&Input { name, label, hint }, |described, invalid| {
            html! {
                textarea id=(name) name=(name) rows="4" maxlength="8000"
                    aria-describedby=[Some(described).filter(|ids| !ids.is_empty())] aria-invalid=[invalid] {
                    (self.draft.fields.get(name))
                }
            }
        })
    }

    fn select(&self, name: &str, label: &str, hint: &str, options: &[(&str, &str)]) -> Markup {
        let chosen = self.draft.fields.get(name);
        let is_known = options.iter().any(|(value, _)| *value == chosen);
        self.field(&Input { name, label, hint }, |described, invalid| {
            html! {
                select id=(name) name=(name)
                    aria-describedby=[Some(described).filter(|ids| !ids.is_empty())] aria-invalid=[invalid] {
                    @for (value, label) in options { option value=(value) selected[*value == chosen] { (label) } }
                    @if !is_known { option value=(chosen) selected { (chosen) } }
                }
            }
        })
    }

    /// Everything that is wrong, with links to where.
    fn summary(&self) -> Markup {
        html! {
            @if !self.faults.is_empty() {
                div.summary role="alert" tabindex="-1" {
                    h2 { "There is a problem" }
                    ul {
                        @for fault in self.faults {
                            li {
                                @match input_of(fault) {
                                    Some(name) => { a href=(format!("#{name}")) { (fault.message) } }
                                    None => { @if !fault.field.is_empty() { (fault.field) ": " } (fault.message) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The page with the form.
#[must_use]
pub fn page(app: &App, session: &Session, draft: &Draft, faults: &[Fault]) -> Markup {
    let form = Form { draft, faults };
    let title = match draft.purpose {
        Purpose::Onboard => "Onboard a company".to_owned(),
        Purpose::Change => format!("Change tenant {}", draft.name()),
        Purpose::Dedicate => format!("An instance of its own for tenant {}", draft.name()),
        Purpose::Instance => format!("Change instance {}", draft.name()),
    };
    let inputs = match draft.purpose {
        Purpose::Onboard | Purpose::Change => tenant(app, &form),
        Purpose::Dedicate => html! { (carried(draft, &TENANT)) (entitled(draft)) (instance(app, &form)) },
        Purpose::Instance => instance(app, &form),
    };
    let content = html! {
        (form.summary())
        form method="post" action="/client-admin/plan" novalidate {
            (csrf(session))
            (carried(draft, if draft.purpose == Purpose::Onboard { &CARRIED[..4] } else { &CARRIED }))
            (inputs)
            div.actions { button { "Show what would change" } a.button.plain href="/client-admin/tenants" { "Cancel" } }
        }
        p.hint { "Nothing is changed yet: the next page shows what would be." }
    };
    Page::new(&if faults.is_empty() { title } else { format!("Error: {title}") }, session, content).render()
}

/// Every field of a draft, hidden.
#[must_use]
pub fn hidden(draft: &Draft) -> Markup {
    html! { (carried(draft, &CARRIED)) (carried(draft, &TENANT)) (carried(draft, &INSTANCE)) (entitled(draft)) }
}

fn carried(draft: &Draft, names: &[&str]) -> Markup {
    html! {
        @for name in names {
            @for value in draft.fields.all(name) {
                // A field that the form of a purpose shows is not to be sent twice.
                @if !(draft.purpose == Purpose::Dedicate && *name == "spec.deployment.instance" && names.len() == TENANT.len()) {
                    input type="hidden" name=(name) value=(value);
                }
            }
        }
    }
}

fn entitled(draft: &Draft) -> Markup {
    carried(draft, &["service", "module"])
}

fn tenant(app: &App, form: &Form) -> Markup {
    let known = app.fleet.tenant(form.draft.name());
    let platforms = app.fleet.platforms();
    let names: Vec<_> = platforms.iter().filter_map(|one| one.metadata.name.as_deref()).collect();
    let mut places = vec![("", "chosen by region and free capacity")];
    places.extend(names.iter().map(|name| (*name, *name)));
    let consents =
        [("None", "nothing"), ("TenantOnly", "for this company only"), ("Pooled", "anonymised, with others'")];
    html! {
        fieldset {
            legend { "Company" }
            @if form.draft.purpose == Purpose::Onboard {
                (form.text("name", "Short name", "Names its objects and its database role; can't be changed. Lowercase letters, digits and dashes, such as aurora"))
            }
            (form.text("spec.displayName", "Company's name", "As people know it, such as Aurora Textiles Ltd"))
            (form.text("spec.region", "Region", "Where its data must stay, such as eu-central; can't be changed"))
            (form.area(ADMINISTRATORS, "First administrators", "One a line: address, and the name after a comma. They are invited and make the company's other users"))
        }
        fieldset {
            legend { "Deployment" }
            (form.select("spec.deployment.model", "Model", "Changing it moves the company with its data", &[("Shared", "Shared platform"), ("Dedicated", "Dedicated instance")]))
            (form.select("spec.deployment.platform", "Platform", "For the shared model", &places))
            (form.text("spec.deployment.instance", "Instance", "For the dedicated model: the name of its instance"))
            (form.text("spec.deployment.longestPause", "Longest pause of a move", "For how long nothing may be written at its end, such as 5m"))
            (form.select("spec.state", "State", "Suspended stops all access within a second; the data stays", &[("Active", "Active"), ("Suspended", "Suspended")]))
        }
        (entitlements(app, form, known.as_deref()))
        fieldset {
            legend { "Data use" }
            (form.select("spec.dataUse.analytics", "EasyCode's analytics", "", &consents))
            (form.select("spec.dataUse.aiTraining", "Training of AI models", "", &consents))
            (form.text("spec.dataUse.agreement", "Agreement", "Reference of the agreement by which the client consents; needed unless both are nothing"))
        }
        fieldset {
            legend { "Backup and retention" }
            (form.text("spec.backup.rpo", "Recovery point objective", "Most work, in time, that may be lost, such as 24h"))
            (form.text("spec.backup.rto", "Recovery time objective", "Longest until it works again, such as 4h"))
            (form.text("spec.backup.retention", "Backups are kept for", "Such as 30d"))
            (form.text("spec.retention", "Data of a withdrawn service is kept for", "Such as 30d"))
            (form.select("spec.deletionPolicy", "On offboarding", "What becomes of the data", &[("Retain", "keep it in place"), ("Archive", "archive a last dump, then erase"), ("Delete", "erase at once")]))
        }
        fieldset {
            legend { "Limits" }
            (form.text("spec.limits.users", "Users", "Most that the company may have"))
            (form.text("spec.limits.connections", "Database connections", "Of one replica of a service at once"))
            (form.text("spec.limits.requestsPerSecond", "Requests a second", "That one replica of a service accepts"))
            (form.text("spec.limits.statementTimeout", "Longest database statement", "Such as 30s, at most 24h"))
            (form.text("spec.limits.storage", "Storage", "Such as 10Gi"))
        }
    }
}

fn entitlements(app: &App, form: &Form, tenant: Option<&easycode_crds::Tenant>) -> Markup {
    let mut offered = catalogue::for_tenant(tenant, &app.fleet);
    // What is entitled and no longer offered must not be lost by opening the form.
    for service in form.draft.fields.all("service") {
        if !offered.iter().any(|one| one.name == service) {
            offered.push(catalogue::OfferedService { name: service.to_owned(), modules: Vec::new() });
        }
    }
    for module in form.draft.fields.all("module").filter_map(|module| module.split_once('/')) {
        if let Some(service) = offered.iter_mut().find(|one| one.name == module.0)
            && !service.modules.iter().any(|one| one == module.1)
        {
            service.modules.push(module.1.to_owned());
        }
    }
    let faults = form.faults_of(ENTITLEMENTS);
    let ticked = |name: &str, value: &str| form.draft.fields.all(name).any(|one| one == value);
    html! {
        fieldset id=(ENTITLEMENTS) tabindex="-1" aria-describedby=[(!faults.is_empty()).then_some("entitlements-error")] {
            legend { "Services and modules that it may use" }
            @if !faults.is_empty() { p.error #entitlements-error { "Error: " (faults.join("; ")) } }
            @if offered.is_empty() { p.hint { "No platform runs a release yet, so there is nothing to choose from." } }
            ul.choices {
                @for service in &offered {
                    li {
                        label { input type="checkbox" name="service" value=(service.name) checked[ticked("service", &service.name)]; " " (service.name) }
                        @if !service.modules.is_empty() {
                            ul {
                                @for module in &service.modules {
                                    @let value = format!("{}/{module}", service.name);
                                    li { label { input type="checkbox" name="module" value=(value) checked[ticked("module", &value)]; " " (service.name) ": " (module) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn instance(app: &App, form: &Form) -> Markup {
    let channels: Vec<_> = app.fleet.channels().iter().filter_map(|one| one.metadata.name.clone()).collect();
    let versions: Vec<_> = app.fleet.releases().iter().map(|one| one.spec.version.clone()).collect();
    let mut of_channel = vec![("", "none: a version is named below")];
    of_channel.extend(channels.iter().map(|name| (name.as_str(), name.as_str())));
    let mut pinned = vec![("", "none: it follows the channel")];
    pinned.extend(versions.iter().map(|name| (name.as_str(), name.as_str())));
    let is_new = form.draft.purpose == Purpose::Dedicate;
    html! {
        @if is_new {
            p.note { "The instance is made first. Once it is ready the company moves there with its data; its people can write on but for a moment at the end." }
        }
        fieldset {
            legend { "Instance" }
            @if is_new { (form.text("spec.deployment.instance", "Name", "Can't be changed")) }
            (form.text("instance.spec.location.region", "Region", "Can't be changed once it is made"))
            (form.select("instance.spec.release.channel", "Channel", "It follows the versions that the channel offers", &of_channel))
            (form.select("instance.spec.release.version", "Version", "It stays on this one", &pinned))
            (form.area(WINDOWS, "Maintenance windows", "One a line: schedule as a cron expression in UTC, then the duration after a semicolon, such as 0 2 * * SUN; 3h. Without any, changes are made at once"))
        }
        fieldset {
            legend { "Database" }
            (form.select("instance.spec.database.provider", "Run by", "Can't be changed once it is made", &[("Embedded", "the operator"), ("CloudNativePG", "CloudNativePG")]))
            (form.text("instance.spec.database.embedded.size", "Size", "Of the operator's own, such as 20Gi; can't be changed once it is made"))
            (form.text("instance.spec.backup.destinationPath", "Backups go to", "By CloudNativePG alone, such as s3://easycode-backups/aurora"))
            (form.text("instance.spec.backup.credentialsSecret", "Secret with the credentials of that store", ""))
        }
        fieldset {
            legend { "Way in" }
            (form.text("instance.spec.ingress.host", "Host", "Such as erp.aurora.example; without one it is reached within the cluster only"))
            (form.text("instance.spec.ingress.className", "Ingress class", ""))
            (form.text("instance.spec.ingress.controllerNamespace", "Namespace of the ingress controller", ""))
            (form.text("instance.spec.ingress.tls.clusterIssuer", "Issuer of its certificate", "A ClusterIssuer of cert-manager"))
        }
    }
}
