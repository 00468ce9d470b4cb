//! The frame of every page of the back office: the business, the user, the sections and a notice.

use crate::{Business, Notice};

/// The frame of a page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The business of the page.
    pub business: Business,
    /// The name of the signed-in user; `None` before the login.
    pub user: Option<String>,
    /// The sections that the user may open.
    pub sections: Vec<Section>,
    /// The path and query of this page.
    pub path: String,
    /// The notice of the last action.
    pub notice: Option<Notice>,
    /// The id of the request, by which an operator finds it in the log.
    pub request_id: String,
}

/// A part of the back office.
#[derive(Debug, Clone)]
pub struct Section {
    pub name: &'static str,
    /// The name of its icon.
    pub icon: &'static str,
    pub address: String,
    /// Whether the page is in it.
    pub is_current: bool,
}

impl Frame {
    /// The path of the back office, or of a page in it: `at("/orders")` is `/office/acme/orders`.
    pub(crate) fn at(&self, rest: &str) -> String {
        format!("/office/{}{rest}", self.business.slug)
    }
}
