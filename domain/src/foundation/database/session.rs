//! A session: a connection with one permanent user, such as a lane.
//!
//! A pool tests each connection when it is returned, which costs one more round trip per transaction. A session does
//! not. A transaction that does not end cleanly closes the connection, which ends it on the server too. A connection
//! that has died while idle is replaced at the next transaction.

use std::fmt;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::time::timeout;

use super::transaction::Home;
use super::{
    ACQUIRE_TIMEOUT, RESPONSE_TIMEOUT, Transaction, begin_message, db_error, in_time,
    is_dead_connection, shown,
};
use crate::Error;

pub(crate) struct Session {
    options: PgConnectOptions,
    home: Home,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.options, "Session", f)
    }
}

impl Session {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self {
            options,
            home: Home::default(),
        }
    }

    /// Begins a transaction, like [`super::Database::begin_with`]. A cancelled call closes the connection.
    pub(crate) async fn begin_with(
        &mut self,
        whose: &str,
        settings: &[&str],
    ) -> Result<Transaction, Error> {
        let message = begin_message("BEGIN", whose, settings);
        let connection = self
            .begin(&message)
            .await
            .map_err(|error| Error::DatabaseUnavailable(db_error(error)))?;
        Ok(Transaction::of_session(connection, self.home.clone()))
    }

    /// Closes the connection regularly, so that the server does not log a failure.
    pub(crate) async fn close(self) {
        if let Some(connection) = self.home.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "a connection was closed without an answer");
        }
    }

    async fn begin(&mut self, message: &str) -> Result<PgConnection, sqlx::Error> {
        if let Some(mut rested) = self.home.take() {
            match in_time(
                RESPONSE_TIMEOUT,
                rested.execute(AssertSqlSafe(message.to_owned())),
            )
            .await
            {
                Ok(_) => return Ok(rested),
                Err(error) if is_dead_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let mut connection = timeout(ACQUIRE_TIMEOUT, self.options.connect())
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        in_time(
            RESPONSE_TIMEOUT,
            connection.execute(AssertSqlSafe(message.to_owned())),
        )
        .await?;
        Ok(connection)
    }
}
