//! Instances and a platform side by side: none knows another's secrets, and none waits for another's trouble.

use anyhow::{Context, ensure};
use easycode_e2e::{own_instance::OwnInstance, platform::Platform, reach::reach, tenant::TestTenant, tokens};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::cluster;

#[tokio::test]
async fn two_instances_and_a_platform_share_no_password_no_tenant_and_no_way() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let platform = Platform::example().await?;
    let (one, other) = tokio::try_join!(
        OwnInstance::apply_new(&cluster, "one", json!({})),
        OwnInstance::apply_new(&cluster, "other", json!({})),
    )?;
    let shared = TestTenant::create(&platform, "beside", json!({})).await?;
    tokio::join!(one.ready(), other.ready());
    for (tenant, name) in [(&one.tenant, "Lovelace"), (&other.tenant, "Hopper"), (&shared, "Curie")] {
        tenant.add_contact(name).await?;
    }
    for (tenant, name) in [(&one.tenant, "Lovelace"), (&other.tenant, "Hopper"), (&shared, "Curie")] {
        let answer = tenant.serves(200).await;
        let items = answer.body["items"].as_array().context("no items")?;
        ensure!(items.len() == 1 && items[0]["familyName"] == name, "{answer:?}");
    }

    // A token is worth nothing where its tenant does not live, though all trust the same issuer.
    let homes = [&one.platform, &other.platform, &platform];
    let tenants = [&one.tenant, &other.tenant, &shared];
    for (at, home) in homes.iter().enumerate() {
        for (of, tenant) in tenants.iter().enumerate().filter(|(of, _)| *of != at) {
            let token = tokens::token(&tenant.name, &["crm-user"])?;
            let answer = home.ask("crm", Method::GET, "/contacts", &token, None).await?;
            ensure!(answer.status == 403, "tenant {of} was answered at {at}: {answer:?}");
        }
    }
    // Nor is a password.
    for secret in ["postgres-operator", "database-svc-crm", "database-mig-crm"] {
        for from in &homes {
            for to in homes.iter().filter(|to| to.namespace() != from.namespace()) {
                let address = reach(&cluster, &to.namespace(), "postgres", 5432).await?;
                let login = from.login(secret).await?.host(&address.ip().to_string()).port(address.port());
                let outcome = PgConnection::connect_with(&login).await;
                ensure!(outcome.is_err(), "{secret} of {} opens the Postgres of {}", from.home, to.home);
            }
        }
    }
    shared.erase().await?;
    tokio::try_join!(one.remove(), other.remove())?;
    Ok(())
}
