//! Amounts as exact decimals, and currencies. They stay text until they are in Postgres, so that nothing is rounded.

use serde::{Deserialize, Deserializer, de::Error};

/// An amount such as `1250.00`: at most 16 digits, and two after the point.
pub fn amount<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    checked(
        input,
        is_amount,
        "amount: must be a decimal such as \"1250.00\", not negative, with at most two decimal places",
    )
}

/// A currency such as `EUR`.
pub fn currency<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let is_currency = |text: &str| text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_uppercase());
    checked(input, is_currency, "currency: must be three capital letters by ISO 4217, such as EUR")
}

fn checked<'de, D: Deserializer<'de>>(
    input: D,
    holds: impl Fn(&str) -> bool,
    otherwise: &str,
) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(input)?;
    if text.as_deref().is_none_or(holds) { Ok(text) } else { Err(D::Error::custom(otherwise)) }
}

fn is_amount(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    digits(whole, 16) && digits(fraction, 2)
}

#[cfg(test)]
mod tests {
    use super::is_amount;

    #[test]
    fn only_exact_decimals_are_amounts() {
        for good in ["0", "1250", "1250.5", "0.05", "9999999999999999.99"] {
            assert!(is_amount(good), "{good}");
        }
        for bad in ["", ".5", "5.", "-1", "+1", "NaN", "1e3", "0.005", "1,5", " 1", "99999999999999999"] {
            assert!(!is_amount(bad), "{bad}");
        }
    }
}
