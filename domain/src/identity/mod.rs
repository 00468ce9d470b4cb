//! Identity: businesses, users, customers, and all that authenticates callers.
//!
//! May use `audit` and `foundation`.

pub mod api_keys;
pub mod businesses;
pub mod customer_changes;
pub mod customers;
pub mod founding;
pub mod login;
pub mod passwords;
pub mod refresh;
pub mod refresh_tokens;
pub(crate) mod revocation;
pub mod users;
