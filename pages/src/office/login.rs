//! The login of the back office.

use askama::Template;

use super::Frame;
use crate::Form;

/// Asks for the email address and the password.
#[derive(Debug, Template)]
#[template(path = "office/login.html")]
pub struct Login {
    pub frame: Frame,
    pub form: Form,
    /// Where to go afterwards: a path of this back office.
    pub next: String,
}
