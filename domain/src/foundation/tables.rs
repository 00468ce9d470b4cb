//! The common parts of all imports: unique values, the refusal of a table, and the insert of its rows.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use sea_orm::{ConnectionTrait, Statement};

use crate::foundation::imports::{RowFault, RowRefusal};
use crate::{Error, Transaction};

/// Refuses a table that has faults.
///
/// # Errors
/// [`Error::RowsRefused`] with all of them.
pub(crate) fn refuse(faults: Vec<RowFault>) -> Result<(), Error> {
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::RowsRefused(faults)),
    }
}

/// Finds values that must be unique, and that the books or an earlier row have.
#[derive(Debug)]
pub(crate) struct Unique<K> {
    taken: HashSet<K>,
    first: HashMap<K, u64>,
}

impl<K: Eq + Hash> Unique<K> {
    /// With the values that the books have.
    pub(crate) fn beside(taken: impl IntoIterator<Item = K>) -> Self {
        Self {
            taken: taken.into_iter().collect(),
            first: HashMap::new(),
        }
    }

    /// Why the row on this line cannot have the value.
    pub(crate) fn refusal(&mut self, line: u64, value: K) -> Option<RowRefusal> {
        if self.taken.contains(&value) {
            return Some(RowRefusal::Taken);
        }
        let first = *self.first.entry(value).or_insert(line);
        (first != line).then_some(RowRefusal::Repeated(first))
    }
}

/// Inserts rows that were checked. A concurrent request may have used a unique value since: the next attempt finds it.
///
/// # Errors
/// [`Error::Contention`] for such a value.
pub(crate) async fn insert(transaction: &Transaction, statement: Statement) -> Result<(), Error> {
    let inserted = transaction.execute_raw(statement).await;
    inserted.map_err(|error| match Error::from(error) {
        Error::AlreadyExists(_) => Error::Contention,
        other => other,
    })?;
    Ok(())
}
