//! What the operator would make of a change.

use std::sync::Arc;

use easycode_crds::{DedicatedInstance, Tenant};
use easycode_operator::cli::plan::{
    catalogue::Catalogue,
    changes::{Section, Sign, summary},
    preview::preview,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// What the operator would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OperatorPlan {
    /// One part a custom resource.
    pub parts: Vec<Part>,
    /// How many changes there are of each kind.
    pub summary: String,
}

/// What the operator would do for one custom resource.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Part {
    /// Kind and name, and where it is placed.
    pub title: String,
    /// What would keep it from being ready.
    pub notes: Vec<String>,
    /// What would become of what, a line each; what stays as it is is left out.
    pub changes: Vec<String>,
}

/// What the operator would do, were these applied. Planned by its own functions, from the custom resources alone.
#[must_use]
pub fn of(app: &App, tenant: Option<Tenant>, instance: Option<DedicatedInstance>) -> OperatorPlan {
    let wanted = Catalogue {
        tenants: tenant.into_iter().collect(),
        instances: instance.into_iter().map(Arc::new).collect(),
        ..Catalogue::default()
    };
    let sections = preview(wanted, &app.fleet.catalogue(), &app.operator, Timestamp::now());
    OperatorPlan { summary: summary(&sections), parts: sections.into_iter().map(part).collect() }
}

fn part(section: Section) -> Part {
    let differing = section.changes.iter().filter(|change| change.sign != Sign::Keep);
    let changes = differing
        .map(|change| match change.details.as_slice() {
            [] => format!("{} {}", change.sign, change.what),
            details => format!("{} {}: {}", change.sign, change.what, details.join(", ")),
        })
        .collect();
    Part { title: section.title, notes: section.notes, changes }
}
