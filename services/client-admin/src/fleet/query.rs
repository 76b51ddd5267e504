//! Which tenants and instances a list shows. Pure.

use easycode_crds::Tenant;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Fleet,
    summary::{self, Health, InstanceSummary, TenantSummary},
};

/// Entries a page.
pub const PAGE: usize = 50;

/// Which tenants are asked for; what is empty does not matter.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct TenantQuery {
    /// Part of the name or of the company's name, in any case.
    pub q: String,
    /// `Shared` or `Dedicated`.
    pub model: String,
    /// Name of the platform that serves it.
    pub platform: String,
    /// Its region.
    pub region: String,
    /// `Active`, `Suspended`, or `Leaving` for what is being deleted.
    pub state: String,
    /// `yes` or `no`.
    pub ready: String,
    /// Number of the page, from 1.
    #[serde(deserialize_with = "number")]
    #[param(value_type = usize)]
    pub page: usize,
}

/// Which instances are asked for, by the same parameters; what is empty does not matter.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct InstanceQuery {
    /// Part of its name, of its tenant's or of the company's, in any case.
    pub q: String,
    /// Where it runs.
    pub region: String,
    /// `Active` or `Suspended` as its tenant is, or `Leaving` for what is being deleted.
    pub state: String,
    /// `yes` or `no`.
    pub ready: String,
    /// Number of the page, from 1.
    #[serde(deserialize_with = "number")]
    #[param(value_type = usize)]
    pub page: usize,
}

/// A form sends an empty text for what was not filled in.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        Ok(1)
    } else {
        text.parse().map_err(|_| serde::de::Error::custom("page: must be a number from 1"))
    }
}

/// One page of what was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Found<T> {
    /// The entries of the page, by name.
    pub items: Vec<T>,
    /// How many match in all.
    pub total: usize,
    /// Number of the page, from 1.
    pub page: usize,
    /// Number of the last page.
    pub pages: usize,
}

impl TenantQuery {
    /// Whether the tenant is asked for.
    #[must_use]
    pub fn matches(&self, tenant: &Tenant, summary: &TenantSummary) -> bool {
        is_said(&self.q, [&summary.name, &summary.display_name])
            && is_in(&self.state, Some(summary.state), summary.leaving)
            && is_well(&self.ready, &summary.health)
            && among(&self.model, Some(summary.model))
            && among(&self.platform, summary.platform.as_deref())
            && among(&self.region, tenant.spec.region.as_deref())
    }

    /// The page of the tenants that are asked for.
    #[must_use]
    pub fn of(&self, fleet: &Fleet) -> Found<TenantSummary> {
        let tenants = fleet.tenants();
        let all = tenants.iter().map(|tenant| (tenant, summary::of_tenant(tenant, fleet)));
        paged(all.filter(|(tenant, line)| self.matches(tenant, line)).map(|(_, line)| line).collect(), self.page)
    }
}

impl InstanceQuery {
    /// Whether the instance is asked for, which is this tenant's.
    #[must_use]
    pub fn matches(&self, summary: &InstanceSummary, tenant: Option<&Tenant>) -> bool {
        let spec = tenant.map(|tenant| &tenant.spec);
        let company = spec.map_or("", |spec| spec.display_name.as_str());
        is_said(&self.q, [&summary.name, &summary.tenant, company])
            && is_in(&self.state, spec.map(|spec| summary::state(spec.state)), summary.leaving)
            && is_well(&self.ready, &summary.health)
            && among(&self.region, Some(&summary.region))
    }

    /// The page of the instances that are asked for.
    #[must_use]
    pub fn of(&self, fleet: &Fleet) -> Found<InstanceSummary> {
        let instances = fleet.instances();
        let all = instances.iter().map(|instance| summary::of_instance(instance));
        paged(all.filter(|line| self.matches(line, fleet.tenant(&line.tenant).as_deref())).collect(), self.page)
    }
}

fn is_said<const N: usize>(words: &str, texts: [&str; N]) -> bool {
    let words = words.trim().to_lowercase();
    texts.iter().any(|text| text.to_lowercase().contains(&words))
}

fn is_in(wanted: &str, state: Option<&str>, leaving: bool) -> bool {
    match wanted {
        "" => true,
        "Leaving" => leaving,
        wanted => state == Some(wanted) && !leaving,
    }
}

fn is_well(wanted: &str, health: &Health) -> bool {
    match wanted {
        "yes" => health.is_ready(),
        "no" => !health.is_ready(),
        _ => true,
    }
}

fn among(wanted: &str, value: Option<&str>) -> bool {
    wanted.is_empty() || value == Some(wanted)
}

fn paged<T>(mut found: Vec<T>, page: usize) -> Found<T> {
    let total = found.len();
    let pages = total.div_ceil(PAGE).max(1);
    let page = page.clamp(1, pages);
    let items = found.drain(..).skip((page - 1) * PAGE).take(PAGE).collect();
    Found { items, total, page, pages }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ready() -> Health {
        Health { ready: "True".into(), reason: "AsPlanned".into(), message: String::new() }
    }

    fn tenant() -> (Tenant, TenantSummary) {
        let spec = json!({ "displayName": "Aurora Textiles Ltd", "region": "eu" });
        let summary = TenantSummary {
            name: "aurora".into(),
            display_name: "Aurora Textiles Ltd".into(),
            model: "Shared",
            state: "Active",
            region: Some("eu".into()),
            platform: Some("eu1".into()),
            instance: None,
            version: None,
            endpoint: None,
            health: ready(),
            last_backup: None,
            leaving: false,
        };
        (Tenant::new("aurora", serde_json::from_value(spec).unwrap()), summary)
    }

    fn matches(query: &str) -> bool {
        let (tenant, summary) = tenant();
        serde_urlencoded::from_str::<TenantQuery>(query).unwrap().matches(&tenant, &summary)
    }

    #[test]
    fn each_filter_narrows_and_an_empty_one_does_not() {
        for found in ["", "q=TEXT&page=", "q=+auro+", "model=Shared&platform=eu1&region=eu&state=Active&ready=yes"] {
            assert!(matches(found), "{found}");
        }
        for missed in
            ["q=boreal", "model=Dedicated", "platform=eu2", "region=us", "state=Suspended", "state=Leaving", "ready=no"]
        {
            assert!(!matches(missed), "{missed}");
        }
        assert!(serde_urlencoded::from_str::<TenantQuery>("page=x").is_err());
    }

    #[test]
    fn an_instance_is_found_by_its_own_name_and_by_whose_it_is() {
        let (tenant, _) = tenant();
        let mut line = InstanceSummary {
            name: "own-1".into(),
            tenant: "aurora".into(),
            region: "eu".into(),
            version: None,
            endpoint: None,
            health: ready(),
            last_backup: None,
            leaving: false,
        };
        let query = |query: &str| serde_urlencoded::from_str::<InstanceQuery>(query).unwrap();
        for found in ["", "q=OWN-&page=", "q=aurora", "q=textiles", "region=eu&state=Active&ready=yes"] {
            assert!(query(found).matches(&line, Some(&tenant)), "{found}");
        }
        for missed in ["q=boreal", "region=us", "state=Suspended", "state=Leaving", "ready=no"] {
            assert!(!query(missed).matches(&line, Some(&tenant)), "{missed}");
        }
        // Its tenant may be gone already.
        assert!(query("q=aurora").matches(&line, None) && !query("state=Active").matches(&line, None));
        line.leaving = true;
        assert!(query("state=Leaving").matches(&line, None) && !query("state=Active").matches(&line, Some(&tenant)));
    }

    #[test]
    fn a_page_beyond_the_last_is_the_last() {
        let found = || (0..120).map(|_| tenant().1).collect::<Vec<_>>();
        let sizes = |page| {
            let page = paged(found(), page);
            (page.items.len(), page.total, page.page, page.pages)
        };
        assert_eq!(sizes(1), (50, 120, 1, 3));
        assert_eq!(sizes(3), (20, 120, 3, 3));
        assert_eq!(sizes(9), (20, 120, 3, 3));
        assert_eq!(paged(Vec::<TenantSummary>::new(), 0).pages, 1);
    }
}
