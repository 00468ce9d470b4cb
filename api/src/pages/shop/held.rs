//! The visitor's own holds and places on waitlists.

use domain::Paging;
use domain::stock::reservations::{self, Filter};
use entity::ProductId;
use entity::reservations::Status;

use crate::pages::here::Here;
use crate::schema::problem::Problem;

/// The reservations of a product that are read to find an open one.
const RECENT: u64 = 5;

/// The address of the visitor's open reservation of a product; `None` if there is none.
pub(super) async fn open_one(here: &Here, product: ProductId) -> Result<Option<String>, Problem> {
    let caller = here.visit.caller.as_ref();
    let Some(caller) = caller.filter(|caller| caller.confined_to().is_some()) else {
        return Ok(None);
    };
    let filter = Filter {
        product_id: Some(product),
        ..Filter::default()
    };
    let paging = Paging {
        limit: RECENT,
        after: None,
    };
    let found = reservations::list(&here.state.database, caller, &filter, &paging).await;
    let found = found.map_err(|error| here.problem(error))?;
    let open = found.rows.iter().find(|row| is_open(row.status));
    Ok(open.map(|row| here.path(&format!("/reservations/{}", row.reservation.id))))
}

fn is_open(status: Status) -> bool {
    matches!(status, Status::Active | Status::Waiting)
}
