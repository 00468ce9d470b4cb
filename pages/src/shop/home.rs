//! The start page of the service.

use askama::Template;

/// The start page. With doors it leads to the parts of the demo; without, it asks for the name of the business.
#[derive(Debug, Template)]
#[template(path = "shop/home.html")]
pub struct Home {
    /// The places to go; none on a server without the demo.
    pub doors: Vec<Door>,
    /// The name that no business has; `None` before the first attempt.
    pub unknown_business: Option<String>,
}

/// A place to go from the start page.
#[derive(Debug, Clone)]
pub struct Door {
    pub title: String,
    pub text: String,
    pub address: String,
    /// The name of an icon: `store`, `file-text`, `receipt-text`.
    pub icon: &'static str,
    /// Logins of the demo: role, email address, password.
    pub logins: Vec<(String, String, String)>,
}
