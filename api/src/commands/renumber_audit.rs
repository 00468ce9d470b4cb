//! The command after a restore: gives restored entries of the audit trail numbers that fit the server.

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
    Backend(#[from] database_choice::Error),
    /// The address of the database is not one.
    #[error("DATABASE_URL is not usable: {0}")]
    Url(sea_orm::DbErr),
    /// The database lets nobody in.
    #[error(transparent)]
    Connect(#[from] CannotConnect),
    /// The role has no right to it.
    #[error(
        "the role of DATABASE_URL may not change the audit trail: connect as the owner of the tables, who runs the \
         migrations"
    )]
    NotTheOwner,
    /// This version does not work on the schema.
    #[error(transparent)]
    Migrate(#[from] migrations::Error),
    /// Writers were in the way.
    #[error(
        "others have been writing to the audit trail for 30 seconds: nothing was renumbered, try again"
    )]
    Busy,
    /// The database did not do it.
    #[error("the database cannot be used: {0}")]
    Database(domain::Error),
    /// The private server did not stop.
    #[error(transparent)]
    Server(#[from] embedded::Error),
}

/// Renumbers the configured database's trail, and says in a line what was changed.
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
