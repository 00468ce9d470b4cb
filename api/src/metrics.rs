//! Prometheus metrics: the process's recorder, and its page.

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// The buckets of durations, in seconds: from a cached response to the longest wait of a client.
const DURATION_BUCKETS_SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The buckets of batch sizes at the desk, in requests. A batch has at most 64.
const BATCH_SIZE_BUCKETS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// The interval at which the recorder aggregates its data, so that memory stays bounded when nobody reads the page.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the process's recorder. Repeated calls have no effect, so that one process can run several services.
///
/// # Errors
/// When another recorder is installed already.
pub fn start() -> Result<(), BuildError> {
    if RECORDER.get().is_some() {
        return Ok(());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Suffix("_seconds".to_owned()),
            &DURATION_BUCKETS_SECONDS,
        )?
        .set_buckets_for_metric(
            Matcher::Suffix("_batch_size".to_owned()),
            &BATCH_SIZE_BUCKETS,
        )?
        .build_recorder();
    let handle = recorder.handle();
    // If two calls race, the one that stores its handle also installs its recorder.
    if RECORDER.set(handle.clone()).is_ok() {
        metrics::set_global_recorder(recorder)?;
        // A separate thread, since any runtime of this process may end before others.
        let upkeep = move || {
            loop {
                std::thread::sleep(UPKEEP_INTERVAL);
                handle.run_upkeep();
            }
        };
        if let Err(error) = std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(upkeep)
        {
            tracing::warn!(%error, "the upkeep of the metrics does not run");
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
