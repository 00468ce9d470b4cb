//! The frame of every page of the back office: the sections that the reader may open.

use pages::office::{Frame, Section};

use crate::pages::here::Here;
use crate::schema::problem::Problem;

/// The sections: the operation that shows each, its path, its name and its icon. One whose operation is not in the endpoint
/// table is not shown.
const SECTIONS: [(&str, &str, &str, &str); 2] = [
    ("showDashboard", "", "Dashboard", "layout-dashboard"),
    ("showOfficeOrders", "/orders", "Orders", "package"),
];

impl Here {
    /// The frame of a page of the back office.
    ///
    /// # Errors
    /// The business cannot be read.
    pub(super) async fn frame(&self) -> Result<Frame, Problem> {
        let may_read = SECTIONS
            .iter()
            .filter(|(operation, ..)| self.may(operation));
        let here = self.req.path();
        let sections = may_read.map(|(_, path, name, icon)| {
            let address = self.path(path);
            let below = here.strip_prefix(address.as_str());
            Section {
                name,
                icon,
                // The dashboard is above all others.
                is_current: match path.is_empty() {
                    true => here == address,
                    false => below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
                },
                address,
            }
        });
        Ok(Frame {
            sections: sections.collect(),
            business: self.business().await?,
            user: self.user_name(),
            path: self.address(),
            notice: self.notice(),
            request_id: self.request_id().0,
        })
    }
}
