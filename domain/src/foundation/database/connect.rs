//! One connection, opened to learn what stands in the way. A pool would try again until its time is up, and tell of that.

use std::time::Duration;

use sea_orm::sqlx::{self, ConnectOptions, Connection};
use tokio::time::timeout;

use super::Database;
use crate::foundation::sql_errors::Meaning;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why no connection to the database can be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot connect to the database at {address} as {role}: {cause}")]
pub struct CannotConnect {
    /// Host, port and database, or the folder of the socket.
    address: String,
    /// The role.
    role: String,
    /// What the server or the system said.
    cause: String,
    /// Whether it may pass by itself: the server is starting, or its name is not known yet. A wrong password, role or
    /// database stays wrong.
    pub may_pass: bool,
}

impl Database {
    /// Opens a connection and closes it.
    ///
    /// # Errors
    /// [`CannotConnect`].
    pub async fn try_to_connect(&self) -> Result<(), CannotConnect> {
        let (cause, may_pass) = match timeout(PATIENCE, self.options.connect()).await {
            Ok(Ok(connection)) => {
                // The goodbye is a courtesy to the server's log.
                let _ = timeout(PATIENCE, connection.close()).await;
                return Ok(());
            }
            Ok(Err(error)) => (cause_of(&error), may_pass(&error)),
            Err(_elapsed) => (
                format!("no answer within {} seconds", PATIENCE.as_secs()),
                true,
            ),
        };
        Err(CannotConnect {
            address: self.address(),
            role: self.options.get_username().to_owned(),
            cause,
            may_pass,
        })
    }

    fn address(&self) -> String {
        let options = &self.options;
        let database = options.get_database().unwrap_or(options.get_username());
        let port = options.get_port();
        match options.get_socket() {
            Some(socket) => format!("{}, port {port}, database {database}", socket.display()),
            None => format!("{}:{port}/{database}", options.get_host()),
        }
    }
}

/// The words of whoever refused, without those of the libraries in between.
fn cause_of(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(answer) => answer.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) | sqlx::Error::Configuration(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // The server starts or stops, has no connection left, or a pooler cannot reach it.
        sqlx::Error::Database(answer) => Meaning::of(answer.as_ref()) != Meaning::Other,
        _ => false,
    }
}
