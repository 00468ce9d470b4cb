//! The rules of the trade, and the only place that opens a transaction. Knows no HTTP.
//!
//! The modules are wings. Each may use those below it in the list, and none above; `ARCHITECTURE.md` has the picture, and
//! a test reads the `use` lines.
//!
//! | wing | subject |
//! | --- | --- |
//! | [`verify`], [`demo`] | proofs over all books; demo data |
//! | [`desk`] | executes the commands that sell |
//! | [`cancellation`] | cancels orders |
//! | [`card`] | checkout by card, refunds, disputes |
//! | [`receivables`] | customers' accounts |
//! | [`orders`] | reading and fulfilling orders |
//! | [`catalogue`] | products and timed sales |
//! | [`stock`] | stock, holds and waitlists |
//! | [`identity`] | businesses, users, customers, credentials |
//! | [`audit`] | audit entries, seals, the access log |
//! | [`foundation`] | database, locks, retry, idempotency, errors |
//!
//! Every write takes the same path: begin, lock rows in the one order (customers by id, inventory by product id, orders
//! by id), decide in memory, write, commit. Nothing is checked before `begin`, and nothing outside the database is
//! called before the commit.

pub mod audit;
pub mod cancellation;
pub mod card;
pub mod catalogue;
pub mod demo;
pub mod desk;
pub mod foundation;
pub mod identity;
pub mod orders;
pub mod receivables;
pub mod stock;
pub mod verify;

pub use audit::access_log::{AccessLog, Refusal, RevokedCredential};
pub use foundation::caller::{Authority, Caller, PlatformCaller};
pub use foundation::database::{CannotConnect, Database, SchemaState, Transaction};
pub use foundation::error::{DateFault, Error, HoldLimit, RefusedAmount, Shortage};
pub use foundation::idempotency::{IdempotencyKey, Outcome, StoredResponse};
pub use foundation::pages::{Page, Paging};
pub use foundation::secret::Secret;
pub use foundation::write::WriteRequest;
pub use identity::businesses::BusinessCache;
pub use identity::revocation::{Key, RevocationCache};
pub use receivables::accounts::{AccountSummary, Posted};
