//! Tenants that move between the shared platform and an instance of their own: with all that services keep, and what someone who
//! only has what is in the instance's namespace gets by it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use easycode_crds::tenant::MovePhase;
use easycode_e2e::{
    moves::{MOVE_TIMEOUT, Mover, spec},
    platform::Platform,
    tenant::TestTenant,
    wait::until,
};
use easycode_operator::kubernetes::labels;
use k8s_openapi::api::{batch::v1::Job, core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

/// Longest time until the operator has looked at a server.
const SURVEY_TIMEOUT: Duration = Duration::from_mins(2);

/// User and password.
type Login = (String, String);

/// Every login that someone finds in the Secrets of a namespace, whatever it is for.
async fn logins_in(platform: &Platform) -> anyhow::Result<Vec<Login>> {
    let secrets: Api<Secret> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let mut logins = Vec::new();
    for secret in secrets.list(&ListParams::default()).await? {
        let fields = secret.data.unwrap_or_default().into_iter();
        let fields: BTreeMap<_, _> =
            fields.map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned())).collect();
        logins.extend(fields.get("user").cloned().zip(fields.get("password").cloned()));
        for text in fields.values() {
            let users = values_of("user=", text).zip(values_of("password=", text));
            logins.extend(users.map(|(user, password)| (user.to_owned(), password.to_owned())));
        }
    }
    Ok(logins)
}

/// The rest of each line that begins so, as in a file of Postgres' services.
fn values_of<'a>(key: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix(key))
}

/// A session that keeps whoever dumps the tenant's contacts on the platform waiting, until it is closed.
async fn hold_dump(mover: &Mover) -> anyhow::Result<PgConnection> {
    let login = mover.shared.platform.login("database-mig-crm").await?;
    let mut session = PgConnection::connect_with(&login).await?;
    let role = mover.shared.role();
    let lock = format!("BEGIN; SET ROLE {role}; LOCK TABLE {role}.contact IN ACCESS EXCLUSIVE MODE");
    raw_sql(AssertSqlSafe(lock)).execute(&mut session).await?;
    Ok(session)
}

/// Waits until the copy's Job has its logins.
async fn copy_begins(mover: &Mover) -> Job {
    let client = mover.own.platform.cluster.client.clone();
    let namespace = mover.own.namespace();
    let prefix = format!("move-{}", mover.shared.name);
    until("the copy has its logins", MOVE_TIMEOUT, || async {
        let secrets = Api::<Secret>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await?;
        ensure!(secrets.iter().any(|one| one.name_any().starts_with(&prefix)), "no Secret yet");
        let jobs = Api::<Job>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await?;
        jobs.into_iter().find(|one| one.name_any().starts_with(&prefix)).context("no Job yet")
    })
    .await
}

#[tokio::test]
async fn what_is_in_an_instances_namespace_during_a_move_reads_no_other_tenant() -> anyhow::Result<()> {
    let mover = Mover::create("lent").await?;
    let shared = &mover.shared.platform;
    let neighbour = TestTenant::apply_new(shared, "neighbour", json!({})).await?;
    neighbour.ready().await;
    let held = hold_dump(&mover).await?;
    mover.go().await?;
    let job = copy_begins(&mover).await;
    let image = job.spec.and_then(|spec| spec.template.spec).and_then(|pod| pod.containers[0].image.clone());
    ensure!(image.as_deref() == Some("postgres:18"), "the copy runs {image:?}, and not the operator's image");

    let (own, other) = (mover.shared.role(), neighbour.role());
    let server = shared.login("postgres-operator").await?;
    let mut opened = Vec::new();
    for (user, password) in logins_in(&mover.own.platform).await? {
        for database in ["crm", "tenant_service", "user_service"] {
            let options = server.clone().username(&user).password(&password).database(database);
            let Ok(mut session) = PgConnection::connect_with(&options).await else { continue };
            opened.push(user.clone());
            // Not even as the tenant itself, from whose schema people are served meanwhile.
            let attacks = [
                format!("SET ROLE {other}"),
                format!("TABLE {other}.contact"),
                "SET ROLE mig_crm".to_owned(),
                format!("SET ROLE {own}"),
            ];
            for attack in attacks {
                let refused = raw_sql(AssertSqlSafe(attack.clone())).execute(&mut session).await.is_err();
                ensure!(refused, "{user} of the instance's namespace may say {attack} on {}", shared.home);
            }
        }
    }
    ensure!(!opened.is_empty(), "no login of the copy was tried");

    held.close().await?;
    mover.arrives(&mover.own.platform.home).await?;
    mover.left_no_tools().await?;
    neighbour.erase().await?;
    mover.remove().await
}

#[tokio::test]
async fn a_tenant_moves_forth_and_back_with_all_services() -> anyhow::Result<()> {
    let mut all = spec();
    let services = ["crm", "finance", "inventory", "procurement", "pos"];
    all["entitlements"] = services.map(|service| json!({ "service": service })).to_vec().into();
    let mover = Mover::create_as("everything", all.clone()).await?;
    let made = mover.shared.add_contact("Moved").await?;
    mover.own.tenant.apply(all.clone()).await?;
    mover.arrives(&mover.own.platform.home).await?;
    let relocation = mover.reaches(MovePhase::Done).await;
    ensure!(services.iter().all(|one| relocation.services.iter().any(|moved| moved == one)), "{relocation:?}");
    let rows = format!("SELECT count(*) FROM {}.contact WHERE id = '{made}'", mover.shared.role());
    ensure!(mover.own.platform.sql("crm", &rows).await? == "1", "the contact did not come along");
    mover.shared.apply(all).await?;
    mover.arrives(&mover.shared.platform.home).await?;
    ensure!(mover.shared.platform.sql("crm", &rows).await? == "1", "the contact did not come back");
    mover.left_no_tools().await?;
    mover.remove().await
}

#[tokio::test]
async fn a_copy_with_code_in_it_gets_into_no_platform() -> anyhow::Result<()> {
    let mover = Mover::create("planted").await?;
    let role = mover.shared.role();
    let plant = format!(
        "CREATE FUNCTION {role}.evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RESET ROLE; RETURN NEW; END'; \
         CREATE TRIGGER evil BEFORE INSERT ON {role}.contact FOR EACH ROW EXECUTE FUNCTION {role}.evil(); \
         ALTER FUNCTION {role}.evil() OWNER TO {role}"
    );
    mover.go().await?;
    let own = &mover.own.platform;
    mover.arrives(&own.home).await?;
    mover.reaches(MovePhase::Done).await;
    own.sql("crm", &plant).await?;
    mover.come_back().await?;
    let failed = mover.reaches(MovePhase::Failed).await;
    let told = failed.message.unwrap_or_default();
    ensure!(told.contains("the copy of crm is not as its migrations make it") && told.contains("evil"), "{told}");
    mover.left_no_tools().await?;
    own.sql("crm", &format!("DROP FUNCTION {role}.evil() CASCADE")).await?;
    mover.go().await?;
    mover.arrives(&own.home).await?;
    mover.remove().await
}

#[tokio::test]
async fn a_login_that_a_copy_has_left_is_dropped() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let login = platform.login("postgres-operator").await?;
    let mut session = PgConnection::connect_with(&login).await?;
    raw_sql(
        "CREATE ROLE copy_long_gone LOGIN NOINHERIT PASSWORD 'known'; GRANT CONNECT ON DATABASE crm TO copy_long_gone",
    )
    .execute(&mut session)
    .await?;
    session.close().await?;
    until("the login is dropped", SURVEY_TIMEOUT, || async {
        let count = platform.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'copy_long_gone'").await?;
        ensure!(count == "0", "it is still there");
        Ok(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn passwords_of_migrations_that_may_have_been_lent_are_renewed_once() -> anyhow::Result<()> {
    let mover = Mover::create("renewed").await?;
    let own = &mover.own.platform;
    let before = own.login("database-mig-crm").await?;
    let mut lent = PgConnection::connect_with(&before).await?;
    let secrets: Api<Secret> = Api::namespaced(own.cluster.client.clone(), &own.namespace());
    // As an operator before left it.
    let forget = json!({ "metadata": { "annotations": { labels::LOGIN_GENERATION: null } } });
    secrets.patch("database-mig-crm", &PatchParams::default(), &Patch::Merge(forget)).await?;
    until("the password is renewed", SURVEY_TIMEOUT, || async {
        let secret = secrets.get("database-mig-crm").await?;
        ensure!(secret.annotations().contains_key(labels::LOGIN_GENERATION), "not yet");
        Ok(())
    })
    .await;
    ensure!(PgConnection::connect_with(&before).await.is_err(), "the password of before opens a session");
    ensure!(raw_sql("SELECT 1").execute(&mut lent).await.is_err(), "a session of before goes on");
    let after = own.login("database-mig-crm").await?;
    PgConnection::connect_with(&after).await?.close().await?;
    mover.remove().await
}
