//! Whether the service can work, as it was a moment ago: anyone may ask, as often as they like, and the database is asked
//! once a second, by one at a time.

use std::time::{Duration, Instant};

use domain::{Database, SchemaState};
use entity::Currency;
use tokio::sync::Mutex;

use crate::schema::problem::Problem;

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(1);

/// The last answer, and when it came.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(Instant, Result<SchemaState, Problem>)>>);

impl Readiness {
    /// How the database compares with these migrations.
    ///
    /// # Errors
    /// It cannot be asked.
    pub async fn ask(
        &self,
        database: &Database,
        migrations: &[String],
    ) -> Result<SchemaState, Problem> {
        let mut last = self.0.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < HOLDS
        {
            return answer.clone();
        }
        let answer = database.schema_state(migrations).await;
        let answer = answer.map_err(|error| Problem::of(error, Currency::USD));
        // Its time runs from now, so that those who have waited for it take it, however long it took.
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}
