//! The one place that opens a transaction.
//!
//! A transaction belongs to one business. It starts with one message, `BEGIN; SET LOCAL app.business_id = '…'`, which
//! is one round trip less than two statements, and row security shows it that business's rows alone. `SET LOCAL` ends
//! with the transaction, so nothing leaks into the next user of the connection, behind a pooler neither. That message
//! is why this is not SeaORM's own transaction; everything else goes through SeaORM, for which [`Transaction`] is a
//! connection.

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

/// A pool of connections to the database, as the service's role. Its debug output shows no password.
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

/// Where connections go. The library would show the password too.
fn shown(options: &PgConnectOptions, what: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(what)
        .field("host", &options.get_host())
        .field("port", &options.get_port())
        .field("database", &options.get_database())
        .finish_non_exhaustive()
}

/// How long a request waits for a free connection before it is told that there is none.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a pooler may take to find another server connection when it is tried for prepared statements.
const SPARE_CONNECTION_WAIT: Duration = Duration::from_secs(1);

/// A connection that has rested longer is tried before it is used: a restarted server leaves dead ones.
const PING_AFTER: Duration = Duration::from_secs(5);

/// What no transaction may exceed: it would hold its locks, and everyone behind them, as long. The last is for a service
/// whose machine is gone without a word, of which the server would otherwise hear after hours.
///
/// They are set in the message that begins each transaction, which costs no round trip, and not on a role. `ALTER ROLE … SET`
/// holds for the role that logs in, which is one of the operator's that no migration knows: members of
/// `tradeline_service` do not inherit its settings. A pooler in transaction mode refuses them as startup parameters and
/// leaks them between clients as settings of the session. So are the desk's settings of planning, which would be wrong for
/// the reports of the same role.
const LIMITS: [&str; 3] = [
    "lock_timeout = '2s'",
    "statement_timeout = '30s'",
    "idle_in_transaction_session_timeout = '60s'",
];

/// How long the server is waited for: longer than a statement may take. It would have ended that by itself, so one that is
/// silent for so long is gone without a word.
const PATIENCE: Duration = Duration::from_secs(40);

/// The server's answer, or that there is none.
async fn in_time<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    // Like one who has waited in vain for a connection, this one hears so now: another try would wait as long again.
    let silent = |_elapsed| Err(sqlx::Error::PoolTimedOut);
    timeout(patience, answer).await.unwrap_or_else(silent)
}

/// Predefined roles that row security binds and that get around it, by the server's files and programs, or around the
/// grants that make tables append-only.
const RIGHTS_TOO_MANY: [&str; 4] = [
    "pg_execute_server_program",
    "pg_read_server_files",
    "pg_write_all_data",
    "pg_write_server_files",
];

impl Database {
    /// Reads the address. Connects at first use, so a database that is down now may come later.
    ///
    /// # Errors
    /// The address is none of PostgreSQL.
    pub fn new(url: &str, connections: u32) -> Result<Self, DbErr> {
        // The parser takes any scheme, and would look for a server of another kind for as long as it is let.
        let schemes = ["postgres://", "postgresql://"];
        if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
            let message = "it must start with postgres://";
            return Err(db_error(sqlx::Error::Configuration(message.into())));
        }
        let options = url
            .parse::<PgConnectOptions>()
            .map_err(db_error)?
            .application_name("tradeline")
            // PgBouncer refuses a session that sets it, and the server's own value is as exact.
            .extra_float_digits(None)
            .disable_statement_logging();
        Ok(Self::with(options, connections))
    }

    /// Another pool of the same database. A connection lives on the thread that opened it: each worker has its own.
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

    /// A connection of its own for someone who uses it all the time.
    pub(crate) fn session(&self) -> Session {
        Session::new(self.options.clone())
    }

    /// Begins a transaction of one business. A row that stays locked for two seconds, or a statement that runs for
    /// thirty, ends it.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn begin(&self, business: BusinessId) -> Result<Transaction, Error> {
        self.begin_with(&format!("app.business_id = '{business}'"), &[])
            .await
    }

    /// Begins a transaction of one business that changes nothing.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn begin_read(&self, business: BusinessId) -> Result<Transaction, Error> {
        let whose = format!("app.business_id = '{business}'");
        let transaction = self.begin_as("BEGIN READ ONLY", &whose, &[]).await?;
        Ok(transaction.that_reads_only())
    }

    /// Begins a transaction of one business that changes nothing and in which every statement sees the same moment, with
    /// more settings for its own good.
    pub(crate) async fn begin_snapshot(
        &self,
        business: BusinessId,
        settings: &[&str],
    ) -> Result<Transaction, Error> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let whose = format!("app.business_id = '{business}'");
        let transaction = self.begin_as(begin, &whose, settings).await?;
        Ok(transaction.that_reads_only())
    }

    /// Begins a transaction that sees what the first setting shows it, with more settings for its own good. All of it
    /// goes into one message as text: nothing that a client wrote may be in it.
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
        let message = beginning(begin, whose, settings);
        // A task of its own, which a caller that goes away does not end: a connection that is given back between `BEGIN`
        // and its answer would carry the open transaction, and its `now()`, to the next user.
        let begin = || {
            let (pool, message) = (self.pool.clone(), message.clone());
            let begin = async move { pool.begin_with(AssertSqlSafe(message)).await };
            let begun = tokio::spawn(in_time(PATIENCE, begin));
            async { begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed)) }
        };
        // Whatever stands in the way (a password that has changed, a right that was taken), it is nothing that the
        // request did, and nothing was changed.
        let transaction = self
            .past_the_dead(begin)
            .await
            .map_err(|error| Error::DatabaseUnavailable(db_error(error)))?;
        Ok(Transaction::pooled(transaction))
    }

    /// Runs the first thing that a connection is used for. Connections that died at rest, as all do when the server is
    /// restarted, fail at it and leave the pool, one a try; behind them a new one is opened.
    async fn past_the_dead<T, F>(&self, mut first: impl FnMut() -> F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let mut at_rest = self.pool.num_idle();
        loop {
            match first().await {
                Err(error) if at_rest > 0 && is_death(&error) => at_rest -= 1,
                done => return done,
            }
        }
    }

    /// Whether statements stay prepared from one transaction to the next. They do not behind a pooler that changes the
    /// server connection between transactions and knows nothing of prepared statements.
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

    /// Two sessions name their first statements alike. A pooler hands the server connection of the first to the second:
    /// there the name is taken. It hands another to the first: there the name does not exist.
    async fn prepare_across_transactions(&self) -> Result<(), sqlx::Error> {
        let connect = || async {
            let connected = timeout(ACQUIRE_TIMEOUT, self.options.connect()).await;
            connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))
        };
        let (mut one, mut other) = (connect().await?, connect().await?);
        in_time(PATIENCE, sqlx::query("SELECT 1").execute(&mut one)).await?;
        in_time(PATIENCE, other.execute("BEGIN")).await?;
        in_time(PATIENCE, sqlx::query("SELECT 2").execute(&mut other)).await?;
        // A pooler with a single server connection has none left, and then never changes it either.
        let again = sqlx::query("SELECT 1").execute(&mut one);
        if let Ok(answer) = timeout(SPARE_CONNECTION_WAIT, again).await {
            answer?;
            one.close().await?;
        }
        in_time(PATIENCE, other.execute("ROLLBACK")).await?;
        other.close().await
    }

    /// Why the service must not run as the role that it connects as: `None` when it may. Whoever is or may become a
    /// superuser, a role with BYPASSRLS or an owner of tables would see through row security or could take it away; a
    /// few other rights get there by a detour, or change what is append-only.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn role_objection(&self) -> Result<Option<String>, Error> {
        // A role can become each role that it is a member of, whether or not it inherits from it. Who logged in counts
        // as well as who it is now, since it can always go back.
        let (role, mighty, owned, makes_roles, right): (String, bool, Option<String>, bool, Option<String>) =
            sqlx::query_as(
                "WITH reachable AS (
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
                   FROM reachable",
            )
            .bind(RIGHTS_TOO_MANY.map(str::to_owned).to_vec())
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

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The one message that begins a transaction.
fn beginning(begin: &str, whose: &str, settings: &[&str]) -> String {
    let mut message = begin.to_owned();
    for setting in [whose].iter().chain(&LIMITS).chain(settings) {
        message.push_str("; SET LOCAL ");
        message.push_str(setting);
    }
    message
}

/// The connection is gone, or the server or the pooler before it says that it ends it.
fn is_death(error: &sqlx::Error) -> bool {
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
    use crate::foundation::retry::is_worth_another_try;

    #[tokio::test]
    async fn a_server_that_falls_silent_is_gone() {
        let never = std::future::pending::<Result<(), _>>();
        let answer = in_time(Duration::from_millis(1), never).await;
        let error = Error::from(db_error(answer.unwrap_err()));
        assert!(matches!(error, Error::DatabaseUnavailable(_)), "{error:?}");
        // Five times forty seconds would be longer than any client waits.
        assert!(!is_worth_another_try(&error));
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
