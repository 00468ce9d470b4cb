//! The command `tradeline migrate`: it applies or reverts migrations as the owner of the tables.

use std::io::{self, Write};

use migration::{Migrator, MigratorTrait};

use super::migrations::{Error, connect, open, up};
use crate::commands::database_choice::{self, Role};
use crate::config::{MigrateAction, Settings};

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no database, or it does not start.
    #[error(transparent)]
    DatabaseChoice(#[from] database_choice::Error),
    /// The migrations could not be applied, reverted or listed.
    #[error(transparent)]
    Migrate(#[from] Error),
    /// Standard output cannot be written.
    #[error("the outcome cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The embedded server did not stop.
    #[error(transparent)]
    Server(#[from] embedded::Error),
}

/// Runs `action` on the configured or the embedded database. Writes one line per step.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(
    settings: &Settings,
    action: MigrateAction,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let (url, server) = database_choice::database(settings, Role::Owner).await?;
    let lines = match action {
        MigrateAction::Up => {
            let applied = up(url.reveal()).await?;
            if applied.is_empty() {
                vec!["nothing is pending".to_owned()]
            } else {
                applied
                    .iter()
                    .map(|step| format!("applied {step}"))
                    .collect()
            }
        }
        MigrateAction::Down { steps } => down(url.reveal(), steps).await?,
        MigrateAction::Status => status(url.reveal()).await?,
    };
    for line in lines {
        writeln!(out, "{line}")?;
    }
    if let Some(server) = server {
        server.stop().await?;
    }
    Ok(())
}

async fn down(url: &str, steps: u32) -> Result<Vec<String>, Error> {
    let database = open(url).await?;
    let before = database.schema_state(&migration::names()).await?.missing;
    let owner = connect(url.to_owned()).await?;
    let taken_back = Migrator::down(&owner, Some(steps)).await;
    owner.close().await?;
    taken_back?;
    let after = database.schema_state(&migration::names()).await?.missing;
    database.close().await;
    let gone = after.iter().filter(|step| !before.contains(step));
    Ok(gone.map(|step| format!("reverted {step}")).collect())
}

async fn status(url: &str) -> Result<Vec<String>, Error> {
    let database = open(url).await?;
    let names = migration::names();
    let state = database.schema_state(&names).await?;
    database.close().await;
    let own = names.iter().map(|step| {
        let what = if state.missing.contains(step) {
            "pending"
        } else {
            "applied"
        };
        format!("{what} {step}")
    });
    let ahead = state.ahead.iter().map(|step| {
        let what = if state.incompatible.contains(step) {
            "not compatible with this version"
        } else {
            "compatible with this version"
        };
        format!("applied {step}, of a later version, {what}")
    });
    Ok(own.chain(ahead).collect())
}
