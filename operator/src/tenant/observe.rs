//! Reads what a tenant's plan needs, out of caches only: the platform, its release, and what the database holds.

use std::{collections::BTreeMap, sync::Arc};

use easycode_contract::database::Identifier;
use easycode_crds::{Release, SharedPlatform, Tenant};
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::placement::{Unplaced, placed_on};
use crate::{
    postgres::{Database, survey::TenantData},
    runtime::context::Context,
};

/// What a tenant's plan is made from, beside the tenant.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The platform, or why there is none.
    pub platform: Result<Arc<SharedPlatform>, Unplaced>,
    /// The release that the platform runs.
    pub release: Option<Arc<Release>>,
    /// What the platform's database holds; `None` while it is not connected.
    pub database: Option<DatabaseView>,
    /// What was wrong with the platform's database at the last look.
    pub trouble: Option<String>,
}

/// What the plan needs to know of the platform's database.
#[derive(Clone, Debug, Default)]
pub struct DatabaseView {
    /// What the tenant has.
    pub tenant: TenantData,
    /// Version of the published migrations, by service.
    pub published: BTreeMap<String, i32>,
}

/// Reads. Decides the placement of a tenant that has none.
#[must_use]
pub fn observe(tenant: &Tenant, context: &Context) -> Observed {
    let platforms = context.platforms.state();
    let tenants = context.tenants.state();
    let holders = if placed_on(tenant).is_none() { holders(tenant, context) } else { Vec::new() };
    let placed = context.placement.place(tenant, tenants.iter().map(AsRef::as_ref), &platforms, &holders);
    let platform = placed.map(|name| {
        let found = platforms.iter().find(|platform| platform.name_any() == name);
        Arc::clone(found.expect("placement names only platforms it was given"))
    });
    let Ok(live) = &platform else {
        return Observed { platform, release: None, database: None, trouble: None };
    };
    let running = live.status.as_ref().and_then(|status| status.release.as_deref());
    let release = context.releases.get(&ObjectRef::new(running.unwrap_or(&live.spec.release)));
    let database = Identifier::tenant(&tenant.name_any()).ok().and_then(|role| {
        let database = context.databases.get(&live.name_any())?;
        Some(DatabaseView { tenant: database.tenant(&role), published: database.published() })
    });
    let trouble = context.databases.trouble(&live.name_any());
    Observed { platform, release, database, trouble }
}

/// Platforms whose database has data of a tenant of this name.
fn holders(tenant: &Tenant, context: &Context) -> Vec<String> {
    let Ok(role) = Identifier::tenant(&tenant.name_any()) else { return Vec::new() };
    let holds = |database: &Database| {
        let data = database.tenant(&role);
        data.uid.is_some() || !data.schemas.is_empty()
    };
    context.databases.all().into_iter().filter(|(_, database)| holds(database)).map(|(platform, _)| platform).collect()
}
