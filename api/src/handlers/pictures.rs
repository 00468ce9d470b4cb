//! `/api/products/{product_id}/picture`: the picture of a product.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EntityTag, Header, IfNoneMatch,
};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use domain::Error;
use domain::catalogue::pictures::Pictured;
use domain::catalogue::products;
use entity::users::Role;
use entity::{BusinessId, PictureId, PictureSize, ProductId};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::products::{ProductView, reader};
use crate::access::{Authenticated, Visitor};
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::picture_body::{MEDIA_TYPES, PictureBody};
use crate::schema::problem::Code;
use crate::schema::query::Query;
use crate::schema::response::{Response, done};
use crate::schema::text::FromText;
use crate::state::State;

const ADMIN: &[Role] = &[Role::Admin];

/// The type of all pictures that are served.
const JPEG: &str = "image/jpeg";

/// The policy of a picture that is opened by itself: nothing in it runs, whatever a browser takes it for.
const POLICY: &str = "default-src 'none'; sandbox";

/// How long clients may keep a picture.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep {
    /// The address names the picture's id, behind which the bytes never change.
    ForEver,
    /// The product may get another picture.
    WhileUnchanged,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::put(
            "uploadPicture",
            "/api/products/{product_id}/picture",
            upload,
        )
        .summary("Upload the picture of a product: JPEG, PNG or WebP, at most 2 MiB")
        .for_roles(ADMIN)
        .changes_catalogue()
        .file_body(&MEDIA_TYPES)
        .ok::<ProductView>()
        .codes(&[
            Code::ProductNotFound,
            Code::InvalidPicture,
            Code::PicturesUnavailable,
        ])
        .idempotent(),
        Endpoint::get("readPicture", "/api/products/{product_id}/picture", read)
            .summary("Read the picture of a product as JPEG")
            .public_of_business()
            .query::<PictureSize>(
                "size",
                "The side in pixels of the square into which the picture fits; 960 if left out.",
            )
            .query::<PictureId>(
                "version",
                "The picture's id, as in its `url`. The response may then be kept for ever.",
            )
            .file(JPEG)
            .codes(&[
                Code::ProductNotFound,
                Code::PictureNotFound,
                Code::PicturesUnavailable,
                Code::NotAcceptable,
            ]),
        Endpoint::delete(
            "removePicture",
            "/api/products/{product_id}/picture",
            remove,
        )
        .summary("Remove the picture of a product")
        .for_roles(ADMIN)
        .changes_catalogue()
        .no_content()
        .codes(&[Code::ProductNotFound]),
    ]
}

impl FromText for PictureSize {
    fn from_text(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|size| size.side().to_string() == text);
        found.ok_or_else(|| format!("must be one of {}", sides().join(", ")))
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Integer))
            .enum_values(Some(Self::ALL.map(Self::side)))
            .into()
    }
}

fn sides() -> [String; 3] {
    PictureSize::ALL.map(|size| size.side().to_string())
}

async fn upload(
    state: Data<State>,
    caller: Authenticated,
    id: Id<ProductId>,
    request: PictureBody,
) -> Response {
    let render = |pictured: &Pictured| {
        done(&ProductView::of(
            &pictured.product,
            Some(&caller),
            caller.currency,
        ))
    };
    let write = caller.write(request.key.as_ref(), &render);
    let uploaded = state
        .pictures
        .upload(&state.database, &write, id.0, request.upload);
    caller.answer(uploaded.await)
}

async fn remove(state: Data<State>, caller: Authenticated, id: Id<ProductId>) -> Response {
    let removed = state.pictures.remove(&state.database, &caller, id.0);
    caller.answer(removed.await)
}

async fn read(
    req: HttpRequest,
    state: Data<State>,
    visitor: Visitor,
    id: Id<ProductId>,
    mut query: Query,
) -> Response {
    let size = query.take::<PictureSize>("size");
    let version = query.take::<PictureId>("version");
    query.finish()?;
    let (database, business) = (&state.database, visitor.business_id);
    let product = products::read(database, business, id.0, &reader(&visitor)).await;
    let picture = product
        .map_err(|error| visitor.problem(error))?
        .product
        .picture();
    let picture = picture
        .filter(|picture| version.is_none_or(|version| version == picture.id))
        .ok_or_else(|| visitor.problem(Error::PictureNotFound(id.0)))?;
    let wanted = (picture.id, size.unwrap_or(PictureSize::Large));
    let keep = match version {
        Some(_) => Keep::ForEver,
        None => Keep::WhileUnchanged,
    };
    let served = serve(&req, &state, business, wanted, keep).await;
    let served = served.map_err(|error| visitor.problem(error))?;
    served.ok_or_else(|| visitor.problem(Error::PictureNotFound(id.0)))
}

/// The response with a picture, or without it if the client has it; `None` if it does not exist.
pub(crate) async fn serve(
    req: &HttpRequest,
    state: &State,
    business: BusinessId,
    (id, size): (PictureId, PictureSize),
    keep: Keep,
) -> Result<Option<HttpResponse>, Error> {
    let tag = EntityTag::new_strong(format!("{id}-{}", size.side()));
    let is_known = match IfNoneMatch::parse(req) {
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Ok(IfNoneMatch::Any) | Err(_) => false,
    };
    let body = match is_known {
        true => None,
        false => match state
            .pictures
            .read(&state.database, business, id, size)
            .await?
        {
            Some(bytes) => Some(bytes),
            None => return Ok(None),
        },
    };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((ETAG, tag.to_string()))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((
            CACHE_CONTROL,
            match keep {
                Keep::ForEver => "public, max-age=31536000, immutable",
                Keep::WhileUnchanged => "private, no-cache",
            },
        ));
    Ok(Some(match body {
        Some(bytes) => response.insert_header((CONTENT_TYPE, JPEG)).body(bytes),
        None => response.status(StatusCode::NOT_MODIFIED).finish(),
    }))
}
