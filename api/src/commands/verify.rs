//! Verification of the books: once, with a line per difference, or repeatedly, with metrics.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use domain::Database;
use domain::foundation::tenants;
use domain::verify::{self, Counts, Difference};

use crate::commands::database_choice;
use crate::config::Settings;

/// The number of differences of one run that are logged. The metrics count all; the command prints all.
const MAX_LOGGED_DIFFERENCES: u64 = 20;

/// Why the books could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no database, or it cannot be used.
    #[error(transparent)]
    DatabaseChoice(#[from] database_choice::Error),
    /// The database failed before or during the run.
    #[error("the database cannot be used: {0}")]
    Database(#[from] domain::Error),
    /// Standard output cannot be written.
    #[error("the differences cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The embedded server did not stop.
    #[error(transparent)]
    Server(#[from] embedded::Error),
}

/// The result of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The number of businesses that were verified.
    pub businesses: usize,
    /// The numbers of rows that were verified.
    pub counts: Counts,
    /// The number of differences per check. A check without a difference is absent.
    pub differences: HashMap<&'static str, u64>,
}

impl Outcome {
    /// The number of all differences.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.differences.values().sum()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = &self.counts;
        write!(
            f,
            "{} differences in {} businesses, {} checks each: {} customers, {} ledger entries, {} orders, {} lines, \
             {} allocations, {} documents, {} products, {} sealed audit entries",
            self.found(),
            self.businesses,
            verify::checks().count(),
            counts.customers,
            counts.entries,
            counts.orders,
            counts.lines,
            counts.allocations,
            counts.documents,
            counts.products,
            counts.sealed
        )
    }
}

/// Verifies the books of the configured database. Writes one line per difference, then one with the totals.
///
/// # Errors
/// See [`Error`].
pub async fn once(settings: &Settings, out: &mut impl Write) -> Result<Outcome, Error> {
    let (database, server) = database_choice::open_as_service(settings).await?;
    let mut written = Ok(());
    let outcome = every_business(&database, |difference| {
        if written.is_ok() {
            written = writeln!(out, "{difference}");
        }
    })
    .await?;
    written?;
    writeln!(out, "{outcome}")?;
    database.close().await;
    if let Some(server) = server {
        server.stop().await?;
    }
    Ok(outcome)
}

/// Verifies the books in a loop that never ends, with a pause of `every` between runs.
pub async fn run_periodically(database: Database, every: Duration) {
    loop {
        let started = Instant::now();
        let mut logged = 0;
        let outcome = every_business(&database, |difference| {
            logged += 1;
            if logged <= MAX_LOGGED_DIFFERENCES {
                tracing::error!(%difference, "the books do not add up");
            }
        })
        .await;
        match outcome {
            Ok(outcome) => tell(&outcome, started.elapsed()),
            Err(error) => {
                metrics::counter!("tradeline_verify_failures_total").increment(1);
                tracing::warn!(%error, "the books could not be verified");
            }
        }
        tokio::time::sleep(every).await;
    }
}

fn tell(outcome: &Outcome, took: Duration) {
    // Sets checks without a difference too: a missing gauge would be ambiguous.
    for check in verify::checks() {
        let found = outcome.differences.get(check.name).copied().unwrap_or(0);
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        metrics::gauge!("tradeline_verify_differences", "check" => check.name).set(found);
    }
    metrics::gauge!("tradeline_verify_duration_seconds").set(took.as_secs_f64());
    let now = u32::try_from(chrono::Utc::now().timestamp()).unwrap_or(0);
    metrics::gauge!("tradeline_verify_last_run_timestamp_seconds").set(now);
    tracing::info!(%outcome, "the books were verified");
}

async fn every_business(
    database: &Database,
    mut tell: impl FnMut(Difference),
) -> Result<Outcome, domain::Error> {
    let mut outcome = Outcome::default();
    for id in tenants::all_businesses(database).await? {
        let differences = &mut outcome.differences;
        let counts = verify::business(database, id, |difference| {
            *differences.entry(difference.check).or_default() += 1;
            tell(difference);
        });
        outcome.counts += counts.await?;
        outcome.businesses += 1;
    }
    Ok(outcome)
}
