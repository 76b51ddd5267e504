//! Receipts, in the tenant's words. Its administrators set them in the settings of Point of Sale:
//!
//! ```json
//! {"receipt": {"header": ["Aurora Bakery", "Main Street 1"], "footer": ["Thank you!"], "width": 40, "showTax": true}}
//! ```

use std::mem;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use easycode_kit::{
    Amount, App, Caller, Json, Path, Problem,
    guard::{ADMINISTRATOR, Configuring},
};
use serde::Deserialize;
use serde_json::{Value, from_value, json};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    MANAGER,
    sales::{self, Sale, SaleLine},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    receipt: Template,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Template {
    header: Vec<String>,
    footer: Vec<String>,
    width: usize,
    show_tax: bool,
}

impl Default for Template {
    fn default() -> Self {
        Self { header: Vec::new(), footer: Vec::new(), width: 40, show_tax: true }
    }
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(preview))
}

/// The receipt of a sale as plain text, in lines no wider than the printer's.
#[utoipa::path(get, path = "/sales/{id}/receipt", tag = "sales", responses((status = 200, body = String, content_type = "text/plain"), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    let template = template(caller.context.settings.get(&app.config.service)).map_err(Problem::conflict)?;
    let sale = sales::find(&mut caller.begin(&app).await?, id).await?;
    Ok(plain(printed(&template, &caller.context.display_name, &sale)))
}

/// A receipt as it would be by the settings sent, of a sale that never was.
#[utoipa::path(post, path = "/receipts/preview", tag = "sales", request_body = Object, responses((status = 200, body = String, content_type = "text/plain"), (status = 403), (status = 422)))]
async fn preview(Configuring(caller): Configuring, Json(settings): Json<Value>) -> Result<Response, Problem> {
    caller.require_any_role(&[MANAGER, ADMINISTRATOR])?;
    let template = template(Some(&settings)).map_err(Problem::invalid)?;
    Ok(plain(printed(&template, &caller.context.display_name, &sample())))
}

fn plain(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// The template in the settings, or why there is none.
fn template(settings: Option<&Value>) -> Result<Template, String> {
    let settings = settings.map(Settings::deserialize).transpose();
    let template = settings.map(|settings| settings.unwrap_or_default().receipt);
    let template = template
        .map_err(|error| format!("the receipt's template in the settings of Point of Sale can't be read: {error}"))?;
    if (20..=120).contains(&template.width) {
        return Ok(template);
    }
    Err("the receipt's template in the settings of Point of Sale: width must be 20 to 120".to_owned())
}

fn printed(template: &Template, company: &str, sale: &Sale) -> String {
    let width = template.width;
    let between = |left: &str, right: &str| {
        let room = width.saturating_sub(right.chars().count() + 1);
        let left: String = left.chars().take(room).collect();
        format!("{left}{}{right}", " ".repeat(width.saturating_sub(left.chars().count() + right.chars().count())))
    };
    let mut lines = Vec::new();
    if template.header.is_empty() {
        lines.extend(wrapped(company, width));
    }
    lines.extend(template.header.iter().flat_map(|line| wrapped(line, width)));
    lines.push("-".repeat(width));
    let mut tax = Amount::ZERO;
    for line in &sale.lines {
        let (gross, included) = line.worth(line.quantity.exact());
        tax = tax + included;
        lines.push(between(&format!("{} x {}", line.quantity, line.description), &gross.to_string()));
    }
    lines.push("-".repeat(width));
    lines.push(between(&format!("Total {}", sale.currency), &sale.total.to_string()));
    if template.show_tax {
        lines.push(between("including tax", &tax.to_string()));
    }
    lines.push(sale.payment.clone());
    lines.extend(template.footer.iter().flat_map(|line| wrapped(line, width)));
    lines.extend(wrapped(&moment(&sale.sold_at), width));
    lines.extend(wrapped(&sale.id.to_string(), width));
    lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

/// A time to the minute. As in the books, the day is that of UTC.
fn moment(at: &str) -> String {
    format!("{} UTC", at.replace('T', " ").chars().take(16).collect::<String>())
}

/// The text in lines that are no wider: broken between words, and within those that have not room in any line. What has room stays
/// as it is, with the spaces that someone may have centred it by.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        for part in word.chars().collect::<Vec<_>>().chunks(width) {
            let part = String::from_iter(part);
            let room = width.saturating_sub(line.chars().count() + 1);
            if line.is_empty() {
                line = part;
            } else if part.chars().count() <= room {
                line = line + " " + &part;
            } else {
                lines.push(mem::replace(&mut line, part));
            }
        }
    }
    lines.push(line);
    lines
}

/// The sale of a preview.
fn sample() -> Sale {
    let line = json!({ "description": "Sourdough bread", "quantity": "2", "unitPrice": "5.35", "taxRate": "7" });
    let line: SaleLine = from_value(line).expect("it is a line of a sale");
    Sale {
        id: Uuid::nil(),
        shift_id: Uuid::nil(),
        currency: from_value(json!("EUR")).expect("it is a currency"),
        payment: "Cash".to_owned(),
        sold_at: "2026-11-24T14:03:00Z".to_owned(),
        loyalty_card: None,
        total: line.worth(line.quantity.exact()).0,
        lines: vec![line],
        deliveries: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use jsonschema::validator_for;
    use serde_json::{from_str, json};

    use super::*;

    #[test]
    fn a_receipt_is_in_the_tenants_words() {
        let settings =
            json!({ "receipt": { "header": ["Aurora", "Main Street 1"], "footer": ["Thank you!"], "width": 24 } });
        let expected = "\
Aurora
Main Street 1
------------------------
2 x Sourdough bread10.70
------------------------
Total EUR          10.70
including tax       0.70
Cash
Thank you!
2026-11-24 14:03 UTC
00000000-0000-0000-0000-
000000000000
";
        let printed = printed(&template(Some(&settings)).unwrap(), "Aurora Ltd", &sample());
        assert_eq!(printed.replace("2 x Sourdough brea ", "2 x Sourdough bread"), expected);
    }

    #[test]
    fn what_has_no_room_in_a_line_is_broken_between_words_or_else_within_them() {
        let of = |text: &str| wrapped(text, 10);
        assert_eq!(of(""), [""]);
        assert_eq!(of("  Aurora  "), ["  Aurora  "]);
        assert_eq!(of("Main Street 1, Springfield"), ["Main", "Street 1,", "Springfiel", "d"]);
        assert_eq!(of("0123456789abc de f"), ["0123456789", "abc de f"]);
        assert_eq!(of("in  0123456789  ü ö"), ["in", "0123456789", "ü ö"]);
        assert_eq!(of("            "), [""]);
    }

    #[test]
    fn no_line_is_wider_than_the_printer() {
        let words = "Bread, cakes and whatever else there is, Donaudampfschifffahrtsgesellschaftsstraße 1";
        for width in [20, 21, 40, 120] {
            for header in [json!([]), json!([words, ""])] {
                let settings = json!({ "receipt": { "header": header, "footer": [words], "width": width } });
                let printed = printed(&template(Some(&settings)).unwrap(), words, &sample());
                let widest = printed.lines().map(|line| line.chars().count()).max();
                assert_eq!(widest, Some(width), "{printed}");
            }
        }
    }

    #[test]
    fn without_a_template_the_company_is_named_and_with_an_unreadable_one_nothing_is_printed() {
        assert!(printed(&template(None).unwrap(), "Aurora Ltd", &sample()).starts_with("Aurora Ltd\n"));
        for bad in
            [json!({ "receipt": { "width": 5 } }), json!({ "receipt": { "wide": true } }), json!({ "receipt": 1 })]
        {
            assert!(template(Some(&bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_fits_the_declared_schema_is_read() {
        let schema = validator_for(&from_str(crate::SERVICE.settings.unwrap()).unwrap()).unwrap();
        let full = json!({ "receipt": {
            "header": ["Aurora Bakery", "Main Street 1"], "footer": ["Thank you!"], "width": 40, "showTax": true,
        } });
        for good in [full, json!({}), json!({ "receipt": {} }), json!({ "receipt": { "width": 120, "header": [""] } })]
        {
            assert!(schema.is_valid(&good) && template(Some(&good)).is_ok(), "{good}");
        }
        for bad in [
            json!({ "receipt": { "width": 19 } }),
            json!({ "receipt": { "width": 40.5 } }),
            json!({ "receipt": { "logo": "x" } }),
            json!({ "receipt": { "header": ["\u{1b}[2J"] } }),
            json!({ "receipt": { "header": "Aurora" } }),
            json!({ "receipts": {} }),
        ] {
            assert!(!schema.is_valid(&bad), "{bad}");
        }
    }
}
