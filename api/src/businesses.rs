//! A stand-in for `domain::businesses::Directory`, with the same signatures, until that is there.

use std::sync::Arc;

use entity::{BusinessId, Currency};

/// What a request needs to know of its business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Business {
    /// Its id.
    pub id: BusinessId,
    /// Its name in addresses.
    pub slug: String,
    /// The currency of all its amounts.
    pub currency: Currency,
}

/// The businesses there are.
#[derive(Debug, Default)]
pub struct Directory(Vec<Arc<Business>>);

impl Directory {
    /// These and no others.
    #[must_use]
    pub fn fixed(businesses: impl IntoIterator<Item = Business>) -> Self {
        Self(businesses.into_iter().map(Arc::new).collect())
    }

    /// The business with this id.
    ///
    /// # Errors
    /// The database's.
    #[expect(
        clippy::unused_async,
        reason = "the directory that replaces it asks the database"
    )]
    pub async fn by_id(&self, id: BusinessId) -> Result<Option<Arc<Business>>, domain::Error> {
        Ok(self.0.iter().find(|business| business.id == id).cloned())
    }

    /// The business with this slug or id.
    ///
    /// # Errors
    /// The database's.
    #[expect(
        clippy::unused_async,
        reason = "the directory that replaces it asks the database"
    )]
    pub async fn by_name(&self, name: &str) -> Result<Option<Arc<Business>>, domain::Error> {
        let id = name.parse().ok();
        let found = |business: &&Arc<Business>| business.slug == name || Some(business.id) == id;
        Ok(self.0.iter().find(found).cloned())
    }
}
