//! The pictures of products, for pages. The address names the picture, not the product, so a browser keeps it for ever.

use actix_web::http::StatusCode;
use domain::catalogue::pictures;
use entity::{Picture, PictureId, PictureSize, ProductId};
use pages::shop::{self, OrderLine};

use crate::handlers::pictures::{Keep, serve};
use crate::pages::here::Here;
use crate::schema::endpoint::Endpoint;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::Response;
use crate::schema::text::FromText;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page(
            "showPicture",
            "/shop/{business}/pictures/{picture_id}/{size}",
            read,
        )
        .public_of_business()
        .codes(&[Code::PicturesUnavailable]),
    ]
}

/// A picture as pages load it.
pub(super) fn shown(here: &Here, picture: Picture) -> shop::Picture {
    shop::Picture {
        address: here.path(&format!("/pictures/{}", picture.id)),
        width: picture.width,
        height: picture.height,
    }
}

/// Adds the pictures that the products of an order have now.
pub(super) async fn add(here: &Here, lines: &mut [OrderLine]) -> Result<(), Problem> {
    let ids: Vec<ProductId> = lines.iter().map(|line| line.product_id).collect();
    let found = pictures::of_products(&here.state.database, here.visit.business.id, &ids).await;
    let found = found.map_err(|error| here.problem(error))?;
    for line in lines {
        let picture = found.get(&line.product_id);
        line.picture = picture.map(|picture| shown(here, *picture));
    }
    Ok(())
}

async fn read(here: Here) -> Response {
    let not_found = || Problem::of_status(StatusCode::NOT_FOUND);
    let part = |name: &str| here.req.match_info().query(name);
    let id = PictureId::from_text(part("picture_id")).map_err(|_no_id| not_found())?;
    let size = PictureSize::from_text(part("size")).map_err(|_no_size| not_found())?;
    let business = here.visit.business.id;
    let served = serve(&here.req, &here.state, business, (id, size), Keep::ForEver).await;
    let served = served.map_err(|error| here.problem(error))?;
    served.ok_or_else(not_found)
}
