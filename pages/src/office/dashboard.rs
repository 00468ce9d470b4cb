//! The first page of the back office.

use askama::Template;
use chrono::NaiveDate;

use super::Frame;

/// The business at a glance.
#[derive(Debug, Template)]
#[template(path = "office/dashboard.html")]
pub struct Dashboard {
    pub frame: Frame,
    /// The present day of the business.
    pub today: NaiveDate,
}
