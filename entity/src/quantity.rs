//! The quantity of a product on one line of a request.

use sea_orm::DeriveValueType;

/// A number of units: 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Quantity(i64);

/// A number outside the range of [`Quantity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to 1,000,000")]
pub struct InvalidQuantity;

impl Quantity {
    /// The highest quantity of one line.
    pub const MAX: i64 = 1_000_000;

    /// # Errors
    /// [`InvalidQuantity`] outside 1 to [`Quantity::MAX`].
    pub fn new(count: i64) -> Result<Self, InvalidQuantity> {
        if (1..=Self::MAX).contains(&count) {
            Ok(Self(count))
        } else {
            Err(InvalidQuantity)
        }
    }

    /// The number of units.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}
