//! What the provider tells.

use super::{Event, Taken};
use crate::{Database, Error};

/// Takes what the provider has told, each event once.
///
/// # Errors
/// [`Error::DatabaseUnavailable`] and its like: the provider tells it again.
pub async fn receive(_database: &Database, _event: &Event) -> Result<Taken, Error> {
    Ok(Taken::NotOurs)
}
