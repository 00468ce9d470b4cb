//! The page of an error.

use askama::Template;

use crate::words;

/// Says what went wrong, and where to go on.
#[derive(Debug, Template)]
#[template(path = "shop/error.html")]
pub struct ErrorPage {
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, in a few words, where the status does not say it.
    pub title: String,
    /// What the visitor can do, likewise.
    pub message: String,
    /// The id by which an operator finds the request in the log.
    pub request_id: String,
    /// The ways on: text and address, the best one first.
    pub links: Vec<(String, String)>,
}

impl ErrorPage {
    fn words(&self) -> (&str, &str) {
        words::failure(self.status).unwrap_or((&self.title, &self.message))
    }
}
