//! A platform on a Postgres that someone else runs.

use anyhow::{Context, ensure};
use easycode_e2e::{
    cluster::Cluster,
    elsewhere::external,
    operator::{DATABASE_SECRETS, NAMESPACE},
    own_platform::OwnPlatform,
    platform::Platform,
    postgres,
    tenant::{TestTenant, fresh_name},
};
use easycode_test_postgres::PostgresServer;
use serde_json::{Value, json};

use super::{crm_is_mended, crm_of, says};

#[tokio::test]
async fn an_external_database_serves_once_its_secret_is_right_and_until_then_it_is_told_what_is_wrong()
-> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let server = PostgresServer::start().await?;
    let right = postgres::fields(&server);
    let secret = fresh_name("secret");
    let write = async |fields: &Value| postgres::write_secret(&cluster, &secret, &server, fields).await;
    let own = OwnPlatform::apply_new(&cluster, "ext", external(&secret)).await?;

    let told = own.condition("DatabaseReady", "False", "SecretInvalid").await;
    ensure!(told.contains(&format!("{DATABASE_SECRETS}/{secret}")) && told.contains("does not exist"), "{told}");

    let mut fields = right.clone();
    fields.as_object_mut().context("fields")?.remove("password");
    write(&fields).await?;
    says(&own, "DatabaseReady", "SecretInvalid", "key password is missing").await;

    fields["password"] = "wrong".into();
    write(&fields).await?;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "password authentication failed").await;

    fields["password"] = right["password"].clone();
    fields["host"] = "nowhere.invalid".into();
    write(&fields).await?;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "does not answer").await;

    write(&right).await?;
    own.ready().await;
    let tenant = TestTenant::create(&own.platform, "ext", json!({})).await?;
    tenant.serves(200).await;
    tenant.add_contact("Lovelace").await?;
    tenant.erase().await?;
    own.remove().await
}

#[tokio::test]
async fn what_serves_is_mended_while_the_operator_can_not_log_in() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let server = PostgresServer::start().await?;
    let right = postgres::fields(&server);
    let secret = fresh_name("secret");
    let write = async |fields: &Value| postgres::write_secret(&cluster, &secret, &server, fields).await;
    write(&right).await?;
    let own = OwnPlatform::apply_new(&cluster, "ext", external(&secret)).await?;
    own.ready().await;
    let tenant = TestTenant::create(&own.platform, "ext", json!({})).await?;
    tenant.serves(200).await;

    let ran = crm_of(&own.platform).await?;
    let mut fields = right.clone();
    fields["password"] = "wrong".into();
    write(&fields).await?;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "password authentication failed").await;
    crm_is_mended(&own.platform, &ran).await?;
    tenant.serves(200).await;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "password authentication failed").await;

    write(&right).await?;
    own.ready().await;
    tenant.erase().await?;
    own.remove().await
}

#[tokio::test]
async fn a_secret_where_the_operator_may_not_read_is_refused_with_the_places_where_it_may() -> anyhow::Result<()> {
    let example = Platform::example().await?;
    // Of the cluster, of the console, and the database of another platform.
    for (namespace, name) in [
        ("kube-system", "any"),
        (NAMESPACE, "easycode-client-admin-session"),
        (&*example.namespace(), "postgres-operator"),
    ] {
        let spec = json!({ "database": {
            "provider": "External", "external": { "secretRef": { "namespace": namespace, "name": name } },
        } });
        let own = OwnPlatform::apply_new(&example.cluster, "ext", spec).await?;
        let told = own.condition("DatabaseReady", "False", "SecretInvalid").await;
        ensure!(told.contains(DATABASE_SECRETS) && told.contains(&own.platform.namespace()), "{told}");
        own.remove().await?;
    }
    Ok(())
}
