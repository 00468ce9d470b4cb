//! The audit wing: entries, the changes that followers read by them, the seals that prove them unchanged, and the
//! access log.
//!
//! May use `foundation`.

pub mod access_log;
mod action;
mod change;
pub mod changes;
mod entries;
mod new_events;
pub mod seals;

pub use action::Action;
pub(crate) use change::{Actor, Change, NOBODY, SYSTEM, Written, role_name};
pub use entries::{EntryCursor, Filter, NotEntryCursor, list};
pub(crate) use entries::{is_written, record, record_all, record_as};
pub(crate) use new_events::Event;
