//! Access control: roles, credentials, and the isolation of businesses.

mod api_keys;
mod auth;
mod changed_emails;
mod deleted_users;
mod emails;
mod failed_logins;
mod gateways;
mod lockouts;
mod named_businesses;
mod other_tenants;
mod password_change;
mod password_resets;
mod passwords;
mod refresh_tokens;
pub(crate) mod roles;
mod suggested_customers;
mod tokens;
mod tokens_rotation;
mod unknown_businesses;
mod users;
