//! The rows of the database: ids, amounts, statuses, and one file a table.
//!
//! Invariant: a query on a tenant's table starts from the tenant ([`Tenant::of`]). The bare `find` and its like are
//! banned by `clippy.toml`, with one exception in this crate.

#![expect(
    clippy::disallowed_methods,
    reason = "SeaORM's derives and `Tenant` start the queries; nothing else in the workspace does"
)]

pub mod api_keys;
pub mod audit_events;
pub mod businesses;
pub mod customers;
pub mod idempotency_keys;
mod ids;
pub mod inventory;
pub mod ledger_entries;
mod money;
pub mod order_items;
pub mod orders;
pub mod products;
mod quantity;
pub mod refresh_tokens;
pub mod stock_movements;
mod tenant;
pub mod users;

pub use ids::{
    ApiKeyId, BusinessId, CustomerId, EventId, LedgerEntryId, MovementId, OrderId, ProductId,
    RefreshTokenId, UserId,
};
pub use money::{Currency, InvalidMoney, Money, UnknownCurrency};
pub use quantity::{InvalidQuantity, Quantity};
pub use tenant::Tenant;
