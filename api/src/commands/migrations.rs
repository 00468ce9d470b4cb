//! The state of a database's schema, and applying what is pending.

use domain::{CannotConnect, Database, SchemaState};
use sea_orm::{ConnectOptions, DatabaseConnection, DbErr};

/// Why the schema is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the database is not one.
    #[error("DATABASE_URL is not usable: {0}")]
    Url(DbErr),
    /// The database lets nobody in.
    #[error(transparent)]
    Connect(#[from] CannotConnect),
    /// The database did not answer.
    #[error("the database cannot be used: {0}")]
    Database(#[from] domain::Error),
    /// The server refused a step.
    #[error("the migrations could not be applied: {0}")]
    Step(#[from] DbErr),
    /// This version does not work on the schema.
    #[error("{0}")]
    Schema(String),
}

/// Refuses a database whose schema this version does not work with.
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

/// Applies what is pending, and gives the names of what was. A database that is ahead stays as it is, and is refused if
/// this version does not work with it: a version that is rolled back to may call this too.
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
    database.close().await;
    Ok(pending)
}

pub(super) async fn open(url: &str) -> Result<Database, Error> {
    let database = Database::new(url, 1).map_err(Error::Url)?;
    database.try_to_connect().await?;
    Ok(database)
}

/// One connection that may do what the service's role may not.
pub(super) async fn connect(url: String) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await
}
