//! The state of a database's schema, and the application of pending migrations.

use domain::foundation::search;
use domain::{CannotConnect, Database, SchemaState};
use sea_orm::{ConnectOptions, DatabaseConnection, DbErr};

/// Why the schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `DATABASE_URL` is not a valid URL.
    #[error("DATABASE_URL is not usable: {0}")]
    Url(DbErr),
    /// No connection could be opened.
    #[error(transparent)]
    Connect(#[from] CannotConnect),
    /// The database did not answer.
    #[error("the database cannot be used: {0}")]
    Database(#[from] domain::Error),
    /// The server refused a step.
    #[error("the migrations could not be applied: {0}")]
    Step(#[from] DbErr),
    /// This version does not support the schema.
    #[error("{0}")]
    Schema(String),
}

/// Rejects a database whose schema this version does not support.
///
/// # Errors
/// See [`Error`].
pub async fn check(database: &Database) -> Result<SchemaState, Error> {
    let state = database.schema_state(&migration::names()).await?;
    match state.objection() {
        Some(objection) => Err(Error::Schema(objection)),
        None => Ok(state),
    }
}

/// Applies pending migrations, and returns their names.
///
/// A database that is ahead is not changed. It is rejected if this version does not support it. The version to which a
/// deployment is rolled back may therefore call this too.
///
/// # Errors
/// See [`Error`].
pub async fn up(url: &str) -> Result<Vec<String>, Error> {
    let database = open(url).await?;
    let pending = database.schema_state(&migration::names()).await?.missing;
    if !pending.is_empty() {
        let owner = connect(url.to_owned()).await?;
        let applied = migration::up(&owner).await;
        owner.close().await?;
        applied?;
    }
    let state = check(&database).await?;
    if !state.ahead.is_empty() {
        tracing::info!(
            ahead = state.ahead.join(", "),
            "the database has migrations of a later version that are compatible with this one"
        );
    }
    // Rows that were written without search terms: before there were any, or by a version without them.
    let filled = search::fill(&database).await?;
    if filled.rows() > 0 {
        tracing::info!(?filled, "rows have search terms now");
    }
    database.close().await;
    Ok(pending)
}

pub(super) async fn open(url: &str) -> Result<Database, Error> {
    let database = Database::new(url, 1).map_err(Error::Url)?;
    database.try_to_connect().await?;
    Ok(database)
}

/// A single connection as the owner, with rights that the service's role lacks.
pub(super) async fn connect(url: String) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await
}
