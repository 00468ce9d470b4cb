//! The audit wing: entries, the seals that prove them unchanged, and the access log.
//!
//! May use `foundation`.

pub mod access_log;
mod entries;
mod new_events;
pub mod seals;

pub(crate) use entries::{
    Actor, Change, NOBODY, SYSTEM, Written, is_written, record, record_as, role_name,
};
pub use entries::{Filter, NoPlace, Place, list};
pub(crate) use new_events::Event;
