//! The meaning of database errors: one table for PostgreSQL, poolers and managed proxies.
//!
//! Poolers report a lost server connection with codes of their own. PgBouncer uses 08P01, Odyssey 08006, pgcat, PgDog
//! and relatives of PgBouncer 58000, Supavisor and Neon XX000. Almost all of them also end the client's session,
//! which the severity FATAL tells. So the severity takes precedence over the code, and messages matter only where the
//! code is ambiguous.

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::postgres::{PgDatabaseError, PgSeverity};

/// The meaning of an error for its transaction, before the commit was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A conflict with another transaction; the whole transaction can be retried.
    Contention,
    /// The statement exceeded its timeout; a retry would take as long.
    TooSlow,
    /// The session, or the server behind the pooler, is gone.
    ConnectionLost,
    /// The server or the pooler is temporarily unable: no memory, disk space or connection, or a standby.
    Unavailable,
    /// Any other error: a violated constraint, or a bug.
    Other,
}

/// A database error, reduced to what its meaning depends on.
#[derive(Debug, Clone, Copy)]
struct Answer<'a> {
    /// True for FATAL and PANIC, which end the session.
    ends_session: bool,
    code: &'a str,
    message: &'a str,
}

impl Meaning {
    pub(crate) fn of(error: &dyn DatabaseError) -> Self {
        Answer::of(error).map_or(Self::Other, Answer::meaning)
    }
}

/// Whether this answer to a COMMIT proves a rollback. After any other error the outcome is unknown.
pub(crate) fn proves_rollback(error: &dyn DatabaseError) -> bool {
    Answer::of(error).is_some_and(Answer::proves_rollback)
}

/// Whether a pooler has lost a prepared statement, or has switched to a server connection that has another one of its
/// name.
pub(crate) fn lacks_prepared_statement(error: &dyn DatabaseError) -> bool {
    Answer::of(error).is_some_and(|answer| LOST_STATEMENT.contains(&answer.code))
}

/// `invalid_sql_statement_name`, `duplicate_prepared_statement`.
const LOST_STATEMENT: [&str; 2] = ["26000", "42P05"];

/// Messages of poolers with the code XX000, `internal_error`, in lower case. PostgreSQL uses the code for its own
/// bugs.
const LOST_BY_MESSAGE: [&str; 12] = [
    // PgBouncer, and poolers that have copied its messages.
    "server conn crashed",
    "server login",
    "cannot connect to server",
    "database removed",
    "query_wait_timeout",
    "client_login_timeout",
    // Neon.
    "connect to compute node",
    "control plane request failed",
    // Supavisor.
    "dbhandler",
    "connection to database",
    "check out connection",
    "max client connections reached",
];

impl<'a> Answer<'a> {
    fn of(error: &'a dyn DatabaseError) -> Option<Self> {
        let error = error.try_downcast_ref::<PgDatabaseError>()?;
        Some(Self {
            ends_session: matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic),
            code: error.code(),
            message: error.message(),
        })
    }

    fn class(self) -> &'a str {
        self.code.get(..2).unwrap_or_default()
    }

    fn meaning(self) -> Meaning {
        match (self.class(), self.code) {
            // Serialization failure, deadlock and the rest of the class; a lock timeout.
            ("40", _) | (_, "55P03") => Meaning::Contention,
            (_, "57014") if !self.ends_session => Meaning::TooSlow,
            // A wrong password, an unknown role or an unknown database: waiting does not help.
            ("28" | "3D", _) => Meaning::Other,
            // Insufficient resources, a system error, a standby, a lost prepared statement.
            ("53" | "58", _) | (_, "25006" | "26000" | "42P05") => Meaning::Unavailable,
            // A connection exception; a shutdown by an operator or a crash; a start-up; timeouts that end the
            // session.
            ("08", _)
            | (_, "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "25P04") => {
                Meaning::ConnectionLost
            }
            _ if self.ends_session => Meaning::ConnectionLost,
            (_, "XX000") if self.names_lost_connection() => Meaning::ConnectionLost,
            _ => Meaning::Other,
        }
    }

    /// PostgreSQL answers a COMMIT with an error that keeps the session only before the commit is recorded. No pooler
    /// uses these codes for failures of its own.
    fn proves_rollback(self) -> bool {
        if self.ends_session {
            return false;
        }
        match (self.class(), self.code) {
            // `statement_completion_unknown`.
            (_, "40003") => false,
            // Serialization failure; a deferred constraint, or a trigger that raises; a failed transaction; a lock
            // timeout or a statement timeout.
            ("23" | "40" | "P0", _) | (_, "25P02" | "55P03" | "57014") => true,
            _ => false,
        }
    }

    fn names_lost_connection(self) -> bool {
        let message = self.message.to_lowercase();
        LOST_BY_MESSAGE.iter().any(|words| message.contains(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error<'a>(code: &'a str, message: &'a str) -> Answer<'a> {
        Answer {
            ends_session: false,
            code,
            message,
        }
    }

    fn fatal<'a>(code: &'a str, message: &'a str) -> Answer<'a> {
        Answer {
            ends_session: true,
            ..error(code, message)
        }
    }

    /// Errors of servers, poolers and managed databases when a connection is lost or refused.
    const LOST: [(bool, &str, &str); 34] = [
        // PostgreSQL and managed services (RDS, Aurora, Cloud SQL, Azure), at a stop, a crash and a failover.
        (
            true,
            "57P01",
            "terminating connection due to administrator command",
        ),
        (
            true,
            "57P02",
            "terminating connection because of crash of another server process",
        ),
        (true, "57P03", "the database system is starting up"),
        (true, "57P03", "the database system is in recovery mode"),
        (
            true,
            "57P04",
            "terminating connection: the database was dropped",
        ),
        (
            true,
            "57P05",
            "terminating connection due to idle-session timeout",
        ),
        (
            true,
            "25P03",
            "terminating connection due to idle-in-transaction timeout",
        ),
        (
            true,
            "25P04",
            "terminating connection due to transaction timeout",
        ),
        (
            false,
            "25006",
            "cannot execute INSERT in a read-only transaction",
        ),
        (true, "53300", "sorry, too many clients already"),
        (
            false,
            "53100",
            "could not extend file: No space left on device",
        ),
        (true, "XX000", "could not open shared memory segment"),
        (true, "08006", "connection to client lost"),
        // PgBouncer.
        (true, "08P01", "server conn crashed?"),
        (true, "08P01", "server login failed: wrong password type"),
        (true, "08P01", "pgbouncer cannot connect to server"),
        (true, "08P01", "database removed"),
        (true, "08P01", "client_login_timeout"),
        (true, "08P01", "query_wait_timeout"),
        (true, "08P01", "query_timeout"),
        (true, "57P01", "pooler is shutting down"),
        (
            true,
            "53300",
            "no more connections allowed (max_client_conn)",
        ),
        // Odyssey uses either severity.
        (
            false,
            "08006",
            "odyssey: c1d2: remote server read/write error s1: failed",
        ),
        (true, "08006", "failed to connect to remote server"),
        // pgcat and PgDog.
        (
            true,
            "58000",
            "could not get connection from the pool - AllServersDown",
        ),
        (false, "58000", "error receiving data from server"),
        (false, "58000", "connection pool is down"),
        // RDS Proxy.
        (
            true,
            "08001",
            "request to borrow a connection from the pool timed out",
        ),
        // Supavisor.
        (
            true,
            "XX000",
            "(EDBHANDLEREXITED) connection to database closed",
        ),
        (false, "XX000", "DbHandler exited"),
        (
            false,
            "XX000",
            "(ECHECKOUTTIMEOUT) unable to check out connection from the pool after 15000ms",
        ),
        (true, "XX000", "Max client connections reached"),
        // Neon.
        (false, "XX000", "Couldn't connect to compute node"),
        (false, "XX000", "Control plane request failed"),
    ];

    #[test]
    fn a_lost_connection_is_retried_before_a_commit_and_leaves_the_outcome_of_a_commit_open() {
        for (ends_session, code, message) in LOST {
            let answer = Answer {
                ends_session,
                code,
                message,
            };
            let meaning = answer.meaning();
            assert!(
                matches!(meaning, Meaning::ConnectionLost | Meaning::Unavailable),
                "{answer:?} means {meaning:?}"
            );
            assert!(!answer.proves_rollback(), "{answer:?}");
        }
    }

    #[test]
    fn only_an_error_of_the_transaction_itself_proves_that_it_was_rolled_back() {
        for code in [
            "40001", "40P01", "40002", "23503", "23505", "23514", "25P02", "55P03", "57014",
            "P0001",
        ] {
            assert!(error(code, "").proves_rollback(), "{code}");
            assert!(!fatal(code, "").proves_rollback(), "{code}");
        }
        // Codes that are not listed prove nothing.
        for code in [
            "40003", "XX000", "42501", "22003", "01000", "0A000", "99999", "",
        ] {
            assert!(!error(code, "").proves_rollback(), "{code}");
        }
    }

    #[test]
    fn errors_worth_a_retry_are_distinguished() {
        for code in ["40001", "40P01", "55P03"] {
            assert_eq!(error(code, "").meaning(), Meaning::Contention, "{code}");
        }
        // A standby ends the session of a query that conflicts with recovery.
        assert_eq!(fatal("40001", "").meaning(), Meaning::Contention);
        assert_eq!(error("57014", "").meaning(), Meaning::TooSlow);
        for code in ["26000", "42P05"] {
            assert_eq!(error(code, "").meaning(), Meaning::Unavailable, "{code}");
        }
        for answer in [
            fatal("28P01", "password authentication failed for user \"x\""),
            fatal("28000", "role \"x\" does not exist"),
            fatal("3D000", "database \"x\" does not exist"),
            error("23505", "duplicate key"),
            error("42P01", "relation \"x\" does not exist"),
            error("XX000", "cache lookup failed for relation 1"),
            // Text of a client must not be mistaken for a pooler's message.
            error(
                "22P02",
                "invalid input syntax for type uuid: \"server conn crashed?\"",
            ),
        ] {
            assert_eq!(answer.meaning(), Meaning::Other, "{answer:?}");
        }
    }
}
