//! What would change, and the conflicts with other managers; and the button that makes it so.

use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use easycode_crds::DedicatedInstance;
use easycode_kit::Problem;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    draft::{Asked, Draft, Purpose},
    fields::Fields,
    form,
    layout::{Page, Refused, csrf},
};
use crate::{
    App,
    api::tenants::{PlanDocument, document},
    change::{
        self,
        conflict::{Conflict, Fault, TakeOver},
        preview::OperatorPlan,
    },
    refusal::Refusal,
    session::Session,
    staff::Role,
};

/// The plan of a draft that a form sent.
pub async fn plan(
    State(app): State<App>,
    session: Session,
    Form(sent): Form<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    let mut draft = accept(sent, &session)?;
    settle(&mut draft);
    match draft_plan(&app, &session, &draft).await? {
        Ok(plan) => Ok(shown(&session, &draft, &plan).into_response()),
        Err(faults) => Ok(invalid(&app, &session, &draft, &faults)),
    }
}

/// The plan of a draft that no form had to be filled in for.
pub async fn page(app: &App, session: &Session, draft: &Draft) -> Result<Markup, Refused> {
    match draft_plan(app, session, draft).await? {
        Ok(plan) => Ok(shown(session, draft, &plan)),
        Err(faults) => Ok(form::page(app, session, draft, &faults)),
    }
}

/// Makes a draft so.
pub async fn apply(
    State(app): State<App>,
    session: Session,
    Form(sent): Form<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    let draft = accept(sent, &session)?;
    let name = draft.name();
    let staff = &session.staff;
    let (outcome, to) = match draft.asked(&app) {
        Err(faults) => return Ok(invalid(&app, &session, &draft, &faults)),
        Ok(Asked::Tenant(change)) => {
            (change.apply(&app, name, staff).await.map(|_| ()), format!("/client-admin/tenants/{name}/progress"))
        }
        Ok(Asked::Instance(wanted)) => {
            let applied = change::apply::<DedicatedInstance>(&app, name, &wanted, staff).await;
            (applied.map(|_| ()), format!("/client-admin/instances/{name}"))
        }
    };
    match outcome {
        Ok(()) => Ok(Redirect::to(&to).into_response()),
        Err(Refusal::Invalid(faults)) => Ok(invalid(&app, &session, &draft, &faults)),
        // What came in between is shown as it is by now.
        Err(Refusal::Conflicts(_)) => match draft_plan(&app, &session, &draft).await? {
            Ok(plan) => Ok((StatusCode::CONFLICT, shown(&session, &draft, &plan)).into_response()),
            Err(faults) => Ok(invalid(&app, &session, &draft, &faults)),
        },
        Err(refusal) => Err(Refused::of(refusal, &session)),
    }
}

fn accept(sent: Vec<(String, String)>, session: &Session) -> Result<Draft, Refused> {
    let refused = |problem: Problem| Refused::new(&problem, session);
    session.require(Role::Operations).map_err(refused)?;
    let fields = Fields(sent);
    session.check(fields.get("csrf")).map_err(refused)?;
    Draft::sent(fields).map_err(refused)
}

fn invalid(app: &App, session: &Session, draft: &Draft, faults: &[Fault]) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, form::page(app, session, draft, faults)).into_response()
}

/// Carries out what was chosen of each conflict: a field is given up, so that it stays as it is, or is to be taken over.
fn settle(draft: &mut Draft) {
    let choices: Vec<_> =
        draft.fields.all("conflict").filter_map(|text| serde_json::from_str::<TakeOver>(text).ok()).collect();
    for seen in choices {
        let choice = draft.fields.get(&format!("choice.{}", seen.field)).to_owned();
        let text = serde_json::to_string(&seen).expect("has only string keys");
        draft.fields.0.retain(|(name, value)| !(name == "take-over" && *value == text));
        match choice.as_str() {
            "take" => draft.fields.0.push(("take-over".to_owned(), text)),
            "leave" => draft.fields.set_value(&seen.field, &seen.present),
            _ => {}
        }
    }
}

async fn draft_plan(app: &App, session: &Session, draft: &Draft) -> Result<Result<PlanDocument, Vec<Fault>>, Refused> {
    let planned = match draft.asked(app) {
        Err(faults) => return Ok(Err(faults)),
        Ok(Asked::Tenant(change)) => change.plan(app, draft.name(), &session.staff).await,
        Ok(Asked::Instance(wanted)) => {
            let outcome = change::plan::<DedicatedInstance>(&app.client, draft.name(), &wanted, &session.staff).await;
            outcome.map(|outcome| document(app, None, Some(outcome)))
        }
    };
    match planned {
        // Where fields conflict, a fault may be of what the other manager keeps: first things first.
        Ok(plan) if !plan.errors.is_empty() && plan.conflicts.iter().all(|one| one.may_be_taken) => {
            Ok(Err(plan.errors))
        }
        Ok(plan) => Ok(Ok(plan)),
        Err(Refusal::Invalid(faults)) => Ok(Err(faults)),
        Err(refusal) => Err(Refused::of(refusal, session)),
    }
}

fn shown(session: &Session, draft: &Draft, plan: &PlanDocument) -> Markup {
    let taken = draft.taken();
    let (settled, open): (Vec<_>, Vec<_>) =
        plan.conflicts.iter().partition(|one| taken.iter().any(|seen| one.is_as_seen(seen)));
    let what = if draft.purpose == Purpose::Instance { "instance" } else { "tenant" };
    let title = if open.is_empty() {
        format!("What would change of {what} {}", draft.name())
    } else {
        format!("Conflicts over {what} {}", draft.name())
    };
    let content = html! {
        @if open.is_empty() {
            (changes(plan))
            @if !settled.is_empty() { (taken_over(&settled)) }
            @if let Some(operator) = &plan.operator { (of_operator(operator)) }
            (confirmation(session, draft, plan))
        } @else {
            (choices(session, draft, &open))
        }
    };
    Page::new(&title, session, content).render()
}

fn changes(plan: &PlanDocument) -> Markup {
    html! {
        @if plan.changes.is_empty() {
            p role="status" { "Nothing would change." }
        } @else {
            div.scroll tabindex="0" {
                table {
                    caption { "Fields that would change" }
                    thead { tr { th scope="col" { "Field" } th scope="col" { "Is" } th scope="col" { "Becomes" } } }
                    tbody {
                        @for one in &plan.changes {
                            tr {
                                th scope="row" { (one.path) }
                                td { (value(one.from.as_ref())) }
                                td { (value(one.to.as_ref())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn value(value: Option<&Value>) -> Markup {
    html! {
        @match value {
            None | Some(Value::Null) => { span.hint { "not set" } }
            Some(Value::String(text)) => (text),
            Some(other) => { code { (other) } }
        }
    }
}

fn taken_over(settled: &[&Conflict]) -> Markup {
    html! {
        h2 { "Taken over" }
        ul { @for one in settled { li { (one.field) ", from " (one.managers.join(", ")) } } }
        p.note { "If that manager applies its own value again, there will be a conflict on its side. Tell whoever runs it." }
    }
}

fn of_operator(plan: &OperatorPlan) -> Markup {
    html! {
        h2 { "What the operator would do" }
        @for part in &plan.parts {
            h3 { (part.title) }
            @if !part.notes.is_empty() { ul { @for note in &part.notes { li.bad { (note) } } } }
            @if part.changes.is_empty() { p.hint { "nothing" } } @else { pre tabindex="0" { (part.changes.join("\n")) } }
        }
        p.hint { "+ is made, ~ changes, - is taken away" }
    }
}

fn confirmation(session: &Session, draft: &Draft, plan: &PlanDocument) -> Markup {
    html! {
        form method="post" action="/client-admin/apply" {
            (csrf(session))
            (form::hidden(draft))
            div.actions {
                @if !plan.changes.is_empty() { button { "Apply this" } }
                button.plain formaction=(draft.form_path()) { "Back to the form" }
            }
        }
    }
}

fn choices(session: &Session, draft: &Draft, open: &[&Conflict]) -> Markup {
    let may_take = session.staff.role >= Role::Administrator;
    html! {
        p { "Another manager, such as a GitOps pipeline, owns these fields and has other values in them. The console overwrites nobody." }
        form method="post" action="/client-admin/plan" {
            (csrf(session))
            (form::hidden(draft))
            @for one in open {
                fieldset {
                    legend { (one.field) }
                    dl {
                        dt { "Owned by" } dd { (one.managers.join(", ")) }
                        dt { "Is" } dd { (value(Some(&one.present))) }
                        dt { "You want" } dd { (value(Some(&one.wanted))) }
                    }
                    input type="hidden" name="conflict" value=(seen(one));
                    div {
                        label { input type="radio" name=(format!("choice.{}", one.field)) value="leave" checked; " Leave it as it is" }
                    }
                    @if one.may_be_taken && may_take {
                        div {
                            label { input type="radio" name=(format!("choice.{}", one.field)) value="take"; " Take it over from " (one.managers.join(", ")) }
                        }
                    } @else if one.may_be_taken {
                        p.hint { "Only an administrator may take it over; or change it where " (one.managers.join(", ")) " has it from." }
                    } @else {
                        p.hint { "It can't be taken away from here: have it removed where " (one.managers.join(", ")) " has it from." }
                    }
                }
            }
            div.actions {
                button { "Go on" }
                button.plain formaction=(draft.form_path()) { "Back to the form" }
            }
        }
    }
}

fn seen(one: &Conflict) -> String {
    let seen = TakeOver { field: one.field.clone(), managers: one.managers.clone(), present: one.present.clone() };
    serde_json::to_string(&seen).expect("has only string keys")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn draft(choice: &str) -> Draft {
        let conflict = json!({ "field": "spec.limits.users", "managers": ["argocd"], "present": 5 }).to_string();
        let mut fields = Fields::default();
        fields.set("purpose", "change");
        fields.set("spec.limits.users", "9");
        fields.set("conflict", conflict);
        fields.set("choice.spec.limits.users", choice);
        let mut draft = Draft::sent(fields).unwrap();
        settle(&mut draft);
        draft
    }

    #[test]
    fn a_field_that_is_left_gets_its_present_value_and_one_that_is_taken_is_carried_on() {
        let left = draft("leave");
        assert_eq!((left.fields.get("spec.limits.users"), left.taken().len()), ("5", 0));
        let taken = draft("take");
        assert_eq!((taken.fields.get("spec.limits.users"), taken.taken().len()), ("9", 1));
        assert_eq!(taken.taken()[0].managers, ["argocd"]);
    }
}
