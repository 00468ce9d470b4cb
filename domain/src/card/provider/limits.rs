//! Limits of a provider on amounts. They are known without a call, before an order or a refund exists.

use entity::Money;

use crate::foundation::error::RefusedAmount;

/// Amounts of one currency that a provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The smallest payment; `None` is no minimum.
    pub minimum: Option<Money>,
    /// The largest payment; `None` is no maximum.
    pub maximum: Option<Money>,
    /// Every amount, also of a refund, must be a multiple of this; `None` allows all amounts of the currency.
    pub step: Option<Money>,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self {
        minimum: None,
        maximum: None,
        step: None,
    };

    /// Checks that a payment of this amount is taken.
    ///
    /// # Errors
    /// The limit that the amount violates.
    pub fn check_payment(&self, amount: Money) -> Result<(), RefusedAmount> {
        if let Some(minimum) = self.minimum.filter(|minimum| amount < *minimum) {
            let refused = RefusedAmount::with_code("amount_too_small");
            return Err(RefusedAmount {
                minimum: Some(minimum),
                ..refused
            });
        }
        if let Some(maximum) = self.maximum.filter(|maximum| amount > *maximum) {
            let refused = RefusedAmount::with_code("amount_too_large");
            return Err(RefusedAmount {
                maximum: Some(maximum),
                ..refused
            });
        }
        self.check_step(amount)
    }

    /// Checks that a payment can have this part: a refund, or what remains after it.
    ///
    /// # Errors
    /// The limit that the amount violates.
    pub fn check_step(&self, amount: Money) -> Result<(), RefusedAmount> {
        let step = self.step.filter(|step| *step > Money::ZERO);
        let broken = step.filter(|step| !(amount.decimal() % step.decimal()).is_zero());
        match broken {
            None => Ok(()),
            Some(step) => Err(RefusedAmount {
                step: Some(step),
                ..RefusedAmount::with_code("invalid_charge_amount")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use entity::Currency;

    use super::*;

    fn money(text: &str) -> Money {
        Money::parse(text, Currency::USD).unwrap()
    }

    #[test]
    fn a_payment_is_within_its_bounds_and_a_multiple_of_its_step() {
        let limits = Limits {
            minimum: Some(money("0.50")),
            maximum: Some(money("100")),
            step: Some(money("0.05")),
        };
        for good in ["0.50", "0.55", "99.95", "100"] {
            assert_eq!(limits.check_payment(money(good)), Ok(()), "{good}");
        }
        let small = limits.check_payment(money("0.49")).unwrap_err();
        assert_eq!(small.code, "amount_too_small");
        assert_eq!(small.minimum, Some(money("0.50")));
        let large = limits.check_payment(money("100.01")).unwrap_err();
        assert_eq!(large.code, "amount_too_large");
        assert_eq!(large.maximum, Some(money("100")));
        let between = limits.check_payment(money("0.52")).unwrap_err();
        assert_eq!(between.code, "invalid_charge_amount");
        assert_eq!(between.step, Some(money("0.05")));
        // A part of a payment may be smaller than the smallest payment.
        assert_eq!(limits.check_step(money("0.05")), Ok(()));
        assert_eq!(
            limits.check_step(money("0.01")).unwrap_err().step,
            limits.step
        );
    }

    #[test]
    fn without_limits_any_amount_will_do() {
        for amount in ["0.01", "999999999999999.99"] {
            assert_eq!(
                Limits::NONE.check_payment(money(amount)),
                Ok(()),
                "{amount}"
            );
        }
    }
}
