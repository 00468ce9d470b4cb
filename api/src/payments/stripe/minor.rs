//! Conversion between amounts and Stripe's integers, which count a unit of the currency.
//!
//! Stripe defines the unit (docs.stripe.com/currencies), not ISO 4217. The two differ for currencies that have changed.
//! Nothing is ever rounded: an amount without an exact integer cannot be charged.

use entity::{Currency, Money};
use rust_decimal::Decimal;

/// Currencies charged in whole units.
const ZERO_DECIMAL: [&str; 15] = [
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF",
    "XOF", "XPF",
];
/// Currencies charged in whole units but written in hundredths, for compatibility with their former form.
const WHOLE_AS_HUNDREDTHS: [&str; 2] = ["ISK", "UGX"];
/// Currencies written in thousandths, with 0 as the last digit.
const THREE_DECIMAL: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

/// The unit in which a currency's amounts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unit {
    /// The number of decimals that the integer includes.
    digits: u32,
    /// The integer must be a multiple of this number.
    step: i64,
}

/// Why an amount cannot be charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Inexpressible {
    /// The unit of the currency is not known.
    #[error("it takes no payments in {0}")]
    Currency(Currency),
    /// The amount has smaller parts than can be charged, or exceeds the integer's range.
    #[error("it cannot charge {} {} exactly", .0.to_text(*.1), .1)]
    Amount(Money, Currency),
}

impl Inexpressible {
    /// Stripe's code for the refusal, or a similar one.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Currency(_) => "currency_not_supported",
            Self::Amount(..) => "invalid_charge_amount",
        }
    }
}

/// The unit of a currency; `None` if Stripe accepts no payments in it.
///
/// A currency that Stripe does not list is rejected here. Stripe might read its thousandths as hundredths, and a
/// customer's payment is not the place to find out.
fn unit(currency: Currency) -> Option<Unit> {
    let code = currency.to_string();
    let is_in = |codes: &[&str]| codes.contains(&code.as_str());
    let (digits, step) = if is_in(&ZERO_DECIMAL) {
        (0, 1)
    } else if is_in(&WHOLE_AS_HUNDREDTHS) {
        (2, 100)
    } else if is_in(&THREE_DECIMAL) {
        (3, 10)
    } else if currency.minor_digits() == 2 {
        (2, 1)
    } else {
        return None;
    };
    Some(Unit { digits, step })
}

/// The integer of an amount.
///
/// # Errors
/// See [`Inexpressible`].
pub(super) fn of(amount: Money, currency: Currency) -> Result<i64, Inexpressible> {
    let unit = unit(currency).ok_or(Inexpressible::Currency(currency))?;
    exactly(amount, unit).ok_or(Inexpressible::Amount(amount, currency))
}

fn exactly(amount: Money, unit: Unit) -> Option<i64> {
    let scaled = amount
        .decimal()
        .checked_mul(Decimal::from(10_i64.pow(unit.digits)))?;
    let minor = scaled
        .is_integer()
        .then(|| i64::try_from(scaled).ok())
        .flatten()?;
    (minor % unit.step == 0).then_some(minor)
}

/// The smallest difference between two amounts that can be charged; `None` if Stripe accepts no payments in the
/// currency.
pub(super) fn step(currency: Currency) -> Option<Money> {
    let unit = unit(currency)?;
    Money::new(Decimal::new(unit.step, unit.digits), currency).ok()
}

/// The amount of an integer; `None` if it is not a valid amount of the currency.
pub(super) fn amount(minor: i64, currency: Currency) -> Option<Money> {
    let amount = Decimal::new(minor, unit(currency)?.digits);
    Money::new(amount, currency).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    fn money(text: &str, code: &str) -> Money {
        Money::parse(text, currency(code)).unwrap()
    }

    #[test]
    fn an_amount_is_written_in_its_currencys_unit_and_read_back_the_same() {
        for (text, code, minor) in [
            ("10.99", "USD", 1099),
            ("0.01", "EUR", 1),
            ("0.1", "GBP", 10),
            ("999999999999999.99", "USD", 99_999_999_999_999_999),
            // Charged in hundredths, although payouts are in whole units.
            ("5.50", "HUF", 550),
            ("5.50", "TWD", 550),
            ("500", "JPY", 500),
            ("999999999999999", "KRW", 999_999_999_999_999),
            // Whole units, written in hundredths.
            ("5", "ISK", 500),
            ("1200", "UGX", 120_000),
            ("5.12", "KWD", 5120),
            ("0.010", "TND", 10),
            // ISO 4217 has hundredths; Stripe has whole units.
            ("5.00", "MGA", 5),
        ] {
            let amount = money(text, code);
            assert_eq!(of(amount, currency(code)), Ok(minor), "{text} {code}");
            assert_eq!(
                super::amount(minor, currency(code)),
                Some(amount),
                "{text} {code}"
            );
        }
    }

    #[test]
    fn an_amount_without_an_integer_is_refused_and_never_rounded() {
        for (text, code) in [("5.124", "KWD"), ("0.001", "BHD"), ("5.50", "MGA")] {
            let (amount, currency) = (money(text, code), currency(code));
            assert_eq!(
                of(amount, currency),
                Err(Inexpressible::Amount(amount, currency))
            );
        }
        let usd = Currency::USD;
        let sum = money("999999999999999.99", "USD").times(1000);
        assert_eq!(of(sum, usd), Err(Inexpressible::Amount(sum, usd)));
        assert_eq!(
            Inexpressible::Amount(money("5.124", "KWD"), currency("KWD")).to_string(),
            "it cannot charge 5.124 KWD exactly"
        );
    }

    #[test]
    fn a_currency_of_an_unknown_unit_is_refused() {
        // ISO 4217 has thousandths, ten-thousandths and no decimals; Stripe lists none of them.
        for code in ["IQD", "LYD", "CLF", "UYI"] {
            let currency = currency(code);
            assert_eq!(
                of(money("1", code), currency),
                Err(Inexpressible::Currency(currency)),
                "{code}"
            );
            assert_eq!(amount(1, currency), None);
        }
    }

    #[test]
    fn an_integer_that_is_no_amount_of_the_currency_has_none() {
        assert_eq!(amount(-1, Currency::USD), None);
        // The króna has no parts.
        assert_eq!(amount(550, currency("ISK")), None);
        assert_eq!(amount(i64::MAX, currency("JPY")), None);
    }

    #[test]
    fn every_listed_currency_is_one_that_there_is() {
        for code in ZERO_DECIMAL
            .iter()
            .chain(&WHOLE_AS_HUNDREDTHS)
            .chain(&THREE_DECIMAL)
        {
            assert!(code.parse::<Currency>().is_ok(), "{code}");
        }
    }
}
