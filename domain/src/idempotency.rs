//! Answering a repeated request with the first answer.
//!
//! A keyed request's answer is a row of the same transaction as its effect, unique per business, caller and key. A
//! repetition finds the row after it has locked what it would change, so a twin that runs at the same moment waits for
//! the first and then replays it; where nothing is locked, the second insert of the key fails, and the retry finds the
//! row. Only successes are kept: a request that was refused is decided anew.

use entity::{Tenant, idempotency_keys};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect,
};

use crate::{Caller, Database, Error, Transaction};

/// What makes two requests one: the key that the client chose, and a hash of everything it asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// 1 to 255 visible ASCII characters.
    pub key: String,
    /// SHA-256 of method, path and body.
    pub request_hash: [u8; 32],
}

/// An answer in the form that the client gets, kept and repeated byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where the created resource is.
    pub location: Option<String>,
    /// The body, JSON.
    pub body: String,
}

/// An answer, and whether it is a repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What the client gets.
    pub answer: Answer,
    /// True when nothing was done, since it had been done before.
    pub replayed: bool,
}
