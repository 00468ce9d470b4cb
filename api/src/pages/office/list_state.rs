//! The state of a list: the parameters of its address, which are all that it has.

use crate::pages::here::{Here, fresh};
use crate::schema::query::Query;

/// The parameters of a list, as they were sent, and its path.
#[derive(Debug)]
pub(super) struct ListState {
    path: String,
    texts: Vec<(&'static str, String)>,
}

impl ListState {
    /// The parameters with these names. Empty ones are left out.
    pub(super) fn of(here: &Here, query: &Query, names: &[&'static str]) -> Self {
        let texts = names
            .iter()
            .map(|name| (*name, query.peek(name).to_owned()));
        Self {
            path: here.req.path().to_owned(),
            texts: texts.filter(|(_, text)| !text.is_empty()).collect(),
        }
    }

    /// The text of a parameter; empty without it.
    pub(super) fn text(&self, name: &str) -> &str {
        let found = self.texts.iter().find(|(other, _)| *other == name);
        found.map_or("", |(_, text)| text)
    }

    /// Whether a parameter is set that is not one of these.
    pub(super) fn has_others_than(&self, names: &[&str]) -> bool {
        self.texts.iter().any(|(name, _)| !names.contains(name))
    }

    /// The address of the list.
    pub(super) fn address(&self) -> String {
        self.with("", "")
    }

    /// The address with another value of a parameter; without it if the value is empty.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        self.at(&self.path, name, value)
    }

    /// The address of all rows as CSV.
    pub(super) fn csv(&self) -> String {
        self.at(&format!("{}.csv", self.path), "", "")
    }

    fn at(&self, path: &str, name: &str, value: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (other, text) in self.texts.iter().filter(|(other, _)| *other != name) {
            query.append_pair(other, text);
        }
        if !value.is_empty() {
            query.append_pair(name, value);
        }
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// The form with the parameters, and with what is wrong with them.
    pub(super) fn form(&self, faults: Vec<(String, String)>) -> pages::Form {
        let texts = self.texts.iter();
        pages::Form {
            values: texts
                .map(|(name, text)| ((*name).to_owned(), text.clone()))
                .collect(),
            faults,
            ..fresh()
        }
    }
}
