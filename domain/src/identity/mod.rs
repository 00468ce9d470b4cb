//! Identity: businesses, users, customers, and all that authenticates callers.
//!
//! May use `audit` and `foundation`.

mod access_tokens;
pub mod api_keys;
pub mod businesses;
pub mod customer_changes;
pub mod customers;
pub mod founding;
pub mod login;
pub mod password_change;
pub mod password_resets;
pub mod passwords;
pub mod refresh;
pub mod refresh_tokens;
mod reset_codes;
pub(crate) mod revocation;
pub mod session_rows;
pub mod sessions;
pub mod suggested_customers;
pub mod users;
