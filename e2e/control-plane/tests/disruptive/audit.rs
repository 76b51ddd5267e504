//! The audit trail: what was changed by whom, and what the operator did for it, each once and never to be taken back.

use std::{collections::BTreeMap, process::Command, time::Duration};

use anyhow::{Context, ensure};
use easycode_crds::SharedPlatform;
use easycode_e2e::{
    cluster::kubeconfig,
    operator::Operator,
    own_instance::OwnInstance,
    own_platform::remove_namespace,
    platform::Platform,
    tenant::TestTenant,
    trail::{self, printed, program},
    wait::until,
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, raw_sql};

const OPERATOR: &str = "easycode-operator";
/// A program that staff use, and who used it.
const TOOL: &str = "e2e-tool";
const PERSON: &str = "ada@easycode.example";
const OTHER: &str = "grace@easycode.example";

/// The records of one object on the platform.
fn records(platform: &Platform, kind: &str, name: &str) -> anyhow::Result<Vec<Value>> {
    trail::records(["--platform", &platform.name], kind, name)
}

/// Generation, act, actor, and the operator's words.
fn told(records: &[Value]) -> Vec<(i64, String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |one: &Value| {
        (
            one["generation"].as_i64().unwrap_or_default(),
            text(&one["act"]),
            text(&one["actor"]),
            text(&one["detail"]["words"]),
        )
    };
    records.iter().map(line).collect()
}

/// Writes as the program. Times of writes have whole seconds, and what one can't tell apart is told of as unknown.
async fn write(tenant: &TestTenant, patch: Value) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let params = PatchParams { field_manager: Some(TOOL.to_owned()), ..PatchParams::default() };
    tenant.api().patch(&tenant.name, &params, &Patch::Merge(patch)).await?;
    Ok(())
}

#[tokio::test]
async fn the_life_of_a_tenant_is_told_once_and_in_order() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let operator = Operator::of(&platform.cluster);
    operator.settled().await;
    let tenant = TestTenant::create(&platform, "audit", json!({})).await?;
    operator.aim().await?;
    write(&tenant, json!({ "spec": { "entitlements": [] } })).await?;
    operator.kill().await?;
    tenant.serves(403).await;
    tenant.ready().await;
    operator.settled().await;
    let suspension = json!({ "metadata": { "annotations": { "easycode.io/changed-by": PERSON } }, "spec": { "state": "Suspended" } });
    write(&tenant, suspension).await?;
    tenant.condition("Ready", "False", "Suspended").await;
    // Whoever leads next looks at everything, and must record none of it again.
    operator.kill().await?;
    operator.settled().await;
    let confirmation = json!({ "easycode.io/changed-by": OTHER, "easycode.io/confirm-delete": tenant.name });
    write(&tenant, json!({ "metadata": { "annotations": confirmation } })).await?;
    tenant.delete_confirmed().await?;
    tenant.gone().await;

    let records = records(&platform, "Tenant", &tenant.name)?;
    let until =
        records.iter().find(|one| one["act"] == "Withdraw").context("no withdrawal")?["detail"]["words"].clone();
    let expected = [
        (1, "SpecCreated", "e2e", ""),
        (1, "CreateRole", OPERATOR, "create the tenant's role"),
        (1, "Register", OPERATOR, "register the tenant"),
        (1, "Grant", OPERATOR, "let mig_crm act as the tenant"),
        (1, "Grant", OPERATOR, "let mig_tenant_service act as the tenant"),
        (1, "Grant", OPERATOR, "let mig_user_service act as the tenant"),
        (1, "Grant", OPERATOR, "let svc_crm act as the tenant"),
        (1, "Grant", OPERATOR, "let svc_tenant_service act as the tenant"),
        (1, "Grant", OPERATOR, "let svc_user_service act as the tenant"),
        (1, "Provision", OPERATOR, "create and migrate the schema in crm"),
        (1, "Provision", OPERATOR, "create and migrate the schema in tenant-service"),
        (1, "Provision", OPERATOR, "create and migrate the schema in user-service"),
        (2, "SpecChanged", TOOL, ""),
        (2, "Revoke", OPERATOR, "stop svc_crm from acting as the tenant"),
        (2, "Withdraw", OPERATOR, until.as_str().unwrap_or_default()),
        (3, "SpecChanged", PERSON, ""),
        (3, "Revoke", OPERATOR, "stop svc_tenant_service from acting as the tenant"),
        (3, "Revoke", OPERATOR, "stop svc_user_service from acting as the tenant"),
        (4, "SpecDeleted", OTHER, ""),
        (4, "Erase", OPERATOR, "erase the schema in crm"),
        (4, "Erase", OPERATOR, "erase the schema in tenant-service"),
        (4, "Erase", OPERATOR, "erase the schema in user-service"),
        (4, "Forget", OPERATOR, "drop the tenant's role"),
    ];
    let expected: Vec<_> = expected
        .map(|(generation, act, actor, words)| (generation, act.to_owned(), actor.to_owned(), words.to_owned()))
        .into();
    ensure!(told(&records) == expected, "{:#?}", told(&records));
    let suspended = records.iter().find(|one| one["generation"] == 3).context("no third generation")?;
    ensure!(suspended["changes"] == json!([{ "path": "state", "from": "Active", "to": "Suspended" }]), "{suspended}");
    ensure!(suspended["detail"]["manager"] == TOOL, "{suspended}");

    let table = printed(&["--platform", &platform.name, "--since", "1h"])?;
    let told = |line: &str| line.contains(&format!("{PERSON} by {TOOL}")) && line.contains(&tenant.name);
    let mut lines = table.lines().skip_while(|line| !told(line));
    ensure!(lines.next().is_some_and(|line| line.ends_with("SpecChanged")), "{table}");
    ensure!(lines.next().is_some_and(|line| line.trim() == "state: Active → Suspended"), "{table}");
    Ok(())
}

#[tokio::test]
async fn versions_that_follow_each_other_at_once_are_all_told() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::apply_new(&platform, "audit", json!({})).await?;
    for users in 101..=105 {
        tenant.change(json!({ "limits": { "users": users } })).await?;
    }
    tenant.ready().await;
    let mut found = BTreeMap::new();
    for one in records(&platform, "Tenant", &tenant.name)?.iter().filter(|one| one["detail"]["spec"].is_object()) {
        let users = one["detail"]["spec"]["limits"]["users"].as_i64();
        let twice = found.insert(one["generation"].as_i64(), users);
        ensure!(twice.is_none(), "recorded twice: {one}");
    }
    let changed: BTreeMap<_, _> = (2..=6).map(|generation| (Some(generation), Some(generation + 99))).collect();
    ensure!(found.remove(&Some(1)).is_some() && found == changed, "{found:?}");
    tenant.erase().await
}

#[tokio::test]
async fn a_record_can_not_be_taken_back() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let mut operator = PgConnection::connect_with(&platform.login("postgres-operator").await?).await?;
    let count = async || -> anyhow::Result<u64> {
        Ok(platform.sql("easycode", "SELECT count(*) FROM easycode.audit WHERE actor <> 'nobody'").await?.parse()?)
    };
    let before = count().await?;
    ensure!(before > 0, "nothing is recorded");
    for statement in
        ["UPDATE easycode.audit SET actor = 'nobody'", "DELETE FROM easycode.audit", "TRUNCATE easycode.audit"]
    {
        let refused = raw_sql(statement).execute(&mut operator).await.err().context("the operator may do that")?;
        ensure!(refused.to_string().contains("append-only"), "{refused}");
        let refused = platform.sql("easycode", statement).await.err().context("the superuser may do that")?;
        ensure!(refused.to_string().contains("append-only"), "{refused}");
    }
    ensure!(count().await? >= before, "records are gone or others'");
    Ok(())
}

#[tokio::test]
async fn a_platforms_own_spec_is_told() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let api: Api<SharedPlatform> = Api::all(platform.cluster.client.clone());
    let generation = api.get(&platform.name).await?.metadata.generation;
    until("the newest spec of the platform is recorded", Duration::from_mins(1), || async {
        let records = records(&platform, "SharedPlatform", &platform.name)?;
        let own = records.iter().filter(|one| one["detail"]["spec"].is_object());
        let newest = own.filter(|one| one["generation"].as_i64() == generation).count();
        ensure!(newest == 1, "{newest} records of generation {generation:?}");
        Ok(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn the_trail_of_an_instance_that_is_gone_is_read_as_long_as_its_namespace_is_there() -> anyhow::Result<()> {
    let cluster = Platform::example().await?.cluster;
    let own = OwnInstance::apply_new(&cluster, "trail", json!({})).await?;
    own.ready().await;
    own.tenant.erase().await?;
    own.delete().await?;
    own.gone().await;
    let arguments = ["audit", "--tenant", &own.tenant.name, "-o", "json"];
    // Other tests' homes are broken on purpose: what is read is printed all the same.
    let output = Command::new(program()).args(arguments).env("KUBECONFIG", kubeconfig()).output()?;
    let records: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let acts: Vec<_> = records.iter().filter_map(|one| one["act"].as_str()).collect();
    ensure!(acts.first() == Some(&"SpecCreated") && acts.last() == Some(&"Forget"), "{acts:?}, and {output:?}");
    ensure!(records.iter().all(|one| one["home"] == own.platform.home.to_string()), "{records:?}");
    remove_namespace(&cluster, &own.namespace()).await
}
