//! The old home's Postgres is lost in the pause, which all companies of the platform notice.

use anyhow::ensure;
use easycode_crds::tenant::MovePhase;
use easycode_e2e::own_platform::BRING_UP;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DeleteParams};

use super::Mover;

#[tokio::test]
async fn the_old_homes_postgres_may_be_lost_in_the_pause() -> anyhow::Result<()> {
    let mover = Mover::create("oldhome").await?;
    let made = mover.shared.add_contact("Before").await?;
    let held = mover.go_as_far_as("CuttingOver").await?;
    let pods: Api<Pod> = Api::namespaced(mover.own.platform.cluster.client.clone(), &mover.shared.platform.namespace());
    pods.delete("postgres-0", &DeleteParams::default().grace_period(0)).await?;
    held.lift().await?;
    mover.arrives(&mover.own.platform.home).await?;
    mover.reaches(MovePhase::Done).await;
    ensure!(
        mover.own.tenant.read(&format!("/contacts/{made}")).await?.status == 200,
        "what was written before is lost"
    );
    // Others there are served again, too.
    mover.shared.platform.ready(BRING_UP).await;
    mover.remove().await
}
