//! Cursors of reports about customers.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use entity::CustomerId;

/// The position where a page of a report ends. Its text form is the two, separated by a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportCursor {
    /// The time that the report continues from: see the report.
    pub at: DateTime<Utc>,
    /// The last customer of the page.
    pub customer: CustomerId,
}

impl fmt::Display for ReportCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The database stores microseconds, so the cursor finds exactly this position again.
        let at = self.at.to_rfc3339_opts(SecondsFormat::Micros, true);
        write!(f, "{at} {}", self.customer)
    }
}

/// The text is not a [`ReportCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time and a customer's id with a space between them")]
pub struct NotReportCursor;

impl FromStr for ReportCursor {
    type Err = NotReportCursor;

    fn from_str(text: &str) -> Result<Self, NotReportCursor> {
        let (at, customer) = text.split_once(' ').ok_or(NotReportCursor)?;
        let at = DateTime::parse_from_rfc3339(at).map_err(|_no_time| NotReportCursor)?;
        Ok(Self {
            at: at.to_utc(),
            customer: customer.parse().map_err(|_no_id| NotReportCursor)?,
        })
    }
}
