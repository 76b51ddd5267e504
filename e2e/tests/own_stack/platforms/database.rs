//! A platform on a Postgres that someone else runs.

use anyhow::{Context, ensure};
use easycode_e2e::{
    cluster::Cluster,
    elsewhere::{Elsewhere, external},
    operator::NAMESPACE,
    own_platform::OwnPlatform,
    platform::Platform,
    tenant::{TestTenant, fresh_name},
};
use serde_json::json;

use super::{crm_is_mended, crm_of, says};

#[tokio::test]
async fn an_external_database_serves_once_its_secret_is_right_and_until_then_it_is_told_what_is_wrong()
-> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let elsewhere = Elsewhere::start(&cluster).await?;
    let secret = fresh_name("secret");
    let own = OwnPlatform::apply_new(&cluster, "ext", external(&secret)).await?;

    let told = own.condition("DatabaseReady", "False", "SecretInvalid").await;
    ensure!(told.contains(&format!("{NAMESPACE}/{secret}")) && told.contains("does not exist"), "{told}");

    let mut fields = elsewhere.fields();
    fields.as_object_mut().context("fields")?.remove("password");
    elsewhere.secret(&secret, &fields).await?;
    says(&own, "DatabaseReady", "SecretInvalid", "key password is missing").await;

    fields["password"] = "wrong".into();
    elsewhere.secret(&secret, &fields).await?;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "password authentication failed").await;

    fields["password"] = "right".into();
    fields["host"] = format!("nowhere.{}.svc", elsewhere.namespace()).into();
    elsewhere.secret(&secret, &fields).await?;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "does not answer").await;

    elsewhere.secret(&secret, &elsewhere.fields()).await?;
    own.ready().await;
    let tenant = TestTenant::create(&own.platform, "ext", json!({})).await?;
    tenant.serves(200).await;
    tenant.add_contact("Lovelace").await?;
    tenant.erase().await?;
    own.remove().await?;
    elsewhere.remove(&secret).await
}

#[tokio::test]
async fn what_serves_is_mended_while_the_operator_can_not_log_in() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let elsewhere = Elsewhere::start(&cluster).await?;
    let secret = fresh_name("secret");
    elsewhere.secret(&secret, &elsewhere.fields()).await?;
    let own = OwnPlatform::apply_new(&cluster, "ext", external(&secret)).await?;
    own.ready().await;
    let tenant = TestTenant::create(&own.platform, "ext", json!({})).await?;
    tenant.serves(200).await;

    let ran = crm_of(&own.platform).await?;
    let mut fields = elsewhere.fields();
    fields["password"] = "wrong".into();
    elsewhere.secret(&secret, &fields).await?;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "password authentication failed").await;
    crm_is_mended(&own.platform, &ran).await?;
    tenant.serves(200).await;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "password authentication failed").await;

    elsewhere.secret(&secret, &elsewhere.fields()).await?;
    own.ready().await;
    tenant.erase().await?;
    own.remove().await?;
    elsewhere.remove(&secret).await
}

#[tokio::test]
async fn a_secret_where_the_operator_may_not_read_is_refused_with_the_places_where_it_may() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let spec = json!({ "database": {
        "provider": "External", "external": { "secretRef": { "namespace": "kube-system", "name": "any" } },
    } });
    let own = OwnPlatform::apply_new(&cluster, "ext", spec).await?;
    let told = own.condition("DatabaseReady", "False", "SecretInvalid").await;
    ensure!(told.contains(NAMESPACE) && told.contains(&own.platform.namespace()), "{told}");
    own.remove().await
}
