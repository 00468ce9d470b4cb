//! The business rules, and the only crate that opens a database transaction. It knows no HTTP.
//!
//! The modules are wings. Each may use the wings below it in the list and none above. `ARCHITECTURE.md` has the
//! picture; a test reads the `use` lines.
//!
//! | wing | subject |
//! | --- | --- |
//! | [`verify`], [`demo`] | proofs over all stored state; demo data |
//! | [`desk`] | executes the commands that sell |
//! | [`cancellation`] | cancels orders |
//! | [`card`] | checkout by card, refunds, disputes |
//! | [`receivables`] | customers' accounts |
//! | [`orders`] | reading and fulfilling orders |
//! | [`catalogue`] | products and timed sales |
//! | [`stock`] | stock, holds and waitlists |
//! | [`identity`] | businesses, users, customers, credentials |
//! | [`audit`] | audit entries, changes for followers, seals, the access log |
//! | [`foundation`] | database, locks, retry, idempotency, errors |
//!
//! Every write takes the same steps: begin, lock rows, decide in memory, write, commit. The lock order is customers
//! by id, inventory by product id, orders by id. No check runs before `begin`, and no external service is called
//! before the commit.

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
pub mod reports;
pub mod stock;
pub mod verify;

pub use audit::access_log::{AccessLog, Refusal, RevokedCredential};
pub use catalogue::cache::CatalogueCache;
pub use foundation::caller::{Authority, Caller, PlatformCaller};
pub use foundation::database::{CannotConnect, Database, SchemaState, Transaction};
pub use foundation::error::{
    DateFault, Error, HoldLimit, MAX_PICTURE_PIXELS, MAX_PICTURE_SIDE, PictureFault, RefusedAmount,
    Shortage,
};
pub use foundation::idempotency::{IdempotencyKey, Outcome, StoredResponse};
pub use foundation::pages::{Page, Paging};
pub use foundation::secret::Secret;
pub use foundation::write::WriteRequest;
pub use identity::businesses::BusinessCache;
pub use identity::revocation::{Key, RevocationCache, UserToken};
pub use identity::sessions::{Session, SessionCache};
pub use receivables::accounts::{AccountSummary, Posted};
