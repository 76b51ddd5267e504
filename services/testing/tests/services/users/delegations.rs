//! What a service does in others on a person's behalf, and the person by themselves does not.

use anyhow::{Context, ensure};
use easycode_contract::{
    delegation::DELEGATIONS_PATH,
    runtime::{TENANT_SERVICE_AUDIENCE, USER_SERVICE, USER_SERVICE_AUDIENCE},
};
use easycode_testing::people::{Person, claims, delegation};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{company, refused, shop};

/// Has someone do something that they may.
async fn does(person: &Person, method: Method, service: &str, path: &str, body: Value) -> anyhow::Result<Value> {
    let body = (!body.is_null()).then_some(body);
    let answer = person.ask(service, method, path, body).await?;
    ensure!((200..300).contains(&answer.status), "{} may not do {service}{path}: {answer:?}", person.email);
    Ok(answer.body)
}

#[tokio::test]
async fn a_cashiers_sale_moves_stock_and_books_which_the_cashier_may_not() -> anyhow::Result<()> {
    let (_, ada) = company("lent", shop()).await?;
    let keeps = [("inventory", "inventory-manager"), ("finance", "finance-manager"), ("pos", "pos-manager")];
    let ines = ada.add("ines", &keeps).await?;
    let kim = ada.add("kim", &[("pos", "pos-cashier")]).await?;
    ensure!(kim.roles()? == ["pos-cashier"], "{:?}", kim.roles()?);
    does(&ines, Method::POST, "inventory", "/items", json!({ "sku": "BREAD", "name": "Bread" })).await?;
    let bread = json!({ "lines": [{ "sku": "BREAD", "quantity": "10", "unitCost": "2.00" }] });
    does(&ines, Method::POST, "inventory", "/receipts", bread.clone()).await?;
    let register = json!({ "name": "Front", "currency": "EUR" });
    does(&ines, Method::PUT, "pos", "/registers/FRONT", register).await?;
    let shift = json!({ "register": "FRONT", "float": "50.00" });
    let shift = does(&kim, Method::POST, "pos", "/shifts", shift).await?["id"].clone();

    let sale = json!({ "shiftId": shift, "payment": "Cash", "lines": [
        { "sku": "BREAD", "description": "Bread", "quantity": "2", "unitPrice": "5.35", "taxRate": "7" },
    ] });
    let sold = does(&kim, Method::PUT, "pos", &format!("/sales/{}", Uuid::now_v7()), sale).await?;
    let deliveries = sold["deliveries"].as_array().context("no deliveries")?;
    ensure!(deliveries.len() == 3 && deliveries.iter().all(|one| one["state"] == "Done"), "{sold}");
    let stock = does(&ines, Method::GET, "inventory", "/stock", Value::Null).await?;
    ensure!(stock["items"][0]["quantity"] == "8", "{stock}");
    let balances = does(&ines, Method::GET, "finance", "/trial-balance", Value::Null).await?;
    let cash = balances.as_array().into_iter().flatten().find(|one| one["account"] == "1000");
    ensure!(cash.is_some_and(|cash| cash["balance"] == "10.70"), "{balances}");

    let entry = json!({ "description": "Bonus", "currency": "EUR", "lines": [
        { "account": "6000", "debit": "1.00" }, { "account": "1000", "credit": "1.00" },
    ] });
    let issue = json!({ "lines": [{ "sku": "BREAD", "quantity": "1" }] });
    for (method, service, path, body) in [
        (Method::POST, "finance", "/entries", Some(entry)),
        (Method::GET, "finance", "/entries", None),
        (Method::GET, "finance", "/trial-balance", None),
        (Method::POST, "inventory", "/receipts", Some(bread)),
        (Method::POST, "inventory", "/issues", Some(issue)),
        (Method::GET, "inventory", "/stock", None),
    ] {
        let answer = kim.ask(service, method.clone(), path, body).await?;
        ensure!((answer.status, answer.code()) == (403, "role-required"), "{method} {service}{path}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_delegation_says_what_the_person_may_and_what_the_service_takes_elsewhere_and_no_more() -> anyhow::Result<()>
{
    let spec = json!({ "entitlements": [{ "service": "pos" }, { "service": "inventory" }] });
    let (tenant, ada) = company("delegated", spec).await?;
    let platform = &tenant.platform;
    let kim = ada.add("kim", &[("pos", "pos-cashier")]).await?;
    let own = kim.claims()?;
    for (service, roles) in [("pos", json!(["pos-cashier", "stock-mover"])), ("inventory", json!(["pos-cashier"]))] {
        let account = platform.workload_token(platform.namespace(), service, TENANT_SERVICE_AUDIENCE)?;
        let given = delegation(platform, Some(&account), &kim.token).await?;
        ensure!(given.status == 200, "{given:?}");
        let token = given.body["accessToken"].as_str().context("no token")?;
        let said = claims(token)?;
        ensure!(said["roles"] == roles && said["act"] == json!({ "sub": service }), "{said}");
        for same in ["iss", "aud", "sub", "tenant", "sid"] {
            ensure!(said[same] == own[same], "{same}: {said} is not {own}");
        }
        ensure!(said["exp"].as_u64() <= own["exp"].as_u64(), "it outlives the person's own: {said}");
        let accepted = platform.ask("inventory", Method::GET, "/stock", token, None).await?;
        ensure!(accepted.status == if service == "pos" { 200 } else { 403 }, "{service}: {accepted:?}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_but_a_service_of_the_company_is_given_a_delegation() -> anyhow::Result<()> {
    let (tenant, ada) = company("undelegated", json!({ "entitlements": [{ "service": "pos" }] })).await?;
    let platform = &tenant.platform;
    let kim = ada.add("kim", &[("pos", "pos-cashier")]).await?;
    let of = |account: &str, audience: &str| platform.workload_token(platform.namespace(), account, audience);
    let pos = of("pos", TENANT_SERVICE_AUDIENCE)?;

    refused(&delegation(platform, None, &kim.token).await?, 401, "service account")?;
    refused(&delegation(platform, Some(&kim.token), &kim.token).await?, 401, "not acceptable")?;
    let other_audience = of("pos", USER_SERVICE_AUDIENCE)?;
    refused(&delegation(platform, Some(&other_audience), &kim.token).await?, 401, "InvalidAudience")?;
    let foreign = platform.workload_token("elsewhere", "pos", TENANT_SERVICE_AUDIENCE)?;
    let foreign = delegation(platform, Some(&foreign), &kim.token).await?;
    ensure!((foreign.status, foreign.code()) == (403, "foreign-service"), "{foreign:?}");
    // Neither one that the company has not bought, nor an account that is of no service.
    for account in ["crm", "default"] {
        let answer = delegation(platform, Some(&of(account, TENANT_SERVICE_AUDIENCE)?), &kim.token).await?;
        ensure!((answer.status, answer.code()) == (403, "not-entitled"), "{account}: {answer:?}");
    }
    for nobody in ["", "x", &pos, &kim.refresh_token] {
        refused(&delegation(platform, Some(&pos), nobody).await?, 422, "subjectToken")?;
    }
    // What an ingress leads to is below `/user/`, and it is not there.
    let answer = platform.ask(USER_SERVICE, Method::POST, &format!("/..{DELEGATIONS_PATH}"), &pos, None).await?;
    ensure!(answer.status == 404, "{answer:?}");
    Ok(())
}
