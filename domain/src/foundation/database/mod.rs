//! The database: the only module that opens a transaction.
//!
//! A transaction belongs to one business. It starts with one message, `BEGIN; SET LOCAL app.business_id = '…'`, which
//! saves one round trip. Row security then shows it only that business's rows. `SET LOCAL` ends with the transaction,
//! so that nothing leaks to the next user of the connection, even behind a pooler.
//!
//! This message is the reason for not using SeaORM's own transaction. Everything else goes through SeaORM, for which
//! [`Transaction`] is a connection.

mod connect;
mod schema;
mod session;
mod transaction;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use entity::BusinessId;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, Executor, PgPool};
use sea_orm::{DbErr, RuntimeErr};
use tokio::time::timeout;

pub use connect::CannotConnect;
pub use schema::SchemaState;
pub(crate) use session::Session;
pub use transaction::Transaction;

use crate::Error;
use crate::foundation::sql_errors::{Meaning, lacks_prepared_statement};

/// A connection pool of the service's role. Its debug output hides the password.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    options: PgConnectOptions,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.options, "Database", f)
    }
}

/// Debug output of the connection's target. The library's own would contain the password.
fn shown(options: &PgConnectOptions, what: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(what)
        .field("host", &options.get_host())
        .field("port", &options.get_port())
        .field("database", &options.get_database())
        .finish_non_exhaustive()
}

/// The longest time that a request waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest time to wait for another server connection of a pooler, in the test for prepared statements.
const SPARE_CONNECTION_WAIT: Duration = Duration::from_secs(1);

/// A connection that was idle for longer is tested before its use, since a restart of the server leaves dead ones.
const PING_AFTER: Duration = Duration::from_secs(5);

/// Limits of every transaction, which would otherwise hold its locks, and all that wait for them, for longer. The
/// third is for a service whose machine has disappeared; the server would otherwise notice it only after hours.
///
/// They are set in the message that begins each transaction, which costs no round trip. Settings elsewhere would not
/// work:
///
/// - `ALTER ROLE … SET` applies to the login role, which the operator makes and no migration knows. Members of
///   `tradeline_service` do not inherit its settings.
/// - A pooler in transaction mode refuses them as startup parameters, and leaks session settings between clients.
///
/// The desk's planner settings are set the same way; they would be wrong for the reports of the same role.
const LIMITS: [&str; 3] = [
    "lock_timeout = '2s'",
    "statement_timeout = '30s'",
    "idle_in_transaction_session_timeout = '60s'",
];

/// The longest time to wait for an answer of the server. It exceeds `statement_timeout`, so that a server that is
/// silent for longer has disappeared.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(40);

/// The server's answer, or an error when there is none within `limit`.
async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    // Reported like a pool timeout, which is not retried: another attempt would wait as long again.
    let silent = |_elapsed| Err(sqlx::Error::PoolTimedOut);
    timeout(limit, answer).await.unwrap_or_else(silent)
}

/// Predefined roles that row security binds, but that could bypass it by the server's files and programs, or bypass
/// the grants that make tables append-only.
const FORBIDDEN_RIGHTS: [&str; 4] = [
    "pg_execute_server_program",
    "pg_read_server_files",
    "pg_write_all_data",
    "pg_write_server_files",
];

/// The role of the session, with the roles that it may become. A role can become every role of which it is a member, also
/// one that it does not inherit. The session's role counts as well as the current one, since it can always be restored.
///
/// Raw: it runs outside a transaction, on the catalogue of PostgreSQL, which no entity describes.
const ROLE: &str = "
WITH reachable AS (
    SELECT * FROM pg_roles
     WHERE pg_has_role(current_user, oid, 'MEMBER') OR pg_has_role(session_user, oid, 'MEMBER')
)
SELECT session_user::text,
       bool_or(rolsuper OR rolbypassrls),
       (SELECT min(relname::text) FROM pg_class
         WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
           AND relowner IN (SELECT oid FROM reachable)),
       bool_or(rolcreaterole),
       coalesce(min('REPLICATION') FILTER (WHERE rolreplication),
                min(rolname::text) FILTER (WHERE rolname = ANY ($1)))
  FROM reachable";

impl Database {
    /// Parses the address. Connects only at first use, so that the database may be down at this time.
    ///
    /// # Errors
    /// Fails when the address is not one of PostgreSQL.
    pub fn new(url: &str, connections: u32) -> Result<Self, DbErr> {
        // The parser accepts any scheme, and connections would then fail without end.
        let schemes = ["postgres://", "postgresql://"];
        if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
            let message = "it must start with postgres://";
            return Err(db_error(sqlx::Error::Configuration(message.into())));
        }
        let options = url
            .parse::<PgConnectOptions>()
            .map_err(db_error)?
            .application_name("tradeline")
            // PgBouncer refuses a session that sets it. The server's default is as precise.
            .extra_float_digits(None)
            .disable_statement_logging();
        Ok(Self::with(options, connections))
    }

    /// Another pool of the same database. A connection belongs to the thread that opened it, so each worker has its
    /// own pool.
    #[must_use]
    pub fn another(&self, connections: u32) -> Self {
        Self::with(self.options.clone(), connections)
    }

    fn with(options: PgConnectOptions, connections: u32) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| {
                Box::pin(async move {
                    if metadata.idle_for > PING_AFTER {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.clone());
        Self { pool, options }
    }

    /// A connection for one permanent user, such as a lane.
    pub(crate) fn session(&self) -> Session {
        Session::new(self.options.clone())
    }

    /// Begins a transaction of one business. It fails when a row stays locked for 2 seconds or a statement runs for
    /// 30.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn begin(&self, business: BusinessId) -> Result<Transaction, Error> {
        self.begin_with(&format!("app.business_id = '{business}'"), &[])
            .await
    }

    /// Begins a read-only transaction of one business.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn begin_read(&self, business: BusinessId) -> Result<Transaction, Error> {
        let whose = format!("app.business_id = '{business}'");
        let transaction = self.begin_as("BEGIN READ ONLY", &whose, &[]).await?;
        Ok(transaction.read_only())
    }

    /// Begins a read-only transaction of one business whose statements all see one snapshot. `settings` are further
    /// `SET LOCAL` assignments.
    pub(crate) async fn begin_snapshot(
        &self,
        business: BusinessId,
        settings: &[&str],
    ) -> Result<Transaction, Error> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let whose = format!("app.business_id = '{business}'");
        let transaction = self.begin_as(begin, &whose, settings).await?;
        Ok(transaction.read_only())
    }

    /// Begins a transaction. `whose` is the setting that selects its rows, `settings` are further ones. All are sent
    /// as text in one message, so they must not contain input of a client.
    pub(crate) async fn begin_with(
        &self,
        whose: &str,
        settings: &[&str],
    ) -> Result<Transaction, Error> {
        self.begin_as("BEGIN", whose, settings).await
    }

    async fn begin_as(
        &self,
        begin: &str,
        whose: &str,
        settings: &[&str],
    ) -> Result<Transaction, Error> {
        let message = begin_message(begin, whose, settings);
        // A task of its own, which continues when the caller goes away. A connection that is returned between `BEGIN`
        // and its answer would carry the open transaction, and its `now()`, to the next user.
        let begin = || {
            let (pool, message) = (self.pool.clone(), message.clone());
            let begin = async move { pool.begin_with(AssertSqlSafe(message)).await };
            let begun = tokio::spawn(in_time(RESPONSE_TIMEOUT, begin));
            async { begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed)) }
        };
        // Whatever the error (such as a changed password or a revoked right), the request did not cause it, and
        // nothing was changed.
        let transaction = self
            .without_dead_connections(begin)
            .await
            .map_err(|error| Error::DatabaseUnavailable(db_error(error)))?;
        Ok(Transaction::pooled(transaction))
    }

    /// Runs the first statement on a connection. Idle connections that died, as all do at a restart of the server,
    /// fail here and leave the pool, one per attempt. After them a new connection is opened.
    async fn without_dead_connections<T, F>(
        &self,
        mut first: impl FnMut() -> F,
    ) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let mut at_rest = self.pool.num_idle();
        loop {
            match first().await {
                Err(error) if at_rest > 0 && is_dead_connection(&error) => at_rest -= 1,
                done => return done,
            }
        }
    }

    /// Whether prepared statements survive from one transaction to the next. They do not behind a pooler that
    /// switches server connections between transactions and does not know prepared statements.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn keeps_prepared_statements(&self) -> Result<bool, Error> {
        match self.prepare_across_transactions().await {
            Ok(()) => Ok(true),
            Err(sqlx::Error::Database(answer)) if lacks_prepared_statement(answer.as_ref()) => {
                Ok(false)
            }
            Err(error) => Err(db_error(error).into()),
        }
    }

    /// Two sessions give their first statements the same name. A pooler that hands the first one's server connection
    /// to the second fails there, since the name is taken. It hands another one to the first, where the name does not
    /// exist.
    async fn prepare_across_transactions(&self) -> Result<(), sqlx::Error> {
        let connect = || async {
            let connected = timeout(ACQUIRE_TIMEOUT, self.options.connect()).await;
            connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))
        };
        let (mut one, mut other) = (connect().await?, connect().await?);
        in_time(RESPONSE_TIMEOUT, sqlx::query("SELECT 1").execute(&mut one)).await?;
        in_time(RESPONSE_TIMEOUT, other.execute("BEGIN")).await?;
        in_time(
            RESPONSE_TIMEOUT,
            sqlx::query("SELECT 2").execute(&mut other),
        )
        .await?;
        // A pooler with a single server connection has none left, and then never switches it either.
        let again = sqlx::query("SELECT 1").execute(&mut one);
        if let Ok(answer) = timeout(SPARE_CONNECTION_WAIT, again).await {
            answer?;
            one.close().await?;
        }
        in_time(RESPONSE_TIMEOUT, other.execute("ROLLBACK")).await?;
        other.close().await
    }

    /// The reason why the service must not run as its current role; `None` if it may. A role must not be, or be able
    /// to become, a superuser, a role with BYPASSRLS or an owner of tables. Such a role could bypass or remove row
    /// security. A few other rights lead there indirectly, or permit changes of append-only tables.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn role_objection(&self) -> Result<Option<String>, Error> {
        let (role, mighty, owned, makes_roles, right): (
            String,
            bool,
            Option<String>,
            bool,
            Option<String>,
        ) = sqlx::query_as(ROLE)
            .bind(FORBIDDEN_RIGHTS.map(str::to_owned).to_vec())
            .fetch_one(&self.pool)
            .await
            .map_err(db_error)?;
        Ok(match (owned, right) {
            _ if mighty => Some(format!(
                "the role {role} is or may become a superuser or a role with BYPASSRLS, so row security would not bind it"
            )),
            (Some(table), _) => Some(format!(
                "the role {role} owns the table {table} or belongs to the role that does, so it could take row \
                 security away"
            )),
            _ if makes_roles => Some(format!(
                "the role {role} has CREATEROLE, so it could make itself a member of other roles"
            )),
            (None, Some(right)) => Some(format!(
                "the role {role} has {right}, with which it could get around its grants"
            )),
            (None, None) => None,
        })
    }

    /// Closes all connections of the pool.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The message that begins a transaction.
fn begin_message(begin: &str, whose: &str, settings: &[&str]) -> String {
    let mut message = begin.to_owned();
    for setting in [whose].iter().chain(&LIMITS).chain(settings) {
        message.push_str("; SET LOCAL ");
        message.push_str(setting);
    }
    message
}

/// Whether the connection is gone, or the server or the pooler reports that it ends it.
fn is_dead_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(answer) => Meaning::of(answer.as_ref()) == Meaning::ConnectionLost,
        _ => false,
    }
}

fn db_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::retry::is_retryable;

    #[tokio::test]
    async fn a_server_that_falls_silent_is_gone() {
        let never = std::future::pending::<Result<(), _>>();
        let answer = in_time(Duration::from_millis(1), never).await;
        let error = Error::from(db_error(answer.unwrap_err()));
        assert!(matches!(error, Error::DatabaseUnavailable(_)), "{error:?}");
        // Five attempts of 40 seconds would exceed the timeout of any client.
        assert!(!is_retryable(&error));
    }

    #[tokio::test]
    async fn no_password_is_shown() {
        let database = Database::new("postgres://role:hunter2@db.example:5433/shop", 1).unwrap();
        for shown in [format!("{database:?}"), format!("{:?}", database.session())] {
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains("db.example"), "{shown}");
        }
    }
}
