//! Lists by keyset: a page continues after the last row of the one before it, so rows that are added meanwhile neither
//! shift nor repeat anything, and page 1,000 costs what page 1 does.

/// One page and where the next starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// The rows, at most as many as were asked for.
    pub rows: Vec<T>,
    /// The key of the last row, when there are more after it.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// Makes a page of `limit` from rows of which one more was read than is shown.
    pub(crate) fn of(mut rows: Vec<T>, limit: u64, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(key) } else { None };
        Self { rows, next }
    }
}
