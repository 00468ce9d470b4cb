//! Whether the process lives, and whether it can work: for whoever runs it. Not part of the API's document.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::json;

use super::Response;
use crate::problem::{Code, Problem};
use crate::service::State;

/// Serves `/healthz` and `/readyz`.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        .route("/healthz", web::get().to(alive))
        .route("/healthz", web::head().to(alive))
        .route("/readyz", web::get().to(ready))
        .route("/readyz", web::head().to(ready));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// Ready means: the database answers, and has the migrations that this version was built with.
async fn ready(state: Data<State>) -> Response {
    if state
        .readiness
        .ask(&state.database, &state.migrations)
        .await?
    {
        Ok(HttpResponse::Ok().json(json!({"status": "ready"})))
    } else {
        let detail = "The database has other migrations than this version of the service.";
        Err(Problem::new(Code::DatabaseUnavailable, detail).retry_after(1))
    }
}
