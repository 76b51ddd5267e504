//! What went out before it was there. It was counted at what such goods cost last; those that come settle it at what they cost
//! themselves, and the difference is a variance: a cost of what was sold, that nobody knew then.

use easycode_kit::Amount;
use rust_decimal::Decimal;

/// How much is missing, and what it was counted at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shortfall {
    pub(crate) quantity: Decimal,
    pub(crate) value: Amount,
}

/// What becomes of goods that come in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// How much of them stays, and what that is worth.
    pub(crate) stays: (Decimal, Amount),
    /// What is still missing was counted at.
    pub(crate) short_value: Amount,
    /// What they cost more than that which they settle was counted at; with a minus, less.
    pub(crate) variance: Amount,
}

impl Shortfall {
    /// What is missing where so much is in stock.
    pub(crate) fn of(in_stock: Decimal, value: Amount) -> Self {
        Self { quantity: (-in_stock).max(Decimal::ZERO), value }
    }

    /// Settles it by goods that come in, as far as they reach.
    pub(crate) fn settle(self, quantity: Decimal, worth: Amount) -> Settled {
        let settles = self.quantity.min(quantity);
        let counted_at = share(self.value, settles, self.quantity);
        let cost = share(worth, settles, quantity);
        Settled {
            stays: (quantity - settles, worth - cost),
            short_value: self.value - counted_at,
            variance: cost - counted_at,
        }
    }
}

/// What a part of something is worth: all of it exactly as much as the whole.
fn share(value: Amount, part: Decimal, whole: Decimal) -> Amount {
    if part == whole { value } else { Amount::rounded(value.exact() * part / whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::rounded(text.parse().unwrap())
    }

    fn settled(in_stock: &str, value: &str, quantity: &str, worth: &str) -> (String, String, String, String) {
        let short = Shortfall::of(in_stock.parse().unwrap(), amount(value));
        let Settled { stays, short_value, variance } = short.settle(quantity.parse().unwrap(), amount(worth));
        (stays.0.to_string(), stays.1.to_string(), short_value.to_string(), variance.to_string())
    }

    fn texts(stays: &str, worth: &str, short_value: &str, variance: &str) -> (String, String, String, String) {
        (stays.to_owned(), worth.to_owned(), short_value.to_owned(), variance.to_owned())
    }

    #[test]
    fn without_a_shortfall_all_of_it_stays() {
        assert_eq!(settled("3", "0", "5", "20.00"), texts("5", "20.00", "0.00", "0.00"));
    }

    #[test]
    fn what_settles_a_shortfall_at_another_cost_makes_a_variance() {
        // 2 left at 3.00, and 5 come at 4.00.
        assert_eq!(settled("-2", "6.00", "5", "20.00"), texts("3", "12.00", "0.00", "2.00"));
        // Cheaper than it left.
        assert_eq!(settled("-2", "6.00", "5", "10.00"), texts("3", "6.00", "0.00", "-2.00"));
        // Never received before, it left at nothing.
        assert_eq!(settled("-2", "0", "2", "8.00"), texts("0", "0.00", "0.00", "8.00"));
    }

    #[test]
    fn a_shortfall_that_is_settled_by_and_by_comes_to_what_it_was_counted_at() {
        assert_eq!(settled("-3", "10.00", "1", "3.00"), texts("0", "0.00", "6.67", "-0.33"));
        assert_eq!(settled("-2", "6.67", "1", "3.00"), texts("0", "0.00", "3.33", "-0.34"));
        assert_eq!(settled("-1", "3.33", "2", "6.00"), texts("1", "3.00", "0.00", "-0.33"));
    }

    #[test]
    fn nothing_is_lost_by_rounding() {
        for (in_stock, value, quantity, worth) in
            [("-1", "0.01", "3", "10.00"), ("-0.333", "0.10", "0.5", "0.01"), ("-7", "99.99", "3", "0.02")]
        {
            let short = Shortfall::of(in_stock.parse().unwrap(), amount(value));
            let settled = short.settle(quantity.parse().unwrap(), amount(worth));
            // What the stock is worth changes by what came in, less what is posted as a variance.
            let (before, after) = (Amount::ZERO - amount(value), settled.stays.1 - settled.short_value);
            assert_eq!(after - before, amount(worth) - settled.variance, "{in_stock} {quantity}");
        }
    }
}
