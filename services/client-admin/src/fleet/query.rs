//! Which tenants a list shows. Pure.

use easycode_crds::Tenant;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Fleet,
    summary::{self, TenantSummary},
};

/// Tenants a page.
pub const PAGE: usize = 50;

/// What is asked for; what is empty does not matter.
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

/// A form sends an empty text for what was not filled in.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        Ok(1)
    } else {
        text.parse().map_err(|_| serde::de::Error::custom("page: must be a number from 1"))
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantPage {
    /// The tenants of the page, by name.
    pub items: Vec<TenantSummary>,
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
        let among = |wanted: &str, value: Option<&str>| wanted.is_empty() || value == Some(wanted);
        let words = self.q.trim().to_lowercase();
        let found = summary.name.contains(&words) || summary.display_name.to_lowercase().contains(&words);
        let state = match self.state.as_str() {
            "" => true,
            "Leaving" => summary.leaving,
            wanted => summary.state == wanted && !summary.leaving,
        };
        let ready = match self.ready.as_str() {
            "yes" => summary.health.is_ready(),
            "no" => !summary.health.is_ready(),
            _ => true,
        };
        found
            && state
            && ready
            && among(&self.model, Some(summary.model))
            && among(&self.platform, summary.platform.as_deref())
            && among(&self.region, tenant.spec.region.as_deref())
    }

    /// The page of the tenants that are asked for.
    #[must_use]
    pub fn of(&self, fleet: &Fleet) -> TenantPage {
        let tenants = fleet.tenants();
        let all = tenants.iter().map(|tenant| (tenant, summary::of_tenant(tenant, fleet)));
        paged(all.filter(|(tenant, line)| self.matches(tenant, line)).map(|(_, line)| line).collect(), self.page)
    }
}

fn paged(mut found: Vec<TenantSummary>, page: usize) -> TenantPage {
    let total = found.len();
    let pages = total.div_ceil(PAGE).max(1);
    let page = page.clamp(1, pages);
    let items = found.drain(..).skip((page - 1) * PAGE).take(PAGE).collect();
    TenantPage { items, total, page, pages }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fleet::summary::Health;

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
            health: Health { ready: "True".into(), reason: "AsPlanned".into(), message: String::new() },
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
    fn a_page_beyond_the_last_is_the_last() {
        let found = || (0..120).map(|_| tenant().1).collect::<Vec<_>>();
        let sizes = |page| {
            let page = paged(found(), page);
            (page.items.len(), page.total, page.page, page.pages)
        };
        assert_eq!(sizes(1), (50, 120, 1, 3));
        assert_eq!(sizes(3), (20, 120, 3, 3));
        assert_eq!(sizes(9), (20, 120, 3, 3));
        assert_eq!(paged(Vec::new(), 0).pages, 1);
    }
}
