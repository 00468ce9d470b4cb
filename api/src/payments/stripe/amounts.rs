//! The lowest and the highest payments that Stripe accepts.
//!
//! Sources: docs.stripe.com/currencies, "Minimum and maximum charge amounts", and the description of `amount` in
//! docs.stripe.com/api/payment_intents/create.
//!
//! The minimums are those of an account with payouts in the same currency. For other accounts Stripe applies the
//! minimum after conversion, which only Stripe can know. A limit that is not listed here is left to Stripe, which
//! rejects the payment when it is requested.

use domain::card::provider::Limits;
use entity::{Currency, Money};

use super::minor;

/// The lowest payment in each currency, in Stripe's minor units.
const MINIMUM: [(&str, i64); 24] = [
    ("AED", 200),
    ("AUD", 50),
    ("BGN", 100),
    ("BRL", 50),
    ("CAD", 50),
    ("CHF", 50),
    ("CZK", 1500),
    ("DKK", 250),
    ("EUR", 50),
    ("GBP", 30),
    ("HKD", 400),
    ("HUF", 17_500),
    ("INR", 50),
    ("JPY", 50),
    ("MXN", 1000),
    ("MYR", 200),
    ("NOK", 300),
    ("NZD", 50),
    ("PLN", 200),
    ("RON", 200),
    ("SEK", 300),
    ("SGD", 50),
    ("THB", 1000),
    ("USD", 50),
];

/// The highest integer in currencies with units of low value: 10 digits, 12 for IDR.
const MAXIMUM: [(&str, i64); 4] = [
    ("COP", 9_999_999_999),
    ("HUF", 9_999_999_999),
    ("IDR", 999_999_999_999),
    ("JPY", 9_999_999_999),
];

/// The highest integer in all other currencies: 8 digits.
const MAXIMUM_OF_OTHERS: i64 = 99_999_999;

/// The limits in a currency; `None` if Stripe accepts no payments in it.
pub(super) fn limits(currency: Currency) -> Option<Limits> {
    let step = minor::step(currency)?;
    let code = currency.to_string();
    let listed = |table: &[(&str, i64)]| {
        let entry = table.iter().find(|(listed, _)| *listed == code);
        entry.map(|(_, minor)| *minor)
    };
    let amount = |minor| minor::amount(minor, currency);
    let maximum = listed(&MAXIMUM).unwrap_or(MAXIMUM_OF_OTHERS);
    Some(Limits {
        minimum: listed(&MINIMUM).and_then(amount),
        maximum: amount(maximum).or_else(|| whole(maximum, currency)),
        step: Some(step),
    })
}

/// The highest amount up to `minor` in a currency that is written in hundredths and charged in whole units.
fn whole(minor: i64, currency: Currency) -> Option<Money> {
    minor::amount(minor - minor % 100, currency)
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
    fn each_currency_has_its_bounds_and_its_step() {
        for (code, minimum, maximum, step) in [
            ("USD", Some("0.50"), "999999.99", "0.01"),
            ("GBP", Some("0.30"), "999999.99", "0.01"),
            ("JPY", Some("50"), "9999999999", "1"),
            ("HUF", Some("175.00"), "99999999.99", "0.01"),
            ("IDR", None, "9999999999.99", "0.01"),
            ("KRW", None, "99999999", "1"),
            ("KWD", None, "99999.999", "0.010"),
            // Written in hundredths, charged in whole units.
            ("ISK", None, "999999", "1"),
        ] {
            let limits = limits(currency(code)).unwrap();
            let amount = |text| money(text, code);
            assert_eq!(limits.minimum, minimum.map(amount), "{code}");
            assert_eq!(limits.maximum, Some(amount(maximum)), "{code}");
            assert_eq!(limits.step, Some(amount(step)), "{code}");
        }
        assert_eq!(limits(currency("IQD")), None);
    }

    #[test]
    fn only_amounts_within_the_limits_can_be_written() {
        for (text, code) in [
            ("0.50", "USD"),
            ("999999.99", "USD"),
            ("5.12", "KWD"),
            ("5", "ISK"),
            ("50", "JPY"),
        ] {
            let limits = limits(currency(code)).unwrap();
            assert_eq!(
                limits.check_payment(money(text, code)),
                Ok(()),
                "{text} {code}"
            );
            assert!(minor::of(money(text, code), currency(code)).is_ok());
        }
        for (text, code, refusal) in [
            ("0.49", "USD", "amount_too_small"),
            ("1000000", "USD", "amount_too_large"),
            ("1.235", "KWD", "invalid_charge_amount"),
            ("49", "JPY", "amount_too_small"),
        ] {
            let limits = limits(currency(code)).unwrap();
            let refused = limits.check_payment(money(text, code)).unwrap_err();
            assert_eq!(refused.code, refusal, "{text} {code}");
        }
    }

    #[test]
    fn every_listed_currency_is_one_that_there_is() {
        for (code, _) in MINIMUM.iter().chain(&MAXIMUM) {
            assert!(limits(currency(code)).is_some(), "{code}");
        }
    }
}
