//! What the clerk does: buys, receives, sells, and looks at the books.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_e2e::{people::Person, wait::until};
use easycode_operator::stack::home::Home;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::people::{HEADING, People, ask, does};

/// A change of what the company has bought or set reaches its services within a second; this is for a machine that is busy.
const SOON: Duration = Duration::from_secs(10);

/// A shop that sells cloth.
pub struct Shop {
    shift: Value,
    order: String,
    last_sale: Uuid,
    /// What the last sale was of.
    sold: Value,
}

impl Shop {
    /// The clerk makes what a shop needs.
    pub async fn open(rita: &Person) -> anyhow::Result<Self> {
        let register = json!({ "name": "Quay", "currency": "EUR" });
        does(rita, Method::PUT, "pos/registers/QUAY", register).await?;
        let shift = json!({ "register": "QUAY", "float": "100.00" });
        let shift = does(rita, Method::POST, "pos/shifts", shift).await?["id"].clone();
        let item = json!({ "sku": "CLOTH", "name": "Cloth", "unit": "m" });
        does(rita, Method::POST, "inventory/items", item).await?;
        Ok(Self { shift, order: String::new(), last_sale: Uuid::nil(), sold: Value::Null })
    }

    /// The clerk asks for cloth, the director approves as the company's workflow wants it, and the clerk orders.
    pub async fn buy(&mut self, people: &People) -> anyhow::Result<()> {
        let rita = &people.rita;
        let supplier = does(rita, Method::POST, "procurement/suppliers", json!({ "name": "Weavers" })).await?;
        let wanted = json!({ "title": "Cloth", "currency": "EUR",
            "lines": [{ "sku": "CLOTH", "description": "Cloth", "quantity": "40", "unitPrice": "3.50" }] });
        let id = until("the workflow asks for the director", SOON, || async {
            let asked = does(rita, Method::POST, "procurement/requisitions", wanted.clone()).await?;
            let requisition = format!("procurement/requisitions/{}", asked["id"].as_str().context("no id")?);
            let asked = does(rita, Method::POST, &format!("{requisition}/submission"), json!({})).await?;
            ensure!(asked["status"] == "Submitted", "{asked}");
            Ok(asked["id"].clone())
        })
        .await;
        let decision = format!("procurement/requisitions/{}/decision", id.as_str().context("no id")?);
        let own = ask(rita, Method::POST, &decision, Some(json!({ "approve": true }))).await?;
        ensure!(own.status == 403, "the clerk approves what she has asked for: {own:?}");
        let order = json!({ "requisitionId": id, "supplierId": supplier["id"] });
        let early = ask(rita, Method::POST, "procurement/orders", Some(order.clone())).await?;
        ensure!(early.status == 409, "the clerk orders what nobody has approved: {early:?}");
        let awaiting = does(&people.abel, Method::GET, "procurement/requisitions/awaiting", Value::Null).await?;
        ensure!(awaiting.as_array().is_some_and(|all| all.iter().any(|one| one["id"] == id)), "{awaiting}");
        let own = does(rita, Method::GET, "procurement/requisitions/awaiting", Value::Null).await?;
        ensure!(own == json!([]), "the clerk is told of what she can't decide: {own}");
        does(&people.abel, Method::POST, &decision, json!({ "approve": true })).await?;
        let none = does(&people.abel, Method::GET, "procurement/requisitions/awaiting", Value::Null).await?;
        ensure!(none == json!([]), "what is decided waits: {none}");
        let order = does(rita, Method::POST, "procurement/orders", order).await?;
        order["id"].as_str().context("no id")?.clone_into(&mut self.order);
        Ok(())
    }

    /// Some of the cloth comes.
    pub async fn receive(&self, rita: &Person, quantity: &str) -> anyhow::Result<()> {
        let came = json!({ "lines": [{ "position": 1, "quantity": quantity }] });
        does(rita, Method::POST, &format!("procurement/orders/{}/receipts", self.order), came).await?;
        Ok(())
    }

    /// The clerk sells cloth, and hems it.
    pub async fn sell(&mut self, rita: &Person, quantity: &str) -> anyhow::Result<()> {
        self.last_sale = Uuid::now_v7();
        self.sold = self.sale(Some(quantity));
        let sold = does(rita, Method::PUT, &format!("pos/sales/{}", self.last_sale), self.sold.clone()).await?;
        let deliveries = sold["deliveries"].as_array().context("deliveries")?;
        ensure!(deliveries.iter().all(|one| one["state"] == "Done"), "{sold}");
        Ok(())
    }

    fn sale(&self, cloth: Option<&str>) -> Value {
        let line = |quantity| json!({ "sku": "CLOTH", "description": "Cloth", "quantity": quantity, "unitPrice": "11.90", "taxRate": "19" });
        let hemming = json!({ "description": "Hemming", "quantity": "1", "unitPrice": "5.95", "taxRate": "19" });
        let lines: Vec<_> = cloth.map(line).into_iter().chain([hemming]).collect();
        json!({ "shiftId": self.shift, "payment": "Card", "lines": lines })
    }

    /// Without Inventory, what needs it is refused with a reason, nothing half is left of it, and the rest goes on.
    pub async fn misses_inventory(&self, home: &Home, people: &People) -> anyhow::Result<()> {
        let rita = &people.rita;
        let came = json!({ "lines": [{ "position": 1, "quantity": "10" }] });
        let receipts = format!("procurement/orders/{}/receipts", self.order);
        let sale = format!("pos/sales/{}", Uuid::now_v7());
        match home {
            Home::Platform(_) => {
                is_refused(rita, Method::GET, "inventory/stock", None, "not entitled to inventory").await;
            }
            // An instance does not run what its tenant is not entitled to.
            Home::Instance(_) => {
                until("Inventory is gone", SOON, || async {
                    ensure!(rita.platform.service("inventory").await.is_err(), "it is still there");
                    Ok(())
                })
                .await;
            }
        }
        for (method, path, body, why) in [
            (Method::PUT, &*sale, Some(self.sale(Some("1"))), "needs inventory"),
            (Method::POST, &*receipts, Some(came), "needs inventory"),
        ] {
            is_refused(rita, method, path, body, why).await;
        }
        let unsold = ask(rita, Method::GET, &sale, None).await?;
        ensure!(unsold.status == 404, "half a sale: {unsold:?}");
        self.gives_money_back(rita).await?;
        let assigned = people.ada.invite("stan", &[("inventory", "stock-mover")]).await?;
        ensure!((400..500).contains(&assigned.status), "a role of what is not entitled is given: {assigned:?}");
        does(rita, Method::PUT, &format!("pos/sales/{}", Uuid::now_v7()), self.sale(None)).await?;
        books_balance(&balances(rita).await?)
    }

    /// What was sold before is answered as it was, and money is given back for it, of which the books hear.
    async fn gives_money_back(&self, rita: &Person) -> anyhow::Result<()> {
        let sale = format!("pos/sales/{}", self.last_sale);
        let again = ask(rita, Method::PUT, &sale, Some(self.sold.clone())).await?;
        ensure!(again.status == 200, "it is not the same sale any more: {again:?}");
        let cash = stand(&balances(rita).await?, "1000")?;
        let back = json!({ "shiftId": self.shift, "lines": [{ "position": 1, "quantity": "0.5" }] });
        let refunded = does(rita, Method::PUT, &format!("{sale}/refunds/{}", Uuid::now_v7()), back).await?;
        let told = refunded["deliveries"].as_array().context("deliveries")?;
        ensure!(refunded["amount"] == "5.95" && told.len() == 1 && told[0]["state"] == "Done", "{refunded}");
        let left = stand(&balances(rita).await?, "1000")?;
        ensure!(left == cash - 595, "{cash} cents are {left} after 5.95 was given back");
        Ok(())
    }

    /// So much cloth comes to be in stock. Inventory, just started, may not have been there when it was told first; what is pending is
    /// told again when someone asks for it.
    pub async fn comes_to_have(&self, rita: &Person, quantity: &str) {
        until(&format!("{quantity} m of cloth are in stock"), Duration::from_mins(1), || async {
            let found = self.in_stock(rita).await?;
            if found != quantity {
                does(rita, Method::POST, "procurement/deliveries", Value::Null).await?;
            }
            ensure!(found == quantity, "{found} are");
            Ok(())
        })
        .await;
    }

    /// How much cloth is in stock.
    pub async fn in_stock(&self, rita: &Person) -> anyhow::Result<String> {
        let stock = does(rita, Method::GET, "inventory/stock", Value::Null).await?;
        let cloth = stock["items"].as_array().into_iter().flatten().find(|one| one["sku"] == "CLOTH");
        Ok(cloth.and_then(|one| one["quantity"].as_str()).context("no cloth")?.to_owned())
    }

    /// The accounts stand where they must, and balance.
    pub async fn stands_at(&self, rita: &Person, expected: &[(&str, &str)]) -> anyhow::Result<()> {
        let balances = balances(rita).await?;
        for (account, stands_at) in expected {
            let found = balances.as_array().into_iter().flatten().find(|one| one["account"] == *account);
            ensure!(
                found.is_some_and(|one| one["balance"] == *stands_at),
                "{account} is not at {stands_at}: {balances}"
            );
        }
        books_balance(&balances)?;
        books_agree_with_stock(&balances, &does(rita, Method::GET, "inventory/stock", Value::Null).await?)
    }

    /// The receipt of the last sale is as the company's administrator wants it.
    pub async fn receipt_is_the_companys(&self, rita: &Person) -> anyhow::Result<()> {
        let path = format!("/sales/{}/receipt", self.last_sale);
        let receipt = rita.platform.request("pos", Method::GET, &path).await?.bearer_auth(&rita.token).send().await?;
        let receipt = receipt.error_for_status()?.text().await?;
        ensure!(receipt.starts_with(HEADING) && receipt.contains("See you soon"), "{receipt}");
        Ok(())
    }

    /// All that the shop has: its books, its stock, its orders and what it has sold.
    pub async fn seen(&self, rita: &Person) -> anyhow::Result<Value> {
        let mut seen = json!({});
        let (order, sale) = (format!("procurement/orders/{}", self.order), format!("pos/sales/{}", self.last_sale));
        let lists = ["finance/trial-balance", "finance/entries", "inventory/stock", "inventory/items", "pos/registers"];
        for path in lists.into_iter().chain([&*order, &*sale]) {
            seen[path] = does(rita, Method::GET, path, Value::Null).await?;
        }
        books_balance(&seen["finance/trial-balance"])?;
        books_agree_with_stock(&seen["finance/trial-balance"], &seen["inventory/stock"])?;
        Ok(seen)
    }
}

/// Waits until it is refused for what the company is not entitled to.
async fn is_refused(rita: &Person, method: Method, path: &str, body: Option<Value>, why: &str) {
    until(&format!("{path} is refused"), SOON, || async {
        let answer = ask(rita, method.clone(), path, body.clone()).await?;
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        ensure!(answer.status == 403 && detail.contains(why), "{answer:?}");
        Ok(())
    })
    .await;
}

async fn balances(rita: &Person) -> anyhow::Result<Value> {
    does(rita, Method::GET, "finance/trial-balance", Value::Null).await
}

/// What an account stands at, in cents.
fn stand(balances: &Value, account: &str) -> anyhow::Result<i64> {
    cents(balances.as_array().into_iter().flatten().filter(|one| one["account"] == account).map(|one| &one["balance"]))
}

/// Debits and credits are equal over all accounts.
fn books_balance(balances: &Value) -> anyhow::Result<()> {
    let all = balances.as_array().context("no balances")?;
    let sum = cents(all.iter().map(|one| &one["balance"]))?;
    ensure!(sum == 0 && !all.is_empty(), "the books don't balance: {balances}");
    Ok(())
}

/// What Finance has on the account of stock is what Inventory says that the stock is worth.
fn books_agree_with_stock(balances: &Value, stock: &Value) -> anyhow::Result<()> {
    let booked = balances.as_array().into_iter().flatten().filter(|one| one["account"] == "1200");
    let booked = cents(booked.map(|one| &one["balance"]))?;
    let worth = cents(stock["items"].as_array().into_iter().flatten().map(|one| &one["value"]))?;
    ensure!(booked == worth, "stock is booked at {booked} cents, and worth {worth}: {balances} {stock}");
    Ok(())
}

fn cents<'a>(amounts: impl Iterator<Item = &'a Value>) -> anyhow::Result<i64> {
    let cents = |amount: &Value| amount.as_str()?.replace('.', "").parse::<i64>().ok();
    amounts.map(|amount| cents(amount).with_context(|| format!("{amount} is no amount"))).sum()
}
