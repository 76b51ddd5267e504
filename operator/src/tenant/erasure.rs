//! Erases a tenant's data in one home, with a receipt: of a deleted tenant, or the copy that one left when it moved.

use std::collections::BTreeSet;

use easycode_contract::database::Identifier;
use easycode_crds::Tenant;
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use crate::{
    audit,
    kubernetes::object::{Kind, Planned},
    postgres::{
        self,
        audit::Account,
        plan::{self, Step},
        survey::TenantData,
    },
    runtime::{context::Context, error::Error},
    stack::home::Home,
};

/// Why data is erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The tenant is deleted.
    Deleted,
    /// The tenant moved away, and its copy was kept until then.
    Moved(String),
}

/// An erasure of one tenant's data in one home.
pub struct Erasure<'a> {
    /// Whose data.
    pub tenant: &'a Tenant,
    /// Where.
    pub home: &'a Home,
    /// Role and schema.
    pub role: &'a Identifier,
    /// The Postgres there.
    pub database: &'a postgres::Database,
    /// What the controllers share.
    pub context: &'a Context,
    /// Why.
    pub why: Why,
}

impl Erasure<'_> {
    /// Erases, checks by a look at the database that nothing is left, writes a receipt, and forgets the tenant: in this order,
    /// so that a crash leaves no erasure without a receipt.
    pub async fn run(&self, data: &TenantData) -> Result<(), Error> {
        let Self { tenant, role, database, context, .. } = self;
        self.bring(plan::erase(data)).await?;
        database.refresh().await?;
        let left = database.tenant(role);
        if !left.schemas.is_empty() {
            let left = left.schemas.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(postgres::Error::Refused(format!(
                "after erasure {} still has schemas in {left}",
                role.as_str()
            ))
            .into());
        }
        let namespace = &self.home.namespace();
        let receipt = self.receipt(data);
        // One from before a crash lists what was erased then.
        if context.caches.get(Kind::ConfigMap, namespace, &receipt.name).is_none() {
            context.applier.apply(&receipt, &context.caches).await?;
        }
        self.bring(plan::forget(&left)).await?;
        database.refresh().await?;
        if database.tenant(role).role_exists {
            let note = format!(
                "{} could not be dropped, because another tenant's role granted it something; it has no data, no members and no login",
                role.as_str()
            );
            context.events.warning(*tenant, "Delete", "RoleKept", note).await;
        }
        let note = format!(
            "{} schemas of {} were erased on {}; receipt: ConfigMap {namespace}/{}",
            data.schemas.len(),
            role.as_str(),
            self.home,
            receipt.name
        );
        context.events.normal(*tenant, "Delete", "DataErased", note).await;
        Ok(())
    }

    async fn bring(&self, steps: Vec<Step>) -> Result<(), Error> {
        let account = match self.why {
            Why::Deleted => self.context.ledger.account(self.tenant, self.database),
            // What became of the spec since is told where the tenant lives.
            Why::Moved(_) => Account { subject: audit::subject(self.tenant), records: Vec::new(), adopted: None },
        };
        self.database.bring(self.role, steps, account).await?;
        Ok(())
    }

    fn receipt(&self, data: &TenantData) -> Planned {
        let Self { tenant, home, role, database, .. } = self;
        let uid = tenant.uid().unwrap_or_default();
        // After a crash amid the erasure the database shows only what is left; the status still tells all that was there.
        let recorded = tenant.status.iter().flat_map(|status| &status.services).map(|data| &data.service);
        let recorded = recorded.filter(|_| self.why == Why::Deleted);
        let erased: BTreeSet<_> = data.schemas.keys().chain(recorded).collect();
        let mut name = format!("receipt-{}-{}", tenant.name_any(), uid.chars().take(8).collect::<String>());
        let mut document = json!({
            "tenant": tenant.name_any(),
            "uid": uid,
            "displayName": tenant.spec.display_name,
            "role": role.as_str(),
            "erasedSchemas": erased,
            "erasedAt": Timestamp::now().to_string(),
            "verified": "after the erasure no schema of the role was found in the databases",
            "databases": database.services(),
        });
        match &self.why {
            Why::Deleted => {
                document["policy"] = json!(tenant.spec.deletion_policy);
                document["requestedAt"] =
                    json!(tenant.metadata.deletion_timestamp.as_ref().map(|time| time.0.to_string()));
            }
            Why::Moved(until) => {
                document["movedAway"] = json!({ "retainedUntil": until });
                let digits: String = until.chars().filter(char::is_ascii_digit).collect();
                name = format!("{name}-moved-{digits}");
            }
        }
        let body = json!({
            "metadata": { "labels": home.labels("erasure-receipt") },
            "data": { "receipt.json": document.to_string() },
        });
        Planned::new(Kind::ConfigMap, &home.namespace(), &name, body)
    }
}
