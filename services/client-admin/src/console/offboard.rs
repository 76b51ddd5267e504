//! Offboarding a tenant, and ending an instance: by an administrator who types the name.

use axum::{
    Form,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use easycode_crds::{DedicatedInstance, Tenant, tenant::DeletionPolicy};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{Page, Refused, csrf};
use crate::{
    App,
    change::{self, Managed},
    refusal::Refusal,
    session::Session,
    staff::Role,
};

/// What the form sends.
#[derive(Deserialize)]
pub struct Confirmed {
    csrf: String,
    #[serde(default)]
    confirm: String,
}

/// The page on which a tenant's name is typed.
pub async fn tenant_page(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
) -> Result<Markup, Refused> {
    administrator(&session)?;
    Ok(page(&session, "tenant", &name, &consequence(&app, &name, &session)?, false))
}

/// The page on which an instance's name is typed.
pub async fn instance_page(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
) -> Result<Markup, Refused> {
    administrator(&session)?;
    app.fleet.known_instance(&name).map_err(|problem| Refused::new(&problem, &session))?;
    Ok(page(&session, "instance", &name, OF_INSTANCE, false))
}

const OF_INSTANCE: &str =
    "Its services end. Its database is kept until someone removes it. The operator waits while a tenant lives there.";

/// Offboards a tenant.
pub async fn tenant(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Form(form): Form<Confirmed>,
) -> Result<Response, Refused> {
    administrator(&session)?;
    let text = consequence(&app, &name, &session)?;
    end::<Tenant>(&app, &session, ("tenant", &name), form, &text).await
}

/// Ends an instance.
pub async fn instance(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Form(form): Form<Confirmed>,
) -> Result<Response, Refused> {
    administrator(&session)?;
    end::<DedicatedInstance>(&app, &session, ("instance", &name), form, OF_INSTANCE).await
}

async fn end<K: Managed>(
    app: &App,
    session: &Session,
    (kind, name): (&str, &str),
    form: Confirmed,
    text: &str,
) -> Result<Response, Refused> {
    session.check(&form.csrf).map_err(|problem| Refused::new(&problem, session))?;
    if form.confirm.trim() != name {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(session, kind, name, text, true)).into_response());
    }
    let deleted: Result<(), Refusal> = change::delete::<K>(&app.client, name, &session.staff).await;
    deleted.map_err(|refusal| Refused::of(refusal, session))?;
    let to = if kind == "tenant" {
        format!("/client-admin/tenants/{name}/progress")
    } else {
        "/client-admin/fleet".to_owned()
    };
    Ok(Redirect::to(&to).into_response())
}

fn administrator(session: &Session) -> Result<(), Refused> {
    session.require(Role::Administrator).map_err(|problem| Refused::new(&problem, session))
}

/// What becomes of the tenant's data.
fn consequence(app: &App, name: &str, session: &Session) -> Result<String, Refused> {
    let tenant = app.fleet.known_tenant(name).map_err(|problem| Refused::new(&problem, session))?;
    let data = match tenant.spec.deletion_policy {
        DeletionPolicy::Retain => "Its data is kept in place, and can be taken over by a tenant of the same name.",
        DeletionPolicy::Archive => "A last dump of its data is archived, then the data is erased.",
        DeletionPolicy::Delete => "Its data is erased at once and can't be brought back.",
    };
    Ok(format!("Nobody of {} will be served any more. {data}", tenant.spec.display_name))
}

fn page(session: &Session, kind: &str, name: &str, text: &str, wrong: bool) -> Markup {
    let verb = if kind == "tenant" { "Offboard" } else { "End" };
    let title = format!("{}{verb} {kind} {name}", if wrong { "Error: " } else { "" });
    let content = html! {
        @if wrong {
            div.summary role="alert" { h2 { "There is a problem" } ul { li { a href="#confirm" { "Type the name, " (name) ", to confirm" } } } }
        }
        p { (text) }
        form method="post" action=(format!("/client-admin/{kind}s/{name}/offboard")) {
            (csrf(session))
            div.field {
                label for="confirm" { "Type " (name) " to confirm" }
                @if wrong { p.error #confirm-error { "Error: type the name, " (name) ", to confirm" } }
                input #confirm name="confirm" autocomplete="off" spellcheck="false" maxlength="60"
                    aria-describedby=[wrong.then_some("confirm-error")] aria-invalid=[wrong.then_some("true")];
            }
            div.actions {
                button.danger { (verb) " " (name) }
                a.button.plain href=(format!("/client-admin/{kind}s/{name}")) { "Cancel" }
            }
        }
    };
    Page::new(&title, session, content).render()
}
