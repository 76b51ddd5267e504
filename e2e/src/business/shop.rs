//! A shop of a company: what it has in stock, who sells it, and what is sold.

use anyhow::Context;
use serde_json::{Value, json};

use super::{Person, company};
use crate::tenant::TestTenant;

/// A shop with ten loaves that cost 2.00 each, which is in its books, and an open shift.
pub async fn shop(what: &str) -> anyhow::Result<(TestTenant, String)> {
    let company = company(what).await?;
    let shift = open(&company).await?;
    book_goods(&company, "20.00").await?;
    Ok((company, shift))
}

/// Takes the loaves in and opens the shift.
pub async fn open(company: &TestTenant) -> anyhow::Result<String> {
    let manager = Person::new(
        company,
        "ines",
        &["inventory-manager", "stock-mover", "pos-manager", "pos-cashier", "ledger-poster"],
    )?;
    manager.post("inventory/items", json!({ "sku": "BREAD", "name": "Bread" })).await?;
    let bread = json!({ "lines": [{ "sku": "BREAD", "quantity": "10", "unitCost": "2.00" }] });
    manager.post("inventory/receipts", bread).await?;
    manager.put("pos/registers/FRONT", json!({ "name": "Front", "currency": "EUR" })).await?;
    let shift = manager.post("pos/shifts", json!({ "register": "FRONT", "float": "50.00" })).await?;
    Ok(shift["id"].as_str().context("no id")?.to_owned())
}

/// Books goods that were taken in without an order.
pub async fn book_goods(company: &TestTenant, worth: &str) -> anyhow::Result<()> {
    let entry = json!({ "description": "Goods", "currency": "EUR",
        "lines": [{ "account": "1200", "debit": worth }, { "account": "3000", "credit": worth }] });
    Person::new(company, "mara", &["finance-manager"])?.post("finance/entries", entry).await?;
    Ok(())
}

/// Someone at the till.
pub fn cashier(company: &TestTenant) -> anyhow::Result<Person<'_>> {
    Person::new(company, "kim", &["pos-cashier", "pos-manager", "stock-mover", "ledger-poster"])
}

/// A sale of bread.
#[must_use]
pub fn bread(shift: &str, quantity: &str) -> Value {
    json!({ "shiftId": shift, "payment": "Cash", "lines": [
        { "sku": "BREAD", "description": "Bread", "quantity": quantity, "unitPrice": "5.35", "taxRate": "7" },
    ] })
}

/// The states of a sale's deliveries to other services.
#[must_use]
pub fn states(sale: &Value) -> Vec<&str> {
    sale["deliveries"].as_array().into_iter().flatten().filter_map(|one| one["state"].as_str()).collect()
}
