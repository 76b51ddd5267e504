//! Amounts, quantities and currencies. Exact decimals from the request to the database: nothing is ever rounded by the way.

use std::{borrow::Cow, fmt, str::FromStr};

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// An amount of money such as `1250.00`: at most 16 digits, and two after the point. Where one comes in it is not negative;
/// a balance that goes out may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct Amount(Decimal);

/// A quantity such as `2.5`: at most 11 digits, and three after the point. Where one comes in it is more than nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct Quantity(Decimal);

/// A currency by ISO 4217, such as `EUR`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, sqlx::Type)]
#[sqlx(transparent)]
pub struct Currency(String);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// An amount as it is, rounded to two places half away from zero, as commerce does.
    #[must_use]
    pub fn rounded(exact: Decimal) -> Self {
        let mut amount = exact.round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
        amount.rescale(2);
        Self(amount)
    }

    /// The decimal.
    #[must_use]
    pub fn exact(self) -> Decimal {
        self.0
    }
}

impl Quantity {
    /// Reads one that may be nothing, such as what was counted.
    pub fn or_nothing<'de, D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(input)?;
        plain(&text, 11, 3).map(Self).ok_or_else(|| {
            D::Error::custom("must be a decimal such as \"2.5\", not negative, with at most three decimal places")
        })
    }

    /// The decimal.
    #[must_use]
    pub fn exact(self) -> Decimal {
        self.0
    }
}

impl std::ops::Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for Amount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, |sum, one| sum + one)
    }
}

/// The text as a decimal without sign and exponent, of at most so many digits before and after the point.
fn plain(text: &str, whole_digits: usize, places: usize) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    (digits(whole, whole_digits) && digits(fraction, places)).then(|| Decimal::from_str(text).ok()).flatten()
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(input)?;
        plain(&text, 16, 2).map(Self).ok_or_else(|| {
            D::Error::custom("must be a decimal such as \"1250.00\", not negative, with at most two decimal places")
        })
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(input)?;
        plain(&text, 11, 3).filter(|quantity| !quantity.is_zero()).map(Self).ok_or_else(|| {
            D::Error::custom("must be a decimal such as \"2.5\", more than nothing, with at most three decimal places")
        })
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        if text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_uppercase()) {
            return Ok(Self(text));
        }
        Err(D::Error::custom("must be three capital letters by ISO 4217, such as EUR"))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.normalize().fmt(f)
    }
}

impl Currency {
    /// Its three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn text(pattern: &str, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).examples([example]).build().into()
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        text(r"^-?[0-9]{1,16}(\.[0-9]{1,2})?$", "1250.00")
    }
}

impl PartialSchema for Quantity {
    fn schema() -> RefOr<Schema> {
        text(r"^-?[0-9]{1,11}(\.[0-9]{1,3})?$", "2.5")
    }
}

impl PartialSchema for Currency {
    fn schema() -> RefOr<Schema> {
        text("^[A-Z]{3}$", "EUR")
    }
}

impl ToSchema for Amount {}
impl ToSchema for Quantity {}
impl ToSchema for Currency {}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn only_exact_decimals_are_amounts() {
        for good in ["0", "1250", "1250.5", "0.05", "9999999999999999.99"] {
            assert!(from_value::<Amount>(json!(good)).is_ok(), "{good}");
        }
        for bad in ["", ".5", "5.", "-1", "+1", "NaN", "1e3", "0.005", "1,5", " 1", "99999999999999999"] {
            assert!(from_value::<Amount>(json!(bad)).is_err(), "{bad}");
        }
        assert!(from_value::<Amount>(json!(1.5)).is_err(), "a number may have been rounded already");
    }

    #[test]
    fn a_quantity_is_more_than_nothing() {
        assert_eq!(from_value::<Quantity>(json!("2.500")).unwrap().to_string(), "2.5");
        for bad in ["0", "0.000", "-1", "1.0001", "100000000000"] {
            assert!(from_value::<Quantity>(json!(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_are_rounded_as_commerce_does_and_always_shown_with_two_places() {
        for (exact, shown) in [("2.345", "2.35"), ("-2.345", "-2.35"), ("2.344", "2.34"), ("2", "2.00")] {
            assert_eq!(Amount::rounded(exact.parse().unwrap()).to_string(), shown);
        }
        assert_eq!(json!(Amount::ZERO), json!("0.00"));
    }
}
