//! The first page of the back office.

use chrono::Utc;
use pages::office::Dashboard;

use super::STAFF;
use crate::pages::here::Here;
use crate::schema::endpoint::Endpoint;
use crate::schema::response::Response;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::page("showDashboard", "/office/{business}", show).for_roles(STAFF)]
}

async fn show(here: Here) -> Response {
    let frame = here.frame().await?;
    let today = frame.business.time_zone.day_of(Utc::now());
    here.page(&Dashboard { frame, today })
}
