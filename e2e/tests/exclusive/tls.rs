//! Nobody talks to Postgres in the clear, and its certificate is checked.

use anyhow::{Context, ensure};
use easycode_e2e::{
    cluster::Cluster,
    own_platform::OwnPlatform,
    platform::{EXAMPLE, Platform},
    tenant::TestTenant,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

/// A field of the Secret that CRM's pods mount.
async fn field(platform: &Platform, key: &str) -> anyhow::Result<String> {
    let secrets: Api<Secret> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let data = secrets.get("database-svc-crm").await?.data.context("an empty Secret")?;
    Ok(String::from_utf8(data.get(key).with_context(|| format!("no {key}"))?.0.clone())?)
}

async fn refused(login: &PgConnectOptions, because: &str) -> anyhow::Result<()> {
    let refusal = PgConnection::connect_with(login).await.err().with_context(|| format!("not refused: {because}"))?;
    ensure!(refusal.to_string().contains(because), "refused for something else than {because}: {refusal}");
    Ok(())
}

#[tokio::test]
async fn every_connection_is_encrypted_and_the_certificate_is_checked() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let example = Platform::of(cluster.clone(), EXAMPLE);
    let own = OwnPlatform::apply_new(&cluster, "tls", json!({})).await?;
    own.ready().await;
    let platform = &own.platform;
    let tenant = TestTenant::create(platform, "tls", json!({})).await?;
    tenant.serves(200).await;

    // The services themselves check name and authority.
    ensure!(field(platform, "sslmode").await? == "verify-full", "the services do not check the server");
    let sessions = "SELECT usename, ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                    WHERE client_addr IS NOT NULL ORDER BY 1";
    let sessions = platform.sql("postgres", sessions).await?;
    ensure!(sessions.contains("svc_crm|t|TLSv1.") && sessions.contains("easycode_operator|t|TLSv1."), "{sessions}");
    ensure!(!sessions.contains("|f|"), "not all are encrypted: {sessions}");

    // From elsewhere the name differs; all but that is as in a service.
    let login = platform.login_of("crm").await?;
    PgConnection::connect_with(&login).await?.close().await?;
    refused(&login.clone().ssl_mode(PgSslMode::Disable), "no encryption").await?;
    refused(&login.clone().ssl_mode(PgSslMode::VerifyFull), "not valid for name").await?;
    let stranger = field(&example, "ca.crt").await?;
    refused(&login.clone().ssl_root_cert_from_pem(stranger.into_bytes()), "UnknownIssuer").await?;
    refused(&login.username("postgres"), "pg_hba.conf rejects").await?;
    tenant.erase().await?;
    own.remove().await
}
