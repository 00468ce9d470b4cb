//! A transaction, which SeaORM uses as a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, AssertSqlSafe, Executor, Postgres};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;

use super::{RESPONSE_TIMEOUT, db_error, in_time};
use crate::Error;
use crate::foundation::sql_errors::proves_rollback;

/// A transaction of one business. Rolls back when dropped.
#[derive(Debug)]
pub struct Transaction {
    inner: Mutex<Inner>,
    /// True while every statement has succeeded. PostgreSQL rolls back on a COMMIT after a failed statement. It tells
    /// that only in the command tag, which the library does not expose.
    intact: AtomicBool,
    reads_only: bool,
    response_timeout: Duration,
}

#[derive(Debug)]
enum Inner {
    Pooled(sqlx::Transaction<'static, Postgres>),
    /// A session's connection. It is returned when the transaction ends cleanly, and closed otherwise.
    OfSession {
        connection: PgConnection,
        home: Home,
    },
}

impl Inner {
    fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Pooled(transaction) => transaction,
            Self::OfSession { connection, .. } => connection,
        }
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Pooled(transaction) => until_done(transaction.commit()).await,
            Self::OfSession { connection, home } => end(connection, home, "COMMIT").await,
        }
    }

    async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Pooled(transaction) => until_done(transaction.rollback()).await,
            Self::OfSession { connection, home } => end(connection, home, "ROLLBACK").await,
        }
    }
}

/// Ends a transaction in a task of its own, which continues when the caller goes away. A connection that is returned
/// between `COMMIT` and its answer would get a rollback too, and the server would log a warning.
async fn until_done(
    ending: impl Future<Output = Result<(), sqlx::Error>> + Send + 'static,
) -> Result<(), sqlx::Error> {
    let ended = tokio::spawn(in_time(RESPONSE_TIMEOUT, ending)).await;
    ended.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

async fn end(
    mut connection: PgConnection,
    home: Home,
    how: &'static str,
) -> Result<(), sqlx::Error> {
    in_time(RESPONSE_TIMEOUT, connection.execute(how)).await?;
    home.keep(connection);
    Ok(())
}

impl Transaction {
    pub(super) fn pooled(transaction: sqlx::Transaction<'static, Postgres>) -> Self {
        Self::new(Inner::Pooled(transaction))
    }

    pub(super) fn of_session(connection: PgConnection, home: Home) -> Self {
        Self::new(Inner::OfSession { connection, home })
    }

    fn new(inner: Inner) -> Self {
        Self {
            inner: Mutex::new(inner),
            intact: AtomicBool::new(true),
            reads_only: false,
            response_timeout: RESPONSE_TIMEOUT,
        }
    }

    pub(super) fn read_only(self) -> Self {
        Self {
            reads_only: true,
            ..self
        }
    }

    /// Sets the longest wait for an answer, for a transaction with another `statement_timeout`.
    pub(crate) fn with_response_timeout(self, response_timeout: Duration) -> Self {
        Self {
            response_timeout,
            ..self
        }
    }

    /// Commits. For a read-only transaction a failure is ignored: its results stay valid even if the connection
    /// breaks now.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] unless the answer proves a rollback; after all other errors nothing was
    /// committed. [`Error::Bug`] if a statement of the transaction had failed.
    pub async fn commit(self) -> Result<(), Error> {
        if !self.reads_only && !self.intact.load(Ordering::Relaxed) {
            self.rollback().await;
            let message = "a transaction in which a statement had failed was to be committed";
            return Err(Error::Bug(message.into()));
        }
        match self.inner.into_inner().commit().await {
            Ok(()) => Ok(()),
            Err(_) if self.reads_only => Ok(()),
            Err(sqlx::Error::Database(answer)) if proves_rollback(answer.as_ref()) => {
                Err(db_error(sqlx::Error::Database(answer)).into())
            }
            Err(error) => {
                tracing::warn!(%error, "a commit was not confirmed");
                Err(Error::OutcomeUnknown)
            }
        }
    }

    /// Waits for the answer to a statement and records whether it succeeded.
    async fn answer<T>(
        &self,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, DbErr> {
        // A statement that is cancelled counts as failed.
        let was_intact = self.intact.swap(false, Ordering::Relaxed);
        let answer = in_time(self.response_timeout, statement)
            .await
            .map_err(db_error)?;
        self.intact.store(was_intact, Ordering::Relaxed);
        Ok(answer)
    }

    /// Rolls back and releases the locks at once. Dropping the transaction does the same a little later.
    pub(crate) async fn rollback(self) {
        if let Err(error) = self.inner.into_inner().rollback().await {
            // The server rolls back when it notices that the connection is gone.
            tracing::debug!(%error, "a rollback was not confirmed");
        }
    }
}

#[sea_orm::prelude::async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut inner = self.inner.lock().await;
        let executed = query(statement).execute(inner.connection());
        self.answer(executed).await.map(Into::into)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut inner = self.inner.lock().await;
        let executed = inner.connection().execute(AssertSqlSafe(sql.to_owned()));
        self.answer(executed).await.map(Into::into)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut inner = self.inner.lock().await;
        let fetched = query(statement).fetch_optional(inner.connection());
        self.answer(fetched).await.map(|row| row.map(Into::into))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut inner = self.inner.lock().await;
        let fetched = query(statement).fetch_all(inner.connection());
        self.answer(fetched)
            .await
            .map(|rows| rows.into_iter().map(Into::into).collect())
    }
}

/// Converts SeaORM's statement for sqlx: prepared once per connection, with unchanged values.
fn query(statement: Statement) -> sqlx::query::Query<'static, Postgres, SqlxValues> {
    let values = statement.values.unwrap_or(sea_orm::Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values))
}

/// The place of a session's connection between transactions. Empty before the first, and after one that did not end
/// cleanly.
#[derive(Debug, Clone, Default)]
pub(super) struct Home(Arc<std::sync::Mutex<Option<PgConnection>>>);

impl Home {
    pub(super) fn keep(&self, connection: PgConnection) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    pub(super) fn take(&self) -> Option<PgConnection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
