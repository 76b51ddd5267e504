//! `easycode status`: tenants as trees.

use easycode_crds::Tenant;
use kube::{Api, Client, ResourceExt};

/// Which tenants.
#[derive(clap::Args)]
pub struct Arguments {
    /// One tenant; all without it.
    tenant: Option<String>,
}

/// Prints the trees.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let api: Api<Tenant> = Api::all(Client::try_default().await?);
    let tenants = match &arguments.tenant {
        Some(name) => vec![api.get(name).await?],
        None => api.list(&kube::api::ListParams::default()).await?.items,
    };
    for tenant in &tenants {
        print!("{}", tree(tenant));
    }
    Ok(())
}

fn tree(tenant: &Tenant) -> String {
    let mut lines = vec![format!("Tenant {} ({})", tenant.name_any(), tenant.spec.display_name)];
    let Some(status) = &tenant.status else {
        lines.push("└─ no operator has looked at it yet".to_owned());
        return lines.join("\n") + "\n";
    };
    let mut branches = Vec::new();
    for condition in &status.conditions {
        branches
            .push(format!("{} {}: {} — {}", condition.type_, condition.status, condition.reason, condition.message));
    }
    if let Some(platform) = &status.platform {
        branches.push(format!(
            "SharedPlatform {platform}, ConfigMap {}/{}",
            crate::platform::namespace_of(platform),
            crate::tenant::config_map_name(tenant)
        ));
    }
    if let Some(role) = &status.database_role {
        branches.push(format!("role {role}"));
    }
    for service in &status.services {
        let note = match (&service.retained_until, service.entitled) {
            (Some(until), _) => format!("withdrawn, kept until {until}"),
            (None, true) => "entitled".to_owned(),
            (None, false) => "not entitled".to_owned(),
        };
        branches.push(format!("{} schema version {}, {note}", service.service, service.schema_version));
    }
    let last = branches.len().saturating_sub(1);
    lines.extend(
        branches.into_iter().enumerate().map(|(at, text)| format!("{} {text}", if at == last { "└─" } else { "├─" })),
    );
    lines.join("\n") + "\n"
}
