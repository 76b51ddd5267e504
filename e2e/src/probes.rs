//! The operator's own probes: they run when asked to, say when they did, and notice what gets through.

use std::time::Duration;

use crate::{
    faults::is_local_cluster,
    operator::Operator,
    platform::Platform,
    tenant::{TestTenant, fresh_name},
    wait::until,
};
use anyhow::{Context, ensure};
use jiff::Timestamp;
use k8s_openapi::{api::events::v1::Event, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

/// Longest time for a turn: two ticks, a Job that bears with a late engine, and the report.
pub const TURN: Duration = Duration::from_mins(4);

/// Asks for a turn. Returns when.
pub async fn ask(platform: &Platform) -> anyhow::Result<Timestamp> {
    let annotations = json!({ "easycode.io/probe-isolation": fresh_name("probe") });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let asked = Timestamp::now();
    platform.api().patch(&platform.name, &PatchParams::default(), &patch).await?;
    Ok(asked)
}

/// The tenant's condition, once it is of a turn after the time.
pub async fn verdict(tenant: &TestTenant, after: Timestamp) -> Condition {
    until("isolation was tried", TURN, || async {
        let tenant = tenant.get().await?;
        let conditions = tenant.status.into_iter().flat_map(|status| status.conditions);
        let found = conditions.into_iter().find(|one| one.type_ == "IsolationVerified").context("never tried")?;
        let said = found.message.split_whitespace().nth(1).context("no time")?;
        let at: Timestamp = said.parse().with_context(|| format!("{said} is no time"))?;
        // Kubernetes counts in seconds.
        ensure!(at.as_second() >= after.as_second(), "tried last at {at}");
        Ok(found)
    })
    .await
}

/// Whether nothing got through. Clusters of others may not enforce policies, which is said then.
fn is_well(condition: &Condition) -> bool {
    condition.status == "True" || !is_local_cluster() && condition.reason == "NetworkNotEnforced"
}

/// Opens a tenant's data to others where it lives, and closes it again: either is told of.
pub async fn notices(tenant: &TestTenant) -> anyhow::Result<()> {
    let platform = &tenant.platform;
    let first = verdict(tenant, ask(platform).await?).await;
    ensure!(is_well(&first), "{first:?}");
    println!("{} {}: {}", first.status, first.reason, first.message);
    ensure!(!alarm(platform).await?, "the metric tells of a breach");

    // As someone with a superuser's rights might do, thinking it harmless.
    let role = tenant.role();
    platform.sql("crm", &format!("GRANT USAGE ON SCHEMA {role} TO svc_crm")).await?;
    platform.sql("crm", &format!("GRANT SELECT ON ALL TABLES IN SCHEMA {role} TO svc_crm")).await?;
    let breached = verdict(tenant, ask(platform).await?).await;
    ensure!(breached.status == "False" && breached.reason == "IsolationBreached", "{breached:?}");
    ensure!(breached.message.contains(&role) && breached.message.contains("svc_crm"), "{}", breached.message);
    platform.condition("IsolationVerified", "False", "IsolationBreached", TURN).await;
    warned(platform, "IsolationBreached").await;
    ensure!(alarm(platform).await?, "the metric tells of no breach");
    // Its people are served on: it is for ops to say what is to be done.
    tenant.serves(200).await;

    platform.sql("crm", &format!("REVOKE ALL ON ALL TABLES IN SCHEMA {role} FROM svc_crm")).await?;
    platform.sql("crm", &format!("REVOKE ALL ON SCHEMA {role} FROM svc_crm")).await?;
    let mended = verdict(tenant, ask(platform).await?).await;
    ensure!(is_well(&mended), "{mended:?}");
    ensure!(!alarm(platform).await?, "the metric still tells of a breach");
    Ok(())
}

/// Whether the metric by which the alert fires tells of a breach.
async fn alarm(platform: &Platform) -> anyhow::Result<bool> {
    let operator = Operator::of(&platform.cluster);
    let leader = operator.pod_of(&operator.holder().await?.context("nobody leads")?).await?;
    let home = format!("home=\"{}\"", platform.home);
    let metrics = operator.metrics(&leader).await?;
    Ok(metrics.total("easycode_operator_isolation_breached", |labels| labels.contains(&home)) > 0.0)
}

/// Waits for the event with the reason at the home.
pub async fn warned(platform: &Platform, reason: &str) {
    let api: Api<Event> = Api::namespaced(platform.cluster.client.clone(), "default");
    let (kind, name) = (platform.home.kind(), &platform.name);
    let of_it = format!("regarding.kind={kind},regarding.name={name},reason={reason}");
    until("a warning is sent", Duration::from_secs(20), || async {
        let events = api.list(&ListParams::default().fields(&of_it)).await?;
        ensure!(!events.items.is_empty(), "no event");
        Ok(())
    })
    .await;
}
