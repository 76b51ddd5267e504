//! The platform's Postgres dies again and again, or hangs.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use easycode_e2e::{
    console::Program,
    operator::Operator,
    platform::Platform,
    signals,
    tenant::TestTenant,
    traffic::{Seen, Traffic, count},
    wait::until,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::DeleteParams};
use reqwest::Method;
use serde_json::json;

const POD: &str = "postgres-0";

/// A tenant with one contact, by whose name its data is known.
struct Witness {
    tenant: TestTenant,
    mark: &'static str,
}

impl Witness {
    async fn create(platform: &Platform, mark: &'static str) -> anyhow::Result<Self> {
        let tenant = TestTenant::create(platform, "fault", json!({})).await?;
        tenant.add_contact(mark).await?;
        Ok(Self { tenant, mark })
    }

    async fn ask(&self) -> anyhow::Result<Traffic> {
        Ok(Traffic::calm(self.tenant.request("crm", Method::GET, "/contacts").await?))
    }

    /// Checks that each answer is this tenant's one contact, or says to try again.
    fn judge(&self, seen: &[Seen]) -> anyhow::Result<()> {
        for one in seen {
            one.served_or_put_off()?;
            if one.status == 200 {
                let items = one.body["items"].as_array().context("no items")?;
                ensure!(items.len() == 1 && items[0]["familyName"] == self.mark, "not its own data: {one:?}");
            }
        }
        println!("{}: {} served, {} put off", self.mark, count(seen, 200), count(seen, 503));
        Ok(())
    }
}

fn pods(platform: &Platform) -> Api<Pod> {
    Api::namespaced(platform.cluster.client.clone(), &platform.namespace())
}

/// Kills Postgres as often as it starts.
async fn keep_dead(platform: Platform) -> anyhow::Result<()> {
    let pod = pods(&platform).get(POD).await?;
    loop {
        // Between two lives there is nothing to kill.
        let _ = signals::send(&platform.cluster, &pod, "KILL").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The operator's replicas by uid, with how often each was restarted.
async fn lives(operator: &Operator) -> anyhow::Result<BTreeMap<Option<String>, i32>> {
    let restarts = |pod: &Pod| -> i32 {
        let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        containers.map(|container| container.restart_count).sum()
    };
    Ok(operator.pods().await?.iter().map(|pod| (pod.uid(), restarts(pod))).collect())
}

#[tokio::test]
async fn while_postgres_is_dead_for_a_minute_nothing_wrong_is_answered_and_then_all_mends_itself() -> anyhow::Result<()>
{
    let platform = Platform::example().await?;
    let operator = Operator::of(&platform.cluster);
    operator.settled().await;
    let (one, other) = (Witness::create(&platform, "Lovelace").await?, Witness::create(&platform, "Hopper").await?);
    let before = lives(&operator).await?;
    let (asking_one, asking_other) = (one.ask().await?, other.ask().await?);

    let fault = tokio::spawn(keep_dead(platform.clone()));
    let begun = Instant::now();
    until("requests are put off", Duration::from_secs(20), || async {
        ensure!(one.tenant.read("/contacts").await?.status == 503, "still served");
        Ok(())
    })
    .await;
    let newcomer = TestTenant::apply_new(&platform, "fault", json!({})).await?;
    newcomer.condition("DatabaseReady", "False", "DatabaseUnavailable").await;
    platform.condition("DatabaseReady", "False", "DatabaseUnavailable", Duration::from_secs(70)).await;
    let message = platform.condition("Ready", "False", "DatabaseUnavailable", Duration::from_secs(10)).await;
    println!("the platform says: {message}");
    let support = Program::of(&platform.cluster, "support").await?;
    let history = support.ask(Method::GET, &format!("/tenants/{}/history", one.tenant.name), None).await?;
    let is_told = history.body["unread"] == json!(["SharedPlatform eu1"]);
    ensure!(is_told, "the console hides what it could not read: {:?}", history.body);
    ensure!(history.body["entries"].as_array().is_some_and(|entries| !entries.is_empty()), "{:?}", history.body);
    tokio::time::sleep(Duration::from_mins(1).saturating_sub(begun.elapsed())).await;
    fault.abort();

    platform.ready(Duration::from_mins(4)).await;
    newcomer.ready().await;
    newcomer.serves(200).await;
    println!("all well {:?} after the fault began", begun.elapsed());
    for (witness, asking) in [(&one, asking_one), (&other, asking_other)] {
        witness.tenant.serves(200).await;
        let seen = asking.end_to_judge().await?;
        witness.judge(&seen)?;
        ensure!(count(&seen, 503) > 0 && count(&seen, 200) > 0, "it was not in the fault's way");
        witness.tenant.ready().await;
    }
    let after = lives(&operator).await?;
    ensure!(before == after, "the operator was restarted: {before:?}, then {after:?}");

    // A new pod, since the kubelet lets the present one wait longer after each death.
    pods(&platform).delete(POD, &DeleteParams::default()).await?;
    for tenant in [&one.tenant, &other.tenant, &newcomer] {
        tenant.serves(200).await;
        tenant.erase().await?;
    }
    platform.ready(Duration::from_mins(4)).await;
    Ok(())
}

#[tokio::test]
async fn while_postgres_hangs_every_new_request_is_answered_within_ten_seconds() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let witness = Witness::create(&platform, "Curie").await?;
    let mut asking = Vec::new();
    for _ in 0..4 {
        asking.push(witness.ask().await?);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let pod = pods(&platform).get(POD).await?;
    signals::send(&platform.cluster, &pod, "STOP").await?;
    let hangs = Instant::now();
    let ((put_off, after), ()) = tokio::join!(
        async { (witness.tenant.read("/contacts").await, hangs.elapsed()) },
        tokio::time::sleep(Duration::from_secs(15))
    );
    signals::send(&platform.cluster, &pod, "CONT").await?;
    let put_off = put_off?;
    ensure!(
        put_off.status == 503 && after < Duration::from_secs(10),
        "not put off in time: {put_off:?} after {after:?}"
    );
    witness.tenant.serves(200).await;
    for asking in asking {
        let seen = asking.end_to_judge().await?;
        witness.judge(&seen)?;
        // A query that was under way has the tenant's statement timeout.
        let slowest = seen.iter().filter(|one| one.asked > hangs).map(|one| one.took).max().unwrap_or_default();
        ensure!(slowest < Duration::from_secs(10), "an answer took {slowest:?}");
    }
    platform.ready(Duration::from_mins(2)).await;
    witness.tenant.erase().await
}
