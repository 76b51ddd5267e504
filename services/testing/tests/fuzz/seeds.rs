//! Records of all kinds, with a company's marker in their texts.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::{company::Company, description::Description};

/// Gives the company records in those services that are there.
pub async fn sow(mut company: Company, services: &[Description]) -> anyhow::Result<Company> {
    // What sells and buys needs what is in stock, so it comes last.
    for service in ["tenant-service", "user-service", "crm", "finance", "inventory", "procurement", "pos"] {
        if !services.iter().any(|known| known.name == service) {
            continue;
        }
        match service {
            "tenant-service" => settings(&mut company).await?,
            "user-service" => people(&mut company).await?,
            "crm" => customers(&mut company).await?,
            "finance" => books(&mut company).await?,
            "inventory" => stock(&mut company).await?,
            "procurement" => purchases(&mut company).await?,
            _ => sales(&mut company).await?,
        }
    }
    Ok(company)
}

async fn settings(company: &mut Company) -> anyhow::Result<()> {
    let receipt = json!({ "receipt": { "header": [company.marker], "footer": [], "width": 40 } });
    company.make("tenant-service", Method::PUT, "/settings/pos", receipt).await?;
    Ok(())
}

async fn people(company: &mut Company) -> anyhow::Result<()> {
    let marker = company.marker.clone();
    for number in 1..=2 {
        let person = json!({ "email": format!("{number}@{marker}.example"), "name": marker,
            "roles": [{ "service": "tenant-service", "role": "tenant-admin" }] });
        company.make("user-service", Method::POST, "/users", person).await?;
    }
    Ok(())
}

async fn customers(company: &mut Company) -> anyhow::Result<()> {
    let marker = company.marker.clone();
    // Two of each kind, so that of each there is one that others get to know.
    for number in 1..=2 {
        let domain = format!("{marker}.example");
        let firm = json!({ "name": format!("{marker} {number}"), "domain": domain, "custom": { "note": marker } });
        let firm = company.make("crm", Method::POST, "/companies", firm).await?;
        let person = json!({ "familyName": marker, "email": format!("{number}@{domain}"), "companyId": firm["id"] });
        let person = company.make("crm", Method::POST, "/contacts", person).await?;
        let deal = json!({ "title": marker, "companyId": firm["id"], "contactId": person["id"] });
        company.make("crm", Method::POST, "/deals", deal).await?;
        let campaign = json!({ "name": format!("{marker} {number}") });
        company.make("crm", Method::POST, "/campaigns", campaign).await?;
    }
    Ok(())
}

async fn books(company: &mut Company) -> anyhow::Result<()> {
    let marker = company.marker.clone();
    company.make("finance", Method::PUT, "/accounts/M1", json!({ "name": marker, "kind": "Asset" })).await?;
    for _ in 0..2 {
        let entry = json!({ "description": marker, "currency": "EUR",
            "lines": [{ "account": "M1", "debit": "7.00" }, { "account": "1000", "credit": "7.00" }] });
        company.make("finance", Method::POST, "/entries", entry).await?;
        let invoice = json!({ "customer": marker, "currency": "EUR",
            "lines": [{ "description": marker, "quantity": "1", "unitPrice": "5.00", "taxRate": "19" }] });
        let invoice = company.make("finance", Method::POST, "/invoices", invoice).await?;
        let path = format!("/invoices/{}", invoice["id"].as_str().unwrap_or_default());
        company.make("finance", Method::POST, &format!("{path}/issue"), json!({})).await?;
        company.make("finance", Method::POST, &format!("{path}/payments"), json!({ "amount": "1.00" })).await?;
    }
    Ok(())
}

async fn stock(company: &mut Company) -> anyhow::Result<()> {
    let marker = company.marker.clone();
    company.make("inventory", Method::PUT, "/warehouses/M1", json!({ "name": marker })).await?;
    for number in 1..=2 {
        let sku = format!("{marker}-{number}");
        company.make("inventory", Method::POST, "/items", json!({ "sku": sku, "name": marker })).await?;
        let goods = json!({ "reference": marker, "lines": [{ "sku": sku, "quantity": "50", "unitCost": "2.00" }] });
        company.make("inventory", Method::POST, "/receipts", goods).await?;
        let kept = json!({ "sku": sku, "quantity": "3", "reference": marker });
        company.make("inventory", Method::POST, "/reservations", kept).await?;
    }
    Ok(())
}

async fn purchases(company: &mut Company) -> anyhow::Result<()> {
    let marker = company.marker.clone();
    for number in 1..=2 {
        let supplier = json!({ "name": format!("{marker} {number}"), "email": format!("{number}@{marker}.example") });
        company.make("procurement", Method::POST, "/suppliers", supplier).await?;
        let wanted = json!({ "title": marker, "currency": "EUR",
            "lines": [{ "description": marker, "quantity": "4", "unitPrice": "3.50" }] });
        let wanted = company.make("procurement", Method::POST, "/requisitions", wanted).await?;
        let path = format!("/requisitions/{}/submission", wanted["id"].as_str().unwrap_or_default());
        company.make("procurement", Method::POST, &path, json!({})).await?;
    }
    Ok(())
}

async fn sales(company: &mut Company) -> anyhow::Result<()> {
    let marker = company.marker.clone();
    for number in 1..=2 {
        let register = format!("M{number}");
        let named = json!({ "name": marker, "currency": "EUR" });
        company.make("pos", Method::PUT, &format!("/registers/{register}"), named).await?;
        let shift = json!({ "register": register, "float": "100.00" });
        let shift = company.make("pos", Method::POST, "/shifts", shift).await?;
        let sale = json!({ "shiftId": shift["id"], "payment": "Card",
            "lines": [{ "description": marker, "quantity": "2", "unitPrice": "11.90", "taxRate": "19" }] });
        company.make("pos", Method::PUT, &format!("/sales/{}", Uuid::now_v7()), sale).await?;
    }
    Ok(())
}
