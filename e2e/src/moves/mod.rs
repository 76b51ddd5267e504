//! A tenant that moves between the shared platform and an instance of its own, while its people work.

pub mod work;

use std::time::Duration;

use crate::{
    block::{Block, Write},
    holdings::Holdings,
    own_instance::OwnInstance,
    platform::Platform,
    tenant::{TestTenant, fresh_name},
    wait::until,
};
use anyhow::{Context, ensure};
use easycode_crds::tenant::{MovePhase, Relocation};
use easycode_operator::stack::home::Home;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

/// Longest time for a move of little data.
pub const MOVE_TIMEOUT: Duration = Duration::from_mins(3);

/// A tenant on the shared platform, and the instance that it may move to.
pub struct Mover {
    /// The tenant, seen on the platform.
    pub shared: TestTenant,
    /// The instance, and the tenant seen there.
    pub own: OwnInstance,
}

impl Mover {
    /// Makes both, and waits for them.
    pub async fn create(what: &str) -> anyhow::Result<Self> {
        Self::create_as(what, spec()).await
    }

    /// Makes both, the tenant with the spec, and waits for them.
    pub async fn create_as(what: &str, spec: Value) -> anyhow::Result<Self> {
        let platform = Platform::example().await?;
        let own = OwnInstance::named(&platform.cluster, &fresh_name(what));
        let mover = Self { shared: TestTenant { platform, name: own.tenant.name.clone() }, own };
        mover.own.apply(json!({})).await?;
        mover.shared.apply(spec).await?;
        mover.shared.ready().await;
        mover.own.condition("ServicesAvailable", "True", "").await;
        Ok(mover)
    }

    /// Asks for the move to the instance.
    pub async fn go(&self) -> anyhow::Result<()> {
        self.own.tenant.apply(spec()).await?;
        Ok(())
    }

    /// Holds a move where the phase would begin.
    pub async fn held_before(&self, phase: &str) -> anyhow::Result<Block> {
        Block::write(&self.shared.platform.cluster, &Write::to_phase_of(&self.shared.name, phase)).await
    }

    /// Asks for the move to the instance, and holds it where the phase would begin.
    pub async fn go_as_far_as(&self, phase: &str) -> anyhow::Result<Block> {
        let block = self.held_before(phase).await?;
        self.go().await?;
        block.reached().await;
        Ok(block)
    }

    /// Asks for the move to the platform, or gives the other one up.
    pub async fn come_back(&self) -> anyhow::Result<()> {
        self.shared.apply(spec()).await?;
        Ok(())
    }

    /// The move that is told of in the status.
    pub async fn relocation(&self) -> anyhow::Result<Relocation> {
        let status = self.shared.get().await?.status.context("no status yet")?;
        status.relocation.context("no move yet")
    }

    /// Waits until the move to where it is wanted is in the phase.
    pub async fn reaches(&self, phase: MovePhase) -> Relocation {
        until(&format!("the move of {} is {phase:?}", self.shared.name), MOVE_TIMEOUT, || async {
            let relocation = self.relocation().await?;
            ensure!(relocation.phase == phase, "it is {:?}: {:?}", relocation.phase, relocation.message);
            Ok(relocation)
        })
        .await
    }

    /// Waits until the tenant is served in the home, and nothing of a move is under way.
    pub async fn arrives(&self, home: &Home) -> anyhow::Result<()> {
        until(&format!("{} lives on {home}", self.shared.name), MOVE_TIMEOUT, || async {
            let tenant = self.shared.get().await?;
            let status = tenant.status.context("no status yet")?;
            let lives = match home {
                Home::Platform(name) => status.platform.as_ref() == Some(name) && status.instance.is_none(),
                Home::Instance(name) => status.instance.as_ref() == Some(name) && status.platform.is_none(),
            };
            ensure!(lives, "it does not yet: {:?}", status.relocation);
            let ready = status.conditions.iter().find(|one| one.type_ == "Ready").context("no Ready yet")?;
            ensure!(ready.status == "True", "{}: {}", ready.reason, ready.message);
            ensure!(ready.observed_generation == tenant.metadata.generation, "the spec was not looked at yet");
            Ok(())
        })
        .await;
        Ok(())
    }

    /// Waits until its copy in the instance, which it has left, is erased and forgotten.
    pub async fn leaves_no_copy_in_the_instance(&self) {
        until("the copy in the instance is erased", MOVE_TIMEOUT, || async {
            let left = self.own.tenant.holdings().await?;
            ensure!(left == Holdings::default(), "{left:?}");
            let kept = self.shared.get().await?.status.context("no status")?.former_homes;
            ensure!(kept.is_empty(), "{kept:?}");
            Ok(())
        })
        .await;
    }

    /// Checks that nothing is left of the means of the move.
    pub async fn left_no_tools(&self) -> anyhow::Result<()> {
        use k8s_openapi::api::{batch::v1::Job, core::v1::Secret, networking::v1::NetworkPolicy};
        use kube::{Api, ResourceExt, api::ListParams};
        let client = &self.own.platform.cluster.client;
        let login = format!("copy_{}", self.shared.name.replace('-', "_"));
        for platform in [&self.own.platform, &self.shared.platform] {
            until(&format!("{login} is not left on {}", platform.home), MOVE_TIMEOUT, || async {
                let logins = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{login}'");
                ensure!(platform.sql("postgres", &logins).await? == "0", "it is");
                Ok(())
            })
            .await;
        }
        for namespace in [self.own.namespace(), self.shared.platform.namespace()] {
            until(&format!("no job, Secret or policy of the move is left in {namespace}"), MOVE_TIMEOUT, || async {
                let ours = |name: String| name.starts_with(&format!("move-{}", self.shared.name));
                let all = ListParams::default();
                let jobs = Api::<Job>::namespaced(client.clone(), &namespace).list(&all).await?;
                let secrets = Api::<Secret>::namespaced(client.clone(), &namespace).list(&all).await?;
                let policies = Api::<NetworkPolicy>::namespaced(client.clone(), &namespace).list(&all).await?;
                let mut left: Vec<_> =
                    jobs.iter().map(ResourceExt::name_any).filter(|name| ours(name.clone())).collect();
                left.extend(secrets.iter().map(ResourceExt::name_any).filter(|name| ours(name.clone())));
                left.extend(policies.iter().map(ResourceExt::name_any).filter(|name| ours(name.clone())));
                ensure!(left.is_empty(), "{left:?}");
                Ok(())
            })
            .await;
        }
        Ok(())
    }

    /// Makes the copy into the instance wait, as another session is making a schema of the name there.
    pub async fn block_copy(&self) -> anyhow::Result<PgConnection> {
        let login = self.own.platform.login("postgres-operator").await?.database("crm");
        let mut session = PgConnection::connect_with(&login).await?;
        let statement = format!("BEGIN; CREATE SCHEMA {}", self.shared.role());
        raw_sql(AssertSqlSafe(statement)).execute(&mut session).await?;
        Ok(session)
    }

    /// Waits until the copy waits for the session that blocks it.
    pub async fn copy_waits(&self) {
        until("the copy waits for its schema", MOVE_TIMEOUT, || async {
            let waiting =
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%CREATE SCHEMA%'";
            ensure!(self.own.platform.sql("postgres", waiting).await? != "0", "nobody waits");
            Ok(())
        })
        .await;
    }

    /// Ends both, and checks that nothing is left on the platform.
    pub async fn remove(self) -> anyhow::Result<()> {
        let shared = self.shared.clone();
        self.own.remove().await?;
        ensure!(
            shared.holdings().await? == Holdings::default(),
            "left on the platform: {:?}",
            shared.holdings().await?
        );
        Ok(())
    }
}

/// Room for writers and readers.
#[must_use]
pub fn spec() -> Value {
    json!({ "limits": { "requestsPerSecond": 2000, "connections": 20 }, "retention": "1d" })
}
