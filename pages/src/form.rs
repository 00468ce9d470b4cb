//! Forms: what was typed, what is wrong with it, and what was refused.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;

use crate::text::{self, Count};
use crate::words;

/// The state of a form. A fresh one has a key and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// The idempotency key of what the form asks for.
    pub idempotency_key: String,
    /// The typed texts, by the field's name. Never a password.
    pub values: BTreeMap<String, String>,
    /// The name of a field and what is wrong with its value, as in the API's `errors`.
    pub faults: Vec<(String, String)>,
    /// Why the request was refused although its values are valid.
    pub refusal: Option<Refusal>,
    /// The start of the ids of its fields, where a page has several forms.
    pub scope: &'static str,
}

/// Why a request was refused, what is true now, and what the visitor can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The event, in a few words.
    pub title: String,
    /// The sentences below.
    pub text: String,
    /// Names and values that matter, such as the available credit.
    pub figures: Vec<(String, String)>,
    /// Links to what can be done: text and address.
    pub links: Vec<(String, String)>,
}

impl Refusal {
    /// The refusal with a code of the API. The detail is shown where this crate has no words for the code.
    #[must_use]
    pub fn of(code: &str, detail: &str) -> Self {
        let (title, text) = words::refusal(code).unwrap_or(("This was not possible", detail));
        Self {
            title: title.to_owned(),
            text: text.to_owned(),
            figures: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Adds a name and its value.
    #[must_use]
    pub fn figure(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.figures.push((name.into(), value.into()));
        self
    }

    /// Adds something that the visitor can do.
    #[must_use]
    pub fn link(mut self, text: impl Into<String>, address: impl Into<String>) -> Self {
        self.links.push((text.into(), address.into()));
        self
    }
}

impl Form {
    /// A form with a new key.
    #[must_use]
    pub fn new(idempotency_key: impl Into<String>) -> Self {
        Self {
            idempotency_key: idempotency_key.into(),
            ..Self::default()
        }
    }

    /// The text typed into a field; empty without one.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Whether the page is to say that something is wrong.
    pub(crate) fn is_refused(&self) -> bool {
        self.refusal.is_some() || !self.faults.is_empty()
    }

    /// A field with its label, its value and its fault.
    pub(crate) fn field(&self, name: &str) -> Field {
        Field {
            id: id(self.scope, name),
            name: name.to_owned(),
            label: words::field(name).to_owned(),
            value: self.value(name).to_owned(),
            fault: self.fault(name),
            kind: "text",
            autocomplete: "off",
            hint: None,
            required: false,
            optional: true,
            max: None,
            lines: 0,
        }
    }

    /// The field for the units of one of the items.
    pub(crate) fn units(
        &self,
        index: impl Borrow<usize>,
        product: &str,
        most: impl Count,
    ) -> Field {
        let field = self.field(&format!("items/{}/quantity", index.borrow()));
        let most = text::number(most);
        field
            .label(&format!("{product}, of {most}"))
            .needed()
            .max(20)
    }

    /// The fault of a field, as a sentence.
    fn fault(&self, name: &str) -> Option<String> {
        let fault = self.faults.iter().find(|(field, _)| field == name);
        fault.map(|(_, message)| capitalised(message))
    }

    /// The list at the head of the page that leads to each field with a fault.
    pub(crate) fn summary(&self) -> Summary {
        let faults = self.faults.iter();
        Summary {
            refusal: self.refusal.clone(),
            faults: faults
                .map(|(field, message)| (id(self.scope, field), sentence(field, message)))
                .collect(),
        }
    }
}

/// The id of a field's element. A name may have slashes, as pointers do.
fn id(scope: &str, name: &str) -> String {
    format!("f-{scope}{}", name.replace('/', "-"))
}

/// A message about a field as a sentence: `Email address must be …`.
fn sentence(field: &str, message: &str) -> String {
    let label = words::field(field);
    if message.starts_with(char::is_uppercase) {
        message.to_owned()
    } else {
        format!("{label}: {}.", message.trim_end_matches('.'))
    }
}

/// A message as a sentence without its subject: `Must be …`.
fn capitalised(message: &str) -> String {
    let mut letters = message.trim_end_matches('.').chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(['.']).collect()
}

/// The messages above a form.
#[derive(Debug, Template)]
#[template(path = "parts/summary.html")]
pub(crate) struct Summary {
    refusal: Option<Refusal>,
    faults: Vec<(String, String)>,
}

impl HtmlSafe for Summary {}

/// One field of a form.
#[derive(Debug, Template)]
#[template(path = "parts/field.html")]
pub(crate) struct Field {
    id: String,
    name: String,
    label: String,
    value: String,
    fault: Option<String>,
    kind: &'static str,
    autocomplete: &'static str,
    hint: Option<&'static str>,
    required: bool,
    /// Whether the label says that the field may stay empty.
    optional: bool,
    max: Option<usize>,
    /// The height of a field for several lines; 0 for one line.
    lines: usize,
}

impl HtmlSafe for Field {}

impl Field {
    pub(crate) fn label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// Makes it a field for an email address.
    pub(crate) fn email(mut self) -> Self {
        self.kind = "email";
        self
    }

    /// Makes it a field for a day.
    pub(crate) fn day(mut self) -> Self {
        self.kind = "date";
        self
    }

    /// Makes it a field in which the label does not say that it may stay empty, since all around it may.
    pub(crate) fn plain(self) -> Self {
        self.needed()
    }

    /// Makes it a field that hides what is typed, and shows nothing of an earlier attempt.
    pub(crate) fn password(mut self) -> Self {
        self.kind = "password";
        self.value.clear();
        self
    }

    pub(crate) fn lines(mut self, lines: usize) -> Self {
        self.lines = lines;
        self
    }

    pub(crate) fn autocomplete(mut self, purpose: &'static str) -> Self {
        self.autocomplete = purpose;
        self
    }

    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    pub(crate) fn required(mut self) -> Self {
        self.required = true;
        self.needed()
    }

    /// For a field that is needed only with a choice elsewhere in the form.
    pub(crate) fn needed(mut self) -> Self {
        self.optional = false;
        self
    }

    /// The most characters.
    pub(crate) fn max(mut self, characters: usize) -> Self {
        self.max = Some(characters);
        self
    }

    /// The ids of the texts that describe the field.
    fn described_by(&self) -> String {
        let hint = self.hint.map(|_| format!("{}-hint", self.id));
        let fault = self.fault.as_ref().map(|_| format!("{}-fault", self.id));
        let ids: Vec<String> = [fault, hint].into_iter().flatten().collect();
        ids.join(" ")
    }
}
