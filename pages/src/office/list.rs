//! The common parts of lists of the back office.

/// A filter that is on and has no field of its own, such as the customer whose orders are listed.
#[derive(Debug, Clone)]
pub struct Chip {
    /// The name of the parameter.
    pub name: &'static str,
    pub value: String,
    /// What it selects, for people: `Customer: Example Customer`.
    pub text: String,
    /// The address of the list without it.
    pub without: String,
}

/// A column by which a list can be sorted.
#[derive(Debug, Clone)]
pub struct Ordering {
    /// The value of `aria-sort`: `ascending`, `descending` or `none`.
    pub state: &'static str,
    /// The address of the list in this order, or in the opposite one; `None` where it is not possible.
    pub address: Option<String>,
}

impl Ordering {
    pub(crate) fn icon(&self) -> Option<&'static str> {
        match self.state {
            "ascending" => Some("arrow-up"),
            "descending" => Some("arrow-down"),
            _ => None,
        }
    }
}
