//! Asking the provider for whatever is due.

use entity::BusinessId;

use crate::provider::{Provider, Shared};
use crate::{Database, Error};

/// Asks in the background.
#[derive(Debug)]
pub struct Cashier {
    provider: Shared,
}

impl Cashier {
    /// With this provider, if there is one.
    #[must_use]
    pub fn new(provider: Shared) -> Self {
        Self { provider }
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> Option<&dyn Provider> {
        self.provider.as_deref()
    }

    /// There is something to ask in this business, or soon will be.
    pub fn watch(&self, _business: BusinessId) {}

    /// Works for ever.
    pub async fn keep_working(&self, _database: &Database) {}
}

/// Asks for everything that is due in a business. Says how much there was.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn work(
    _database: &Database,
    _provider: &dyn Provider,
    _business: BusinessId,
) -> Result<u64, Error> {
    Ok(0)
}
