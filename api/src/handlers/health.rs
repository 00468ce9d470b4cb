//! Health checks for operators: whether the process is alive, and whether it is ready. Not part of the OpenAPI
//! document.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::json;

use crate::schema::problem::{Code, Problem};
use crate::schema::response::Response;
use crate::state::State;

/// Serves `/healthz` and `/readyz`.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        .service(web::resource("/healthz").get(alive))
        .service(web::resource("/readyz").get(ready));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// Ready: the database responds, and has the migrations that this version was built with. Further migrations are listed
/// in `ahead`; they must be compatible with this version.
async fn ready(state: Data<State>) -> Response {
    let schema = state
        .readiness
        .ask(&state.database, &state.migrations)
        .await?;
    match schema.objection() {
        Some(objection) => {
            Err(Problem::new(Code::DatabaseUnavailable, sentence(&objection)).retry_after(1))
        }
        None if schema.ahead.is_empty() => Ok(HttpResponse::Ok().json(json!({"status": "ready"}))),
        None => Ok(HttpResponse::Ok().json(json!({"status": "ready", "ahead": schema.ahead}))),
    }
}

/// The text with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
