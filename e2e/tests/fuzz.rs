//! The staff's console, fuzzed by its own description: whatever someone sends who may not change anything, nothing breaks and nothing is
//! changed; and whatever change someone has planned who may, it is planned or refused.

use std::collections::BTreeMap;

use anyhow::ensure;
use easycode_crds::Tenant;
use easycode_e2e::{
    cluster::Cluster,
    console::Program,
    tenant::{is_of_a_test, tenants},
};
use easycode_testing::schemathesis::{Fuzzer, Target};
use kube::{Api, ResourceExt, api::ListParams};

/// Cases an operation, unless more are asked for (`make fuzz-console`).
const EXAMPLES: u32 = 4;
/// A stream of events has no end.
const ENDLESS: &str = "/events$";
/// And what changes something: all that is left is read or planned.
const ENDLESS_OR_CHANGES: &str = "/(events|suspend|resume|invitations)$|/(tenants|instances)/[^/]+$";

/// The version of the spec of every tenant that no test has made, be it by the console.
async fn generations(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, Option<i64>>> {
    let all: Api<Tenant> = tenants(cluster);
    let all = all.list(&ListParams::default()).await?;
    let lasting = all.into_iter().filter(|tenant| !is_of_a_test(&tenant.name_any()));
    Ok(lasting.map(|tenant| (tenant.name_any(), tenant.metadata.generation)).collect())
}

#[tokio::test]
async fn the_console_breaks_under_nothing_that_is_sent_and_changes_nothing_unasked() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let before = generations(&cluster).await?;
    let mut found = Vec::new();
    for (who, without) in [("support", ENDLESS), ("operations", ENDLESS_OR_CHANGES)] {
        let program = Program::of(&cluster, who).await?;
        let target = Target {
            name: "client-admin",
            base: program.base(),
            token: program.token(),
            ids: &[],
            secrets: Vec::new(),
            without: Some(without),
        };
        found.extend(Fuzzer::thorough(EXAMPLES)?.run(&target, who).await?);
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    ensure!(generations(&cluster).await? == before, "tenants were changed");
    Ok(())
}
