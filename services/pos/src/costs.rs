//! What goods cost, by what Inventory answers about their movements.

use std::collections::BTreeMap;

use easycode_kit::Amount;
use rust_decimal::Decimal;
use serde_json::Value;

/// What a movement has made the stock worth more, with a minus less, in each currency. Costs without one are in that of the sale.
pub(crate) fn into_stock(movement: &Value, currency_of_sale: &str) -> BTreeMap<String, Decimal> {
    let mut sums = BTreeMap::new();
    for line in movement["lines"].as_array().into_iter().flatten() {
        let currency = line["currency"].as_str().unwrap_or(currency_of_sale);
        // What settles goods that went out before they were there is worth what they were counted at, and no more.
        *sums.entry(currency.to_owned()).or_default() += decimal(&line["cost"]) - decimal(&line["variance"]);
    }
    sums.retain(|_, sum: &mut Decimal| !sum.is_zero());
    sums
}

/// What is to come back into stock for goods of which so many have come back before: in parts, all together exactly what they went
/// out at.
pub(crate) fn of_returned(issue: &Value, sku: &str, before: Decimal, quantity: Decimal) -> Amount {
    let lines = issue["lines"].as_array().into_iter().flatten().filter(|line| line["sku"] == sku);
    let (cost, sold) = lines.fold((Decimal::ZERO, Decimal::ZERO), |sum, line| {
        (sum.0 - decimal(&line["cost"]), sum.1 - decimal(&line["quantity"]))
    });
    let up_to = |quantity: Decimal| (cost * quantity).checked_div(sold).map_or(Amount::ZERO, Amount::rounded);
    up_to(before + quantity) - up_to(before)
}

fn decimal(text: &Value) -> Decimal {
    text.as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_comes_back_in_parts_is_worth_what_went_out() {
        let issue = json!({ "lines": [
            { "sku": "BOLT", "quantity": "-10000", "cost": "-10050.00" }, { "sku": "NUT", "quantity": "-3", "cost": "-10.00" },
        ] });
        let back = |sku: &str, before: i64, quantity: i64| {
            of_returned(&issue, sku, before.into(), quantity.into()).to_string()
        };
        assert_eq!(back("BOLT", 0, 10_000), "10050.00");
        assert_eq!([back("NUT", 0, 1), back("NUT", 1, 1), back("NUT", 2, 1)], ["3.33", "3.34", "3.33"]);
        assert_eq!(back("NUT", 0, 3), "10.00");
        assert_eq!(back("WASHER", 0, 1), "0.00");
    }

    #[test]
    fn lines_of_one_item_are_taken_together() {
        let issue = json!({ "lines": [
            { "sku": "NUT", "quantity": "-1", "cost": "-1.00" }, { "sku": "NUT", "quantity": "-1", "cost": "-2.01" },
        ] });
        let back = |before: i64| of_returned(&issue, "NUT", before.into(), Decimal::ONE).to_string();
        assert_eq!([back(0), back(1)], ["1.51", "1.50"]);
    }

    #[test]
    fn costs_are_in_their_own_currency_and_less_what_only_settles() {
        let movement = json!({ "lines": [
            { "cost": "-4.00", "variance": "0.00", "currency": "EUR" }, { "cost": "-1.50", "currency": null },
            { "cost": "-7.00", "variance": "0.00", "currency": "USD" },
            { "cost": "9.00", "variance": "2.00", "currency": "USD" },
        ] });
        let sums = into_stock(&movement, "EUR");
        assert_eq!(sums, BTreeMap::from([("EUR".to_owned(), Decimal::new(-550, 2))]));
    }
}
