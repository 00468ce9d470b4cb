//! What can go wrong, in words for the operator.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why the server could not be started, found or stopped. Each message says what to do; the cause,
/// if there is one, is the error's source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something.
    #[error(
        "cannot {action} {}: check that it exists, who owns it and the space left",
        .path.display()
    )]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },

    /// Another process holds the folder's lock.
    #[error(
        "another copy{} runs on this data, {}: stop it, or choose another data folder \
         (TRADELINE_DATA_DIR)",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        .folder.display()
    )]
    InUse {
        /// The folder asked for.
        folder: PathBuf,
        /// The process that holds the lock, unless it has not written its id yet.
        pid: Option<u32>,
    },

    /// Nothing answers on the folder's socket.
    #[error(
        "no database runs on {}: start the service first, with the same data folder",
        .folder.display()
    )]
    NotRunning {
        /// The folder asked for.
        folder: PathBuf,
        /// Why connecting failed.
        source: io::Error,
    },

    /// A scratch folder would be deleted with what someone else keeps in it.
    #[error(
        "{} is not empty: a scratch server deletes its folder, so give it a new or empty one",
        .folder.display()
    )]
    NotEmpty {
        /// The folder asked for.
        folder: PathBuf,
    },

    /// We are root, and there is no user to run the server's programs as.
    #[error(
        "PostgreSQL does not run as root: create the user `postgres`, or run this program as an \
         ordinary user"
    )]
    NoUser,

    /// The cluster belongs to a user that we cannot run the server as.
    #[error(
        "the database files in {} belong to user id {owner}, which cannot run their server here: \
         run this program as the user who made them, or give them to an unprivileged user (chown \
         -R)",
        .data.display()
    )]
    ForeignData {
        /// The cluster.
        data: PathBuf,
        /// Its owner.
        owner: u32,
    },

    /// The server's user cannot reach the cluster.
    #[error(
        "the user `{user}`, who runs the server's programs, cannot enter {}: let others pass \
         through the folders above it (chmod o+x), or set TRADELINE_DATA_DIR to a folder that \
         `{user}` can enter",
        .folder.display()
    )]
    Unreachable {
        /// The folder that the user cannot enter.
        folder: PathBuf,
        /// The server's user.
        user: String,
    },

    /// The folder's link to its home leads nowhere.
    #[error(
        "{} is a link to a folder that is gone: bring that folder back, or remove the link to \
         begin with an empty database",
        .link.display()
    )]
    LostHome {
        /// The link.
        link: PathBuf,
    },

    /// No installed server programs are of the cluster's major version.
    #[error(
        "the database files in {} need the server programs of PostgreSQL {wanted}; found here: \
         {found}. Install version {wanted} (Debian, Ubuntu: apt-get install postgresql-{wanted}; \
         macOS: brew install postgresql@{wanted}), or dump and restore the data",
        .data.display()
    )]
    WrongVersion {
        /// The cluster.
        data: PathBuf,
        /// The major version that made it.
        wanted: u32,
        /// The versions found, as a list for people, or `none`.
        found: String,
    },

    /// No server programs that could make a new cluster are installed.
    #[error(
        "the server programs of PostgreSQL {oldest} or newer are not found, neither on PATH nor in \
         the usual folders: install them (Debian, Ubuntu: apt-get install postgresql; macOS: brew \
         install postgresql@{suggested}), or set DATABASE_URL to use a running server"
    )]
    NoPrograms {
        /// The oldest supported major version.
        oldest: u32,
        /// The major version to install where packages are named for one.
        suggested: u32,
    },

    /// `initdb` failed.
    #[error(
        "initdb could not create the database files in {} ({status}); it said:\n{output}",
        .data.display()
    )]
    Initdb {
        /// Where the cluster was to be.
        data: PathBuf,
        /// How `initdb` ended.
        status: ExitStatus,
        /// What it printed.
        output: String,
    },

    /// The server ended instead of getting ready.
    #[error(
        "the database server did not start ({status}); the end of its log, {}:\n{tail}",
        .log.display()
    )]
    Died {
        /// How the server ended.
        status: ExitStatus,
        /// The server's log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },

    /// The server was not ready in time.
    #[error(
        "the database server was not ready after {seconds} s; it may be recovering from a crash: \
         try again; the end of its log, {}:\n{tail}",
        .log.display()
    )]
    NotReady {
        /// How long we waited.
        seconds: u64,
        /// The server's log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },

    /// A server of an earlier process is still there.
    #[error(
        "an older database server (process {pid}) on {} does not stop: stop it by hand (kill \
         -QUIT {pid})",
        .data.display()
    )]
    Leftover {
        /// The cluster.
        data: PathBuf,
        /// The server's process.
        pid: i32,
    },
}

impl Error {
    /// For `map_err`: the operating system refused to `action` `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
