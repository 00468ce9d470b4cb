//! Prometheus metrics: the process's one recorder, and the page that shows it.

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// From a cached answer to the longest that a client waits.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Requests in one batch of the desk, whose bound is 64.
const BATCHES: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// How often the recorder folds what it has gathered, so that memory stays bounded when nobody reads the page.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Records the process's metrics from now on. Any number of services in one process may call it: the first one does it.
///
/// # Errors
/// Something else records the metrics already.
pub fn start() -> Result<(), BuildError> {
    if RECORDER.get().is_some() {
        return Ok(());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_size".to_owned()), &BATCHES)?
        .build_recorder();
    let handle = recorder.handle();
    // Two that start at once: the one whose handle is kept is the one whose recorder is installed.
    if RECORDER.set(handle.clone()).is_ok() {
        metrics::set_global_recorder(recorder)?;
        // On a thread of its own: a runtime of this process may end while others go on.
        let upkeep = move || {
            loop {
                std::thread::sleep(UPKEEP);
                handle.run_upkeep();
            }
        };
        if let Err(error) = std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(upkeep)
        {
            tracing::warn!(%error, "metrics are not tidied up");
        }
    }
    Ok(())
}

/// Serves `/metrics`.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/metrics").get(page));
}

async fn page() -> HttpResponse {
    let text = RECORDER
        .get()
        .map_or_else(String::new, PrometheusHandle::render);
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text)
}
