//! Opens a single connection to find out why none can be opened. A pool would retry and report only its timeout.

use std::time::Duration;

use sea_orm::sqlx::{self, ConnectOptions, Connection};
use tokio::time::timeout;

use super::Database;
use crate::foundation::sql_errors::Meaning;

/// The longest time to wait for the server's answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The reason why no connection to the database can be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot connect to the database at {address} as {role}: {cause}")]
pub struct CannotConnect {
    /// Host, port and database, or the directory of the socket.
    address: String,
    /// The role that connects.
    role: String,
    /// The message of the server or the operating system.
    cause: String,
    /// Whether the failure may be temporary: the server is starting, or its name does not resolve yet. A wrong
    /// password, role or database is permanent.
    pub may_pass: bool,
}

impl Database {
    /// Opens a connection and closes it again.
    ///
    /// # Errors
    /// [`CannotConnect`].
    pub async fn try_to_connect(&self) -> Result<(), CannotConnect> {
        let (cause, may_pass) = match timeout(CONNECT_TIMEOUT, self.options.connect()).await {
            Ok(Ok(connection)) => {
                // The regular close only avoids an entry in the server's log.
                let _ = timeout(CONNECT_TIMEOUT, connection.close()).await;
                return Ok(());
            }
            Ok(Err(error)) => (cause_of(&error), may_pass(&error)),
            Err(_elapsed) => (
                format!("no answer within {} seconds", CONNECT_TIMEOUT.as_secs()),
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

/// The original message, without the prefixes of the libraries in between.
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
        // The server is starting or stopping or has no connection left, or a pooler cannot reach it.
        sqlx::Error::Database(answer) => Meaning::of(answer.as_ref()) != Meaning::Other,
        _ => false,
    }
}
