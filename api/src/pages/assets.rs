//! The static files of the pages, compressed once at start. The path of a file has the hash of its content, so browsers
//! keep it for ever.

use std::collections::HashMap;
use std::io::{self, Write};

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;
use pages::Asset;

use crate::schema::problem::Problem;
use crate::schema::response::Response;

/// The header of a file that never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The compressed files by their paths.
#[derive(Debug)]
pub(crate) struct Assets {
    files: HashMap<&'static str, File>,
}

#[derive(Debug)]
struct File {
    content_type: &'static str,
    compressed: Bytes,
}

impl Assets {
    /// # Errors
    /// A file cannot be compressed; no case is known.
    pub(crate) fn new() -> io::Result<Self> {
        let files = pages::assets().iter();
        let files = files.map(|asset| Ok((asset.path(), File::of(asset)?)));
        Ok(Self {
            files: files.collect::<io::Result<_>>()?,
        })
    }
}

impl File {
    fn of(asset: &'static Asset) -> io::Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&asset.bytes)?;
        Ok(Self {
            content_type: asset.content_type,
            compressed: encoder.finish()?.into(),
        })
    }
}

/// Serves `/static/{hash}/{name}`, without credentials.
pub(crate) fn configure(assets: Data<Assets>, config: &mut ServiceConfig) {
    config
        .app_data(assets)
        .service(web::resource("/static/{hash}/{name}").get(serve));
}

async fn serve(req: HttpRequest, assets: Data<Assets>) -> Response {
    let file = assets.files.get(req.path());
    let file = file.ok_or_else(|| Problem::of_status(StatusCode::NOT_FOUND))?;
    // Decompressed on the way out for clients that accept no gzip.
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, file.content_type))
        .insert_header((CONTENT_ENCODING, "gzip"))
        .insert_header((CACHE_CONTROL, FOR_EVER))
        .body(file.compressed.clone()))
}
