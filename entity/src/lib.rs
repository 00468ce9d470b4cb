//! The rows of the database: ids, amounts, statuses, and one file per table.
//!
//! Invariant: a query on a tenant's table starts from the tenant ([`Tenant::of`]). `clippy.toml` bans the bare `find`
//! and its like, with one exception in this crate.

#![expect(
    clippy::disallowed_methods,
    reason = "SeaORM's derives and `Tenant` start the queries; nothing else in the workspace does"
)]

mod addresses;
pub mod allocations;
pub mod api_keys;
pub mod audit_events;
pub mod audit_seals;
pub mod businesses;
pub mod credit_note_items;
pub mod credit_notes;
pub mod credits_on_account;
pub mod customers;
pub mod disputes;
pub mod held_stock;
mod id_sequence;
pub mod idempotency_keys;
mod ids;
pub mod inventory;
pub mod ledger_entries;
mod metadata;
mod money;
pub mod opening_items;
pub mod order_items;
mod order_number;
pub mod order_transitions;
pub mod orders;
pub mod password_resets;
pub mod payment_intents;
pub mod payments;
pub mod payout_allocations;
pub mod payouts;
mod picture;
pub mod product_pictures;
pub mod products;
pub mod provider_events;
mod quantity;
pub mod refresh_tokens;
pub mod refund_items;
pub mod refunds;
pub mod reservation_items;
pub mod reservations;
pub mod reversals;
pub mod sale_products;
pub mod sales;
pub mod search_terms;
pub mod sessions;
pub mod stock_movements;
mod tenant;
mod time_zone;
pub mod users;
pub mod write_offs;

pub use addresses::{Address, AddressKind, CustomerAddress, CustomerAddresses};
pub use ids::{
    AllocationId, ApiKeyId, BusinessId, CreditNoteId, CustomerId, DisputeId, EventId,
    LedgerEntryId, MovementId, OrderId, PaymentId, PayoutAllocationId, PayoutId, PictureId,
    ProductId, RefreshTokenId, RefundId, ReservationId, SaleId, SessionId, UserId, WriteOffId,
};
pub use metadata::Metadata;
pub use money::{Currency, InvalidMoney, Money, UnknownCurrency};
pub use order_number::OrderNumber;
pub use picture::{Picture, PictureSize};
pub use quantity::{InvalidQuantity, Quantity};
pub use tenant::Tenant;
pub use time_zone::{TimeZone, UnknownTimeZone};
