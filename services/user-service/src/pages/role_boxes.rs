//! The roles that someone can be given, to be ticked.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{controls::tick, forms::Fields};
use crate::{
    members::Member,
    roles::{self, Assignment},
};

/// Name of the boxes.
const NAME: &str = "role";

/// A box a role, in a group a service. What someone has of services that the company is no longer entitled to can be kept.
pub async fn role_boxes(member: &Member, given: &BTreeSet<Assignment>) -> Markup {
    let assignable = roles::assignable(member).await;
    let mut services: Vec<&str> = assignable.iter().map(|one| one.service.as_str()).collect();
    services.dedup();
    let offered = |one: &Assignment| {
        assignable.iter().any(|role| role.service == one.service && role.definition.name == one.role)
    };
    let lapsed: Vec<_> = given.iter().filter(|one| !offered(one)).collect();
    let is_given = |service: &str, role: &str| given.iter().any(|one| one.service == service && one.role == role);
    html! {
        @for service in services {
            fieldset {
                legend { "Roles in " (service) }
                @for role in assignable.iter().filter(|one| one.service == service) {
                    @let name = &role.definition.name;
                    @let value = format!("{service}/{name}");
                    (tick(NAME, &value, &format!("role-{service}-{name}"), is_given(service, name),
                        html! { (name) " – " (role.definition.description) }))
                }
            }
        }
        @if !lapsed.is_empty() {
            fieldset {
                legend { "Roles that don't count now" }
                @for one in lapsed {
                    @let value = format!("{}/{}", one.service, one.role);
                    (tick(NAME, &value, &format!("role-{}-{}", one.service, one.role), true, html! { (one.role) " in " (one.service) }))
                }
            }
        }
    }
}

/// The roles that were ticked.
pub fn chosen(fields: &Fields) -> BTreeSet<Assignment> {
    let pairs = fields.all(NAME).filter_map(|value| value.split_once('/'));
    pairs.map(|(service, role)| Assignment { service: service.to_owned(), role: role.to_owned() }).collect()
}
