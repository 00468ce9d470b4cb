//! The command `tradeline renumber-audit`: it gives restored audit entries numbers that fit the server.

use domain::audit::seals::{self, Renumbered};
use domain::{CannotConnect, Database};

use crate::commands::database_choice::{self, Role};
use crate::commands::migrations;
use crate::config::Settings;

/// Why nothing was renumbered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no database, or it does not start.
    #[error(transparent)]
    DatabaseChoice(#[from] database_choice::Error),
    /// `DATABASE_URL` is not a valid URL.
    #[error("DATABASE_URL is not usable: {0}")]
    Url(sea_orm::DbErr),
    /// No connection could be opened.
    #[error(transparent)]
    Connect(#[from] CannotConnect),
    /// The role may not change the audit trail.
    #[error(
        "the role of DATABASE_URL may not change the audit trail: connect as the owner of the tables, who runs the \
         migrations"
    )]
    NotTheOwner,
    /// This version does not support the schema.
    #[error(transparent)]
    Migrate(#[from] migrations::Error),
    /// Other transactions held the audit trail's locks for too long.
    #[error(
        "other transactions wrote to the audit trail for 30 seconds: nothing was renumbered, try again"
    )]
    Busy,
    /// The database failed.
    #[error("the database cannot be used: {0}")]
    Database(domain::Error),
    /// The embedded server did not stop.
    #[error(transparent)]
    Server(#[from] embedded::Error),
}

/// Renumbers the audit trail of the configured database. Returns one line that says what changed.
///
/// # Errors
/// See [`Error`].
pub async fn audit(settings: &Settings) -> Result<String, Error> {
    let (url, server) = database_choice::database(settings, Role::Owner).await?;
    let database = Database::new(url.reveal(), 1).map_err(Error::Url)?;
    database.try_to_connect().await?;
    migrations::check(&database).await?;
    let renumbered = seals::renumber(&database)
        .await
        .map_err(|error| match error {
            domain::Error::Forbidden => Error::NotTheOwner,
            domain::Error::Contention => Error::Busy,
            other => Error::Database(other),
        })?;
    database.close().await;
    if let Some(server) = server {
        server.stop().await?;
    }
    Ok(said(renumbered))
}

fn said(renumbered: Renumbered) -> String {
    match renumbered {
        Renumbered { entries: 0, .. } => {
            "No entry was restored from another server: nothing was changed.".into()
        }
        Renumbered {
            businesses,
            entries,
            seals,
        } => format!(
            "Renumbered: entries {entries}, seals {seals}, businesses {businesses}. The service seals the audit trail again."
        ),
    }
}
