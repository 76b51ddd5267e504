//! Causes faults, one after the other. Each is over when it returns, and only what is the cluster's own is hit.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::DeleteParams};
use tokio_util::sync::CancellationToken;

use super::{
    company::{Homes, retry_for},
    report::Journal,
    schedule::{Fault, Faults},
};
use crate::{
    faults::{component, is_local_cluster},
    operator::Operator,
    platform::Platform,
    signals,
};

/// Longest time for what a fault needs, such as a pod to be hit, to be there.
const FAULT_TIMEOUT: Duration = Duration::from_secs(45);

/// Causes faults until the end. One under way is ended first, so that no component stays down.
pub async fn run(homes: Homes, faults: Faults, journal: Arc<Journal>, ended: CancellationToken) {
    for (pause, fault) in faults {
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let kind = fault.kind();
        eprintln!("  fault: {kind}");
        journal.begin_fault(&kind);
        // In a task, since what waits in vain panics.
        let caused = tokio::spawn(cause(homes.clone(), fault)).await.map_err(anyhow::Error::from).flatten();
        let mut report = journal.report();
        match caused {
            Ok(()) => *report.faults.entry(kind).or_default() += 1,
            Err(error) => {
                eprintln!("  fault left out: {kind}: {error:#}");
                *report.faults_left_out.entry(kind).or_default() += 1;
            }
        }
    }
}

async fn cause(homes: Homes, fault: Fault) -> anyhow::Result<()> {
    match fault {
        Fault::KillOperator => Operator::of(&homes.platform.cluster).kill().await,
        Fault::KillPostgres(site) => kill_postgres(homes.at(site)).await,
        Fault::KillComponent(name, away) => {
            ensure!(is_local_cluster(), "only components of the local cluster can be killed");
            component("kill", name).await?;
            tokio::time::sleep(away).await;
            component("start", name).await
        }
        Fault::TerminateConnections(site, logins) => {
            // Of migrations there may be none.
            let statement = format!(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE usename LIKE '{}%' AND pid <> pg_backend_pid()",
                logins.replace('_', "\\_")
            );
            let home = homes.at(site);
            retry_for(FAULT_TIMEOUT, "connections are terminated", || home.sql("postgres", &statement)).await?;
            Ok(())
        }
        Fault::DeletePod(site, service) => {
            let home = homes.at(site);
            for pod in pods_of(home, service).await? {
                pods(home).delete(&pod.name_any(), &DeleteParams::default()).await?;
            }
            Ok(())
        }
        Fault::FreezePod(site, service, away) => freeze(homes.at(site), service, away).await,
    }
}

/// Kills Postgres, and replaces its pod, which the kubelet would start later after each death.
async fn kill_postgres(home: &Platform) -> anyhow::Result<()> {
    let pod =
        retry_for(FAULT_TIMEOUT, "Postgres has a pod", || async { Ok(pods(home).get("postgres-0").await?) }).await?;
    signals::send(&home.cluster, &pod, "KILL").await?;
    pods(home).delete(&pod.name_any(), &DeleteParams::default()).await?;
    Ok(())
}

/// Stops the pods of a service, and lets them go on after the time, whatever happens to the API server by then.
async fn freeze(home: &Platform, service: &str, away: Duration) -> anyhow::Result<()> {
    let found = pods_of(home, service).await?;
    for pod in &found {
        signals::send(&home.cluster, pod, "STOP").await?;
    }
    tokio::time::sleep(away).await;
    for pod in &found {
        let gone = || async { anyhow::Ok(pods(home).get_opt(&pod.name_any()).await?.is_none()) };
        retry_for(FAULT_TIMEOUT, "the pod goes on", || async {
            match signals::send(&home.cluster, pod, "CONT").await {
                Err(_) if gone().await? => Ok(()),
                sent => sent,
            }
        })
        .await?;
    }
    Ok(())
}

fn pods(home: &Platform) -> Api<Pod> {
    Api::namespaced(home.cluster.client.clone(), &home.namespace())
}

/// The pods of a service that run.
async fn pods_of(home: &Platform, service: &str) -> anyhow::Result<Vec<Pod>> {
    let labels = format!("app.kubernetes.io/name={service},app.kubernetes.io/component=service");
    let found = retry_for(FAULT_TIMEOUT, "the service has a pod", || async {
        let mut found = home.cluster.pods(&home.namespace(), &labels).await?;
        found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        ensure!(!found.is_empty(), "no pod of {service}");
        Ok(found)
    })
    .await;
    found.with_context(|| format!("{service} in {}", home.home))
}

/// Starts whatever of the local cluster does not run, if it is one.
pub async fn start_components() -> anyhow::Result<()> {
    if is_local_cluster() {
        for name in super::schedule::COMPONENTS {
            component("start", name).await?;
        }
    }
    Ok(())
}
