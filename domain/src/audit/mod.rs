//! Who did what, and the proof that nothing was changed afterwards: entries, seals, and the log of accesses.
//!
//! May use `foundation`.

pub mod access_log;
mod action;
mod entries;
mod new_events;
pub mod seals;

pub use action::Action;
pub(crate) use entries::{
    Actor, Change, NOBODY, SYSTEM, Written, is_written, record, record_as, role_name,
};
pub use entries::{Filter, NoPlace, Place, list};
pub(crate) use new_events::Event;
