//! Exact amounts of money. No float is used for an amount, on the wire neither.

use std::iter::Sum;
use std::ops::{Add, Neg, Sub};
use std::str::FromStr;

use rust_decimal::Decimal;
use sea_orm::DeriveValueType;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// An exact amount with at most four decimals, in the currency of its business. May be negative: a customer may have
/// paid ahead.
///
/// [`Money::new`] accepts amounts below 10^15, the limit of a column `numeric(19,4)`. Sums in memory may exceed that
/// limit without harm: the type is exact up to 7.9 × 10^24 at four decimals. Amounts are checked against the limit
/// before they are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Money(Decimal);

/// Why text or a number is not a [`Money`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoney {
    /// Not a plain decimal number.
    #[error("must be a decimal number such as \"12.50\"")]
    NotDecimal,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// More than 15 digits before the decimal point.
    #[error("must have at most 15 digits before the decimal point")]
    TooLarge,
    /// More digits after the decimal point than the currency has.
    #[error("must have at most {digits} digits after the decimal point, as {currency} has")]
    TooPrecise {
        /// The number of decimals that the currency has.
        digits: u32,
        /// The currency of the business.
        currency: Currency,
    },
}

impl Money {
    /// The amount 0.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// 10^15: the lowest whole number with 16 digits.
    const BOUND: Decimal = Decimal::from_parts(2_764_472_320, 232_830, 0, false, 0);

    /// Whether a column can hold the amount, positive or negative.
    #[must_use]
    pub fn is_storable(self) -> bool {
        self.0.abs() < Self::BOUND
    }

    /// An amount from a request: not negative, and within the limits of its column and its currency. Trailing zeros do
    /// not count as decimals: `1.5000` is valid in a currency with two.
    ///
    /// # Errors
    /// See [`InvalidMoney`].
    pub fn new(amount: Decimal, currency: Currency) -> Result<Self, InvalidMoney> {
        let amount = amount.normalize();
        if amount < Decimal::ZERO {
            return Err(InvalidMoney::Negative);
        }
        if amount >= Self::BOUND {
            return Err(InvalidMoney::TooLarge);
        }
        let digits = currency.minor_digits();
        if amount.scale() > digits {
            return Err(InvalidMoney::TooPrecise { digits, currency });
        }
        Ok(Self(amount))
    }

    /// Parses plain decimal text (digits, optionally a point and more digits) with the limits of [`Money::new`].
    ///
    /// # Errors
    /// See [`InvalidMoney`].
    pub fn parse(text: &str, currency: Currency) -> Result<Self, InvalidMoney> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let all_digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return Err(InvalidMoney::NotDecimal);
        }
        if whole.trim_start_matches('0').len() > 15 {
            return Err(InvalidMoney::TooLarge);
        }
        if fraction.trim_end_matches('0').len() > 4 {
            let digits = currency.minor_digits();
            return Err(InvalidMoney::TooPrecise { digits, currency });
        }
        // At most 19 significant digits remain. Trailing zeros beyond them would overflow the type, so they are removed
        // first.
        let fraction = fraction.trim_end_matches('0');
        let plain = format!(
            "{}{}.{fraction}0",
            if unsigned.len() < text.len() { "-" } else { "" },
            whole
        );
        let amount = Decimal::from_str_exact(&plain).map_err(|_overflow| InvalidMoney::TooLarge)?;
        Self::new(amount, currency)
    }

    /// The price of `quantity` units.
    #[must_use]
    pub fn times(self, quantity: i64) -> Self {
        Self(self.0 * Decimal::from(quantity))
    }

    /// The amount as an exact decimal.
    #[must_use]
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// The amount as text with the minor digits of the currency: `600.00`. Never drops digits that the amount has.
    #[must_use]
    pub fn to_text(self, currency: Currency) -> String {
        let mut amount = self.0.normalize();
        amount.rescale(amount.scale().max(currency.minor_digits()));
        amount.to_string()
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Money {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Money {
    type Output = Self;

    fn neg(self) -> Self {
        // `Decimal` has a negative zero, which would be written as `-0.00`.
        Self(if self.0.is_zero() { self.0 } else { -self.0 })
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// The currency of a business: an ISO 4217 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, DeriveValueType, ToSchema)]
#[sea_orm(value_type = "String")]
#[schema(value_type = String, example = "USD", pattern = "^[A-Z]{3}$")]
pub struct Currency(iso_currency::Currency);

/// Text that is not an ISO 4217 code, or the code of a currency without a minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 4217 currency code such as \"USD\"")]
pub struct UnknownCurrency;

impl Currency {
    /// The United States dollar.
    pub const USD: Self = Self(iso_currency::Currency::USD);

    /// The number of digits after the decimal point: 2 for USD, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn minor_digits(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.exponent().is_some())
            .map(Self)
            .ok_or(UnknownCurrency)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.code())
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Result<Money, InvalidMoney> {
        Money::parse(text, Currency::USD)
    }

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn plain_decimals_are_read_exactly() {
        for (text, shown) in [
            ("600", "600.00"),
            ("0.1", "0.10"),
            ("007.50", "7.50"),
            ("1.50000000", "1.50"),
        ] {
            assert_eq!(usd(text).unwrap().to_text(Currency::USD), shown);
        }
        assert_eq!(
            usd("999999999999999.99").unwrap().to_text(Currency::USD),
            "999999999999999.99"
        );
        let long = format!("{}1.5{}", "0".repeat(60), "0".repeat(60));
        assert_eq!(usd(&long).unwrap().to_text(Currency::USD), "1.50");
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for text in [
            "", ".", "1.", ".5", "1e3", "+1", "1,000", " 1", "NaN", "--1", "0x10", "١",
        ] {
            assert_eq!(usd(text), Err(InvalidMoney::NotDecimal), "{text:?}");
        }
        assert_eq!(usd("-0.01"), Err(InvalidMoney::Negative));
        assert_eq!(usd("1000000000000000"), Err(InvalidMoney::TooLarge));
        assert_eq!(usd(&"9".repeat(200)), Err(InvalidMoney::TooLarge));
        assert!(matches!(
            usd("1.001"),
            Err(InvalidMoney::TooPrecise { digits: 2, .. })
        ));
        assert!(matches!(
            usd("0.00000000000000000000000000000000001"),
            Err(InvalidMoney::TooPrecise { .. })
        ));
    }

    #[test]
    fn each_currency_has_its_digits() {
        assert_eq!(
            Money::parse("5", currency("JPY"))
                .unwrap()
                .to_text(currency("JPY")),
            "5"
        );
        assert!(Money::parse("5.5", currency("JPY")).is_err());
        assert_eq!(
            Money::parse("5.125", currency("KWD"))
                .unwrap()
                .to_text(currency("KWD")),
            "5.125"
        );
        assert!(
            "XXX".parse::<Currency>().is_err(),
            "no currency has no amounts"
        );
        assert!("usd".parse::<Currency>().is_err());
    }

    #[test]
    fn nothing_taken_away_is_nothing() {
        assert_eq!((-Money::ZERO).to_text(Currency::USD), "0.00");
        assert_eq!((-usd("5").unwrap()).to_text(Currency::USD), "-5.00");
    }

    #[test]
    fn the_largest_order_that_can_be_asked_for_does_not_overflow() {
        let price = usd("999999999999999.99").unwrap();
        let total: Money = (0..500).map(|_| price.times(1_000_000)).sum();
        assert_eq!(total.to_text(Currency::USD), "499999999999999995000000.00");
    }
}
