//! A typical read and a typical write of each service, and the query of that read.

use std::sync::LazyLock;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use easycode_contract::runtime::{TENANT_SERVICE, USER_SERVICE};
use easycode_crm::contacts::Contact;
use easycode_finance::accounts::Account;
use easycode_inventory::items::Item;
use easycode_pos::registers::Register;
use easycode_procurement::suppliers::Supplier;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, PgPool, postgres::PgRow};
use uuid::Uuid;

use super::super::cost::Program;

/// A request that changes something.
pub struct Write {
    /// Method.
    pub method: Method,
    /// Path below that of the service.
    pub path: String,
    /// Body.
    pub body: Value,
}

impl Write {
    fn post(path: &str, body: Value) -> Self {
        Self { method: Method::POST, path: path.to_owned(), body }
    }

    fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PUT, path: path.into(), body }
    }
}

/// What is asked of a service.
pub struct Typical {
    /// Its name in a release.
    pub service: &'static str,
    /// First segment of its paths.
    pub prefix: &'static str,
    /// Roles of the user who asks.
    pub roles: &'static [&'static str],
    /// What a company has from the beginning. The answer to the last of them names the record that is asked for.
    pub first: fn() -> Vec<Write>,
    /// Field of that answer with what the record is known by.
    pub known_by: &'static str,
    /// Path of the read.
    pub read: fn(&str) -> String,
    /// The write, which is never the same twice.
    pub write: fn(&str) -> Write,
    /// Its program and the query of the read, for what tenancy costs.
    pub program: Program,
}

#[derive(Serialize, FromRow)]
struct Setting {
    service: String,
    value: Value,
    version: i32,
}

/// CRM and its read of a contact.
pub const CRM: Program = Program {
    service: easycode_crm::SERVICE,
    bare: || {
        by_id::<Contact>(
            "SELECT id, company_id, given_name, family_name, email, phone, custom, version FROM contact WHERE id = $1",
        )
    },
};

static ONE_USER: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} WHERE id = $1", easycode_user_service::accounts::SELECT));

/// Of every service that there is.
pub const TYPICAL: [Typical; 7] = [
    Typical {
        service: "crm",
        prefix: "crm",
        roles: &["crm-user"],
        first: || vec![contact()],
        known_by: "id",
        read: |id| format!("/contacts/{id}"),
        write: |_| contact(),
        program: CRM,
    },
    Typical {
        service: "finance",
        prefix: "finance",
        roles: &["finance-manager"],
        first: || vec![Write::put("/accounts/6100", json!({ "name": "Rent", "kind": "Expense" }))],
        known_by: "code",
        read: |code| format!("/accounts/{code}"),
        write: |code| {
            let lines = json!([{ "account": code, "debit": "10.00" }, { "account": "1000", "credit": "10.00" }]);
            Write::post("/entries", json!({ "description": "Rent", "currency": "EUR", "lines": lines }))
        },
        program: Program {
            service: easycode_finance::SERVICE,
            bare: || by_code::<Account>("SELECT code, name, kind, closed, version FROM account WHERE code = $1"),
        },
    },
    Typical {
        service: "inventory",
        prefix: "inventory",
        roles: &["inventory-manager", "stock-mover"],
        first: || vec![Write::post("/items", json!({ "sku": "BOLT", "name": "Bolt" }))],
        known_by: "id",
        read: |id| format!("/items/{id}"),
        write: |_| {
            let lines = json!([{ "sku": "BOLT", "quantity": "10", "unitCost": "1.50" }]);
            Write::post("/receipts", json!({ "lines": lines }))
        },
        program: Program {
            service: easycode_inventory::SERVICE,
            bare: || {
                by_id::<Item>(
                    "SELECT id, sku, name, unit, allow_negative, currency::text AS currency, version FROM item WHERE id = $1",
                )
            },
        },
    },
    Typical {
        service: "procurement",
        prefix: "procurement",
        roles: &["procurement-buyer", "procurement-requester"],
        first: || vec![Write::post("/suppliers", json!({ "name": "Bolts & Co", "email": "sales@bolts.example" }))],
        known_by: "id",
        read: |id| format!("/suppliers/{id}"),
        write: |_| {
            let line = json!({ "description": "Bolt", "quantity": "100", "unitPrice": "1.50" });
            Write::post("/requisitions", json!({ "title": "Bolts", "currency": "EUR", "lines": [line] }))
        },
        program: Program {
            service: easycode_procurement::SERVICE,
            bare: || by_id::<Supplier>("SELECT id, name, email, version FROM supplier WHERE id = $1"),
        },
    },
    Typical {
        service: "pos",
        prefix: "pos",
        roles: &["pos-manager", "pos-cashier", "stock-mover", "ledger-poster"],
        first: || {
            let register = json!({ "name": "Front", "currency": "EUR" });
            vec![
                Write::put("/registers/FRONT", register),
                Write::post("/shifts", json!({ "register": "FRONT", "float": "50.00" })),
            ]
        },
        known_by: "id",
        read: |_| "/registers".to_owned(),
        // Posted to Finance, too, before it is answered.
        write: |shift| {
            let line = json!({ "description": "Bread", "quantity": "2", "unitPrice": "5.35", "taxRate": "7" });
            let sale = json!({ "shiftId": shift, "payment": "Cash", "lines": [line] });
            Write::put(format!("/sales/{}", Uuid::now_v7()), sale)
        },
        program: Program {
            service: easycode_pos::SERVICE,
            bare: || {
                all::<Register>("SELECT code, name, currency::text AS currency FROM register ORDER BY code LIMIT 1000")
            },
        },
    },
    Typical {
        service: TENANT_SERVICE,
        prefix: "tenant",
        roles: &["tenant-admin"],
        first: || vec![theme()],
        known_by: "service",
        read: |_| "/settings".to_owned(),
        write: |_| theme(),
        program: Program {
            service: easycode_tenant_service::SERVICE,
            bare: || all::<Setting>("SELECT service, value, version FROM setting ORDER BY service"),
        },
    },
    Typical {
        service: USER_SERVICE,
        prefix: "user",
        roles: &["tenant-admin"],
        first: || vec![user()],
        known_by: "id",
        read: |id| format!("/users/{id}"),
        write: |_| user(),
        program: Program {
            service: easycode_user_service::SERVICE,
            bare: || by_id::<easycode_user_service::accounts::User>(&ONE_USER),
        },
    },
];

fn contact() -> Write {
    let email = format!("{}@example.com", Uuid::now_v7());
    Write::post("/contacts", json!({ "givenName": "Ada", "familyName": "Lovelace", "email": email }))
}

fn theme() -> Write {
    Write::put("/settings/ui", json!({ "theme": { "logoText": Uuid::now_v7().simple().to_string() } }))
}

fn user() -> Write {
    Write::post("/users", json!({ "name": "Ada", "email": format!("{}@example.com", Uuid::now_v7()) }))
}

fn by_id<T: Serialize + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static>(
    query: &'static str,
) -> MethodRouter<PgPool> {
    get(move |State(pool): State<PgPool>, Path(id): Path<Uuid>| async move {
        one::<T>(sqlx::query_as(query).bind(id).fetch_optional(&pool).await)
    })
}

fn by_code<T: Serialize + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static>(
    query: &'static str,
) -> MethodRouter<PgPool> {
    get(move |State(pool): State<PgPool>, Path(code): Path<String>| async move {
        one::<T>(sqlx::query_as(query).bind(code).fetch_optional(&pool).await)
    })
}

fn all<T: Serialize + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static>(
    query: &'static str,
) -> MethodRouter<PgPool> {
    get(move |State(pool): State<PgPool>| async move {
        one::<Vec<T>>(sqlx::query_as(query).fetch_all(&pool).await.map(Some))
    })
}

fn one<T: Serialize>(found: sqlx::Result<Option<T>>) -> Response {
    match found {
        Ok(Some(found)) => Json(found).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
