//! How many of a product a request may ask for.

use sea_orm::DeriveValueType;

/// A count of items on one line of a request: 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Quantity(i64);

/// A number that is no [`Quantity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to 1,000,000")]
pub struct InvalidQuantity;

impl Quantity {
    /// The most that one line may ask for.
    pub const MAX: i64 = 1_000_000;

    /// # Errors
    /// Outside 1 to [`Quantity::MAX`].
    pub fn new(count: i64) -> Result<Self, InvalidQuantity> {
        if (1..=Self::MAX).contains(&count) {
            Ok(Self(count))
        } else {
            Err(InvalidQuantity)
        }
    }

    /// The plain count.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}
