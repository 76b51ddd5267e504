//! The business services, over HTTP, as the people of a company use them: each by itself, and together.

mod finance;
mod inventory;
mod pos;
mod procurement;
mod story;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use easycode_crds::Duration;
use easycode_operator::cli::token;
use easycode_testing::{Answer, Platform, TestTenant, tokens};
use reqwest::Method;
use serde_json::{Value, json};

/// Everything that a company can buy.
fn everything() -> Value {
    json!({ "entitlements": [
        { "service": "crm", "modules": ["campaigns"] },
        { "service": "finance", "modules": ["invoicing", "ledger"] },
        { "service": "inventory", "modules": ["warehousing", "lots"] },
        { "service": "pos", "modules": ["loyalty"] },
        { "service": "procurement", "modules": ["approvals"] },
    ] })
}

/// Everything but a service.
fn everything_but(service: &str) -> Value {
    let mut bought = everything();
    if let Some(all) = bought["entitlements"].as_array_mut() {
        all.retain(|one| one["service"] != service);
    }
    bought
}

/// A company that has bought everything.
async fn company(what: &str) -> anyhow::Result<TestTenant> {
    TestTenant::create(&Platform::start().await?, what, everything()).await
}

/// Someone who works for a company.
struct Person<'a> {
    company: &'a TestTenant,
    name: &'a str,
    token: String,
}

impl<'a> Person<'a> {
    fn new(company: &'a TestTenant, name: &'a str, roles: &[&str]) -> anyhow::Result<Self> {
        let roles: BTreeSet<_> = roles.iter().map(|role| (*role).to_owned()).collect();
        let key = token::read(&tokens::key())?;
        let token = token::sign(&key, tokens::ISSUER, &company.name, name, &roles, Duration::from_secs(3600))?;
        Ok(Self { company, name, token })
    }

    /// The answer, whatever it is.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>, key: Option<&str>) -> anyhow::Result<Answer> {
        let (service, path) = path.split_once('/').context("a path begins with the service")?;
        let request = self.company.platform.request(service, method, &format!("/{path}")).await?;
        let mut request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Answer::of(request).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.ask(Method::GET, path, None, None).await?;
        ensure!(answer.status == 200, "{} may not read {path}: {answer:?}", self.name);
        Ok(answer.body)
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.done(self.ask(Method::POST, path, Some(body), None).await?, path)
    }

    async fn put(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.done(self.ask(Method::PUT, path, Some(body), None).await?, path)
    }

    fn done(&self, answer: Answer, path: &str) -> anyhow::Result<Value> {
        ensure!((200..300).contains(&answer.status), "{} may not do {path}: {answer:?}", self.name);
        Ok(answer.body)
    }

    /// As an administrator: makes settings of a service, and waits until they are in force.
    async fn configure(&self, service: &str, settings: Value) -> anyhow::Result<()> {
        self.put(&format!("tenant-service/settings/{service}"), settings.clone()).await?;
        self.company.platform.settings_published(&self.company.name, service, &settings).await;
        Ok(())
    }

    /// Expects a refusal that says why.
    async fn refused(&self, method: Method, path: &str, body: Value, status: u16, why: &str) -> anyhow::Result<()> {
        let answer = self.ask(method, path, Some(body), None).await?;
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        ensure!(
            answer.status == status && detail.contains(why),
            "{path} was to be refused by {status} {why:?}: {answer:?}"
        );
        Ok(())
    }
}

/// What an account stands at.
async fn balance(reader: &Person<'_>, account: &str) -> anyhow::Result<String> {
    let balances = reader.get("finance/trial-balance").await?;
    let of = balances.as_array().into_iter().flatten().find(|one| one["account"] == account);
    Ok(of.and_then(|one| one["balance"].as_str()).unwrap_or("0.00").to_owned())
}

/// Accounts that must have moved stand at something in the currency, each at its debits less its credits, and debits and credits are
/// equal over all accounts in each currency.
async fn books_balance(reader: &Person<'_>, currency: &str, moved: &[&str]) -> anyhow::Result<()> {
    let balances = reader.get("finance/trial-balance").await?;
    let all = balances.as_array().context("no balances")?;
    for one in all {
        let less = cents(&one["debit"])? - cents(&one["credit"])?;
        ensure!(cents(&one["balance"])? == less, "it is no balance: {one}");
    }
    for account in moved {
        let of = all.iter().filter(|one| one["account"] == *account).map(|one| (&one["currency"], &one["balance"]));
        ensure!(sums(of)?.contains_key(currency), "{account} has not moved in {currency}: {balances}");
    }
    let left = sums(all.iter().map(|one| (&one["currency"], &one["balance"])))?;
    ensure!(left.is_empty(), "the books don't balance by {left:?} cents: {balances}");
    Ok(())
}

/// What an account stands at in a currency.
async fn balance_in(reader: &Person<'_>, account: &str, currency: &str) -> anyhow::Result<String> {
    let balances = reader.get("finance/trial-balance").await?;
    let mut all = balances.as_array().into_iter().flatten();
    let of = all.find(|one| one["account"] == account && one["currency"] == currency);
    Ok(of.and_then(|one| one["balance"].as_str()).unwrap_or("0.00").to_owned())
}

/// What Finance has on the account of stock is what Inventory says that the stock is worth, in each currency. Nothing but what the
/// services tell each other makes that so.
async fn books_agree_with_stock(reader: &Person<'_>) -> anyhow::Result<()> {
    let balances = reader.get("finance/trial-balance").await?;
    let booked = balances.as_array().into_iter().flatten().filter(|one| one["account"] == "1200");
    let booked = sums(booked.map(|one| (&one["currency"], &one["balance"])))?;
    let stock = reader.get("inventory/stock").await?;
    ensure!(stock["next"].is_null(), "more is in stock than one page shows");
    let there = stock["items"].as_array().into_iter().flatten();
    let there = sums(there.map(|one| (&one["currency"], &one["value"])))?;
    ensure!(booked == there, "stock is booked at {booked:?} cents, and worth {there:?}: {balances} {stock}");
    Ok(())
}

/// Sums in cents by currency, but for those of nothing. What has no currency is in euros.
fn sums<'a>(all: impl Iterator<Item = (&'a Value, &'a Value)>) -> anyhow::Result<BTreeMap<String, i64>> {
    let mut sums = BTreeMap::new();
    for (currency, amount) in all {
        *sums.entry(currency.as_str().unwrap_or("EUR").to_owned()).or_default() += cents(amount)?;
    }
    sums.retain(|_, sum| *sum != 0);
    Ok(sums)
}

fn cents(amount: &Value) -> anyhow::Result<i64> {
    let cents = amount.as_str().and_then(|text| text.replace('.', "").parse().ok());
    cents.with_context(|| format!("{amount} is no amount"))
}

/// How much is in stock of an item in the main warehouse, and what it is worth.
async fn in_stock(reader: &Person<'_>, sku: &str) -> anyhow::Result<(String, String)> {
    let stock = reader.get("inventory/stock").await?;
    let of =
        stock["items"].as_array().into_iter().flatten().find(|one| one["sku"] == sku && one["warehouse"] == "MAIN");
    let text = |field: &str| of.and_then(|one| one[field].as_str()).unwrap_or("0").to_owned();
    Ok((text("quantity"), text("value")))
}
