//! The migrations that the database has, and whether a version of the service works with them.

use sea_orm::sqlx::postgres::PgRow;
use sea_orm::sqlx::{self, Row};

use super::{Database, db_error};
use crate::Error;

/// The difference between the database's schema and the migrations of a version of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaState {
    /// Migrations of the version that are not applied.
    pub missing: Vec<String>,
    /// Applied migrations that the version does not know.
    pub ahead: Vec<String>,
    /// Those of `ahead` that are not declared as compatible with the version.
    pub incompatible: Vec<String>,
}

impl SchemaState {
    /// The reason why the version cannot use the schema; `None` if it can.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        if !self.missing.is_empty() {
            return Some(format!(
                "the database lacks migrations of this version: {}. Run `tradeline migrate` as the owner of the tables",
                self.missing.join(", ")
            ));
        }
        if !self.incompatible.is_empty() {
            return Some(format!(
                "the database has migrations of a later version that are not compatible with this one: {}. Run the \
                 later version of the service",
                self.incompatible.join(", ")
            ));
        }
        None
    }
}

/// The migrations that only one side has.
///
/// Raw: it runs outside a transaction, on a table that no entity describes.
const DIFFERENCE: &str = "
SELECT coalesce(applied.version, known.step) AS step, applied.version IS NULL AS missing
  FROM seaql_migrations AS applied
  FULL JOIN unnest($1::text[]) AS known (step) ON known.step = applied.version
 WHERE applied.version IS NULL OR known.step IS NULL
 ORDER BY 1";

/// The migrations that are compatible with a version that has these. Raw for the same reason.
const COMPATIBLE: &str = "
SELECT step, false AS missing FROM schema_compatibility WHERE compatible_from = ANY ($1::text[])";

impl Database {
    /// Compares the database with all migrations of a version of the service. Costs one query, and a second one when
    /// the database is ahead.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn schema_state(&self, steps: &[String]) -> Result<SchemaState, Error> {
        // Without the table of migrations, or the right to read it, nothing has been applied: the first migration
        // grants it.
        let Some(different) = self.steps(DIFFERENCE, steps).await? else {
            return Ok(SchemaState {
                missing: steps.to_vec(),
                ..SchemaState::default()
            });
        };
        let mut state = SchemaState::default();
        for (step, missing) in different {
            let side = if missing {
                &mut state.missing
            } else {
                &mut state.ahead
            };
            side.push(step);
        }
        if !state.ahead.is_empty() {
            let compatible = self.steps(COMPATIBLE, steps).await?.unwrap_or_default();
            let declared = |step: &String| compatible.iter().any(|(name, _)| name == step);
            let undeclared = state.ahead.iter().filter(|step| !declared(step));
            state.incompatible = undeclared.cloned().collect();
        }
        Ok(state)
    }

    /// Migrations, and whether each is missing; `None` if the table does not exist or cannot be read.
    async fn steps(
        &self,
        sql: &'static str,
        known: &[String],
    ) -> Result<Option<Vec<(String, bool)>>, Error> {
        let read = || sqlx::query(sql).bind(known).fetch_all(&self.pool);
        let rows = match self.without_dead_connections(read).await {
            Ok(rows) => rows,
            Err(sqlx::Error::Database(answer))
                if matches!(answer.code().as_deref(), Some("42P01" | "42501")) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(Error::DatabaseUnavailable(db_error(error))),
        };
        let steps = rows
            .iter()
            .map(|row: &PgRow| Ok((row.try_get("step")?, row.try_get("missing")?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(db_error)?;
        Ok(Some(steps))
    }
}
