//! The service's readiness, cached for a second.
//!
//! Anyone may ask at any rate: the database is queried at most once per second, by one request at a time.

use std::time::{Duration, Instant};

use domain::{Database, SchemaState};
use entity::Currency;
use tokio::sync::Mutex;

use crate::schema::problem::Problem;

/// The time for which a result is cached.
const CACHE_TIME: Duration = Duration::from_secs(1);

/// The last result, and when it arrived.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(Instant, Result<SchemaState, Problem>)>>);

impl Readiness {
    /// Compares the database's schema with these migrations.
    ///
    /// # Errors
    /// When the database cannot be queried.
    pub async fn ask(
        &self,
        database: &Database,
        migrations: &[String],
    ) -> Result<SchemaState, Problem> {
        let mut last = self.0.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < CACHE_TIME
        {
            return answer.clone();
        }
        let answer = database.schema_state(migrations).await;
        let answer = answer.map_err(|error| Problem::of(error, Currency::USD));
        // The time starts now, so that requests that waited for this result use it, however long it took.
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}
