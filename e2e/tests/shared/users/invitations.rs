//! How people come in: by links, which count once.

use anyhow::ensure;
use easycode_contract::runtime::USER_SERVICE_AUDIENCE;
use easycode_e2e::{
    operator,
    people::{self, ADMINISTRATOR, PASSWORD, Person, address, ask, follow, internal, invite_by_staff, token_in},
};
use reqwest::Method;
use serde_json::json;

use super::{answer, company, refused};

#[tokio::test]
async fn who_was_invited_follows_the_link_once_and_signs_in() -> anyhow::Result<()> {
    let (tenant, ada) = company("invited", json!({})).await?;
    let platform = &tenant.platform;
    ensure!(ada.roles()? == ["tenant-admin"], "{}", ada.claims()?);
    let invited = ada.invite("bob", &[("crm", "crm-user")]).await?;
    ensure!(invited.status == 201 && invited.body["status"] == "Invited", "{invited:?}");
    ensure!(invited.body["email"] == address("bob") && invited.body["roles"][0]["active"] == true, "{invited:?}");
    refused(&ada.invite("bob", &[]).await?, 409, "email")?;
    // Before the link is followed nobody signs in.
    let early = people::try_sign_in(platform, &tenant.name, &address("bob"), PASSWORD).await?;
    ensure!(early.status == 401, "{early:?}");

    let link = &invited.body["invitation"];
    let bob = follow(platform, &tenant.name, &address("bob"), link).await?;
    let again = json!({ "token": token_in(link)?, "password": PASSWORD });
    refused(&ask(platform, Method::POST, "/invitations/accept", Some(again)).await?, 404, "used already")?;
    ensure!(bob.roles()? == ["crm-user"], "{}", bob.claims()?);
    let me = bob.done(Method::GET, "/me", None).await?;
    ensure!(me["email"] == address("bob") && me["status"] == "Active" && me["id"] == *bob.id()?, "{me}");
    // In another case, too.
    let bob = Person::sign_in(platform, &tenant.name, &address("bob").to_uppercase()).await?;
    let contacts = bob.ask("crm", Method::GET, "/contacts", None).await?;
    ensure!(contacts.status == 200, "{contacts:?}");
    refused(&answer(&bob, Method::GET, "/users", None).await?, 403, "tenant-admin")?;
    tenant.erase().await
}

#[tokio::test]
async fn a_new_link_replaces_the_one_before_and_ends_who_else_was_signed_in() -> anyhow::Result<()> {
    let (tenant, ada) = company("links", json!({})).await?;
    let platform = &tenant.platform;
    let invited = ada.invite("bob", &[]).await?;
    let id = invited.body["id"].as_str().unwrap_or_default().to_owned();
    let path = format!("/users/{id}/invitation");
    let newer = ada.done(Method::POST, &path, None).await?;
    let old = json!({ "token": token_in(&invited.body["invitation"])?, "password": PASSWORD });
    refused(&ask(platform, Method::POST, "/invitations/accept", Some(old)).await?, 404, "replaced")?;
    let mut before = follow(platform, &tenant.name, &address("bob"), &newer).await?;

    // Who has forgotten the password gets a link, too.
    let forgotten = ada.done(Method::POST, &path, None).await?;
    follow(platform, &tenant.name, &address("bob"), &forgotten).await?;
    ensure!(before.refresh().await.is_err(), "who was signed in before still is");

    let disabled = ada.change(&id, "Disabled", &[]).await?;
    ensure!(disabled.status == 200 && disabled.body["status"] == "Disabled", "{disabled:?}");
    refused(&answer(&ada, Method::POST, &path, None).await?, 409, "disabled")?;
    tenant.erase().await
}

#[tokio::test]
async fn staff_invite_first_administrators_and_nobody_else_does() -> anyhow::Result<()> {
    let (tenant, ada) = company("staff", json!({})).await?;
    let (platform, name) = (&tenant.platform, tenant.name.as_str());
    refused(&invite_by_staff(platform, name, ADMINISTRATOR).await?, 409, "active already")?;
    refused(&invite_by_staff(platform, name, "mallory@staff.example").await?, 403, "names no such administrator")?;
    refused(&invite_by_staff(platform, "e2e-nobody", ADMINISTRATOR).await?, 404, "no such tenant")?;

    let wanted = json!({ "email": ADMINISTRATOR, "by": "Mallory" });
    let other = platform.cluster.token_of(&platform.namespace(), "crm", Some(USER_SERVICE_AUDIENCE)).await?;
    refused(&internal(platform, name, &other, &wanted).await?, 403, "client-admin-service")?;
    let audience =
        platform.cluster.token_of(operator::NAMESPACE, people::STAFF, Some("easycode-tenant-service")).await?;
    refused(&internal(platform, name, &audience, &wanted).await?, 401, "InvalidAudience")?;
    let answered = internal(platform, name, &ada.token, &wanted).await?;
    ensure!(answered.status == 401, "a user is no workload: {answered:?}");

    let trail = ada.trail().await?;
    let first = trail.first().map(|event| (event["act"].clone(), event["actor"].clone()));
    ensure!(first == Some((json!("user.invited"), json!("staff:Sam of EasyCode"))), "{trail:?}");
    tenant.erase().await
}
