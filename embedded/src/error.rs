//! The crate's error, with messages for operators.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why the server could not be started, found or stopped. Each message says what to do. The error's
/// source is the cause, if there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused an operation.
    #[error(
        "cannot {action} {}: check that it exists, who owns it and the space left",
        .path.display()
    )]
    Io {
        /// The operation, as a verb that completes "cannot … `path`".
        action: &'static str,
        /// The file or folder of the operation.
        path: PathBuf,
        /// The operating system's error.
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
        /// The folder that was requested.
        folder: PathBuf,
        /// The process that holds the lock; `None` if it has not written its id yet.
        pid: Option<u32>,
    },

    /// Nothing answers on the folder's socket.
    #[error(
        "no database runs on {}: start the service first, with the same data folder",
        .folder.display()
    )]
    NotRunning {
        /// The folder that was requested.
        folder: PathBuf,
        /// Why the connection failed.
        source: io::Error,
    },

    /// The folder of a scratch server is not empty. Its deletion would remove someone else's files.
    #[error(
        "{} is not empty: a scratch server deletes its folder, so give it a new or empty one",
        .folder.display()
    )]
    NotEmpty {
        /// The folder that was requested.
        folder: PathBuf,
    },

    /// The current user is root, and no unprivileged user exists to run the server's programs.
    #[error(
        "PostgreSQL does not run as root: create the user `postgres`, or run this program as an \
         ordinary user"
    )]
    NoUser,

    /// The cluster belongs to a user that the current user cannot run the server as.
    #[error(
        "the database files in {} belong to user id {owner}, which cannot run their server here: \
         run this program as the user who made them, or give them to an unprivileged user (chown \
         -R)",
        .data.display()
    )]
    ForeignData {
        /// The path of the cluster.
        data: PathBuf,
        /// The user id of the cluster's owner.
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
        /// The name or id of the server's user.
        user: String,
    },

    /// The target of the link `<folder>/postgres` does not exist.
    #[error(
        "{} is a link to a folder that is gone: bring that folder back, or remove the link to \
         begin with an empty database",
        .link.display()
    )]
    LostHome {
        /// The path of the link.
        link: PathBuf,
    },

    /// The installed server programs have other major versions than the cluster.
    #[error(
        "the database files in {} need the server programs of PostgreSQL {wanted}; found here: \
         {found}. Install version {wanted} (Debian, Ubuntu: apt-get install postgresql-{wanted}; \
         macOS: brew install postgresql@{wanted}), or dump and restore the data",
        .data.display()
    )]
    WrongVersion {
        /// The path of the cluster.
        data: PathBuf,
        /// The major version that created the cluster.
        wanted: u32,
        /// The major versions found, separated by commas.
        found: String,
    },

    /// No server programs are installed, and the download failed.
    #[error(
        "the server programs of PostgreSQL {oldest} or newer are not found, neither on PATH nor in \
         the usual folders: install them (Debian, Ubuntu: apt-get install postgresql; macOS: brew \
         install postgresql@{suggested}), or set DATABASE_URL to use a running server"
    )]
    NoPrograms {
        /// The oldest major version that the service supports.
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
        /// The path of the cluster that was to be created.
        data: PathBuf,
        /// The exit status of `initdb`.
        status: ExitStatus,
        /// The standard error of `initdb`.
        output: String,
    },

    /// The server exited before it was ready.
    #[error(
        "the database server did not start ({status}); the end of its log, {}:\n{tail}",
        .log.display()
    )]
    Died {
        /// The server's exit status.
        status: ExitStatus,
        /// The path of the server's log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },

    /// The server was not ready before the timeout.
    #[error(
        "the database server was not ready after {seconds} s; it may be recovering from a crash: \
         try again; the end of its log, {}:\n{tail}",
        .log.display()
    )]
    NotReady {
        /// The timeout, in seconds.
        seconds: u64,
        /// The path of the server's log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },

    /// A server that an earlier process started is still running.
    #[error(
        "an older database server (process {pid}) on {} does not stop: stop it by hand (kill \
         -QUIT {pid})",
        .data.display()
    )]
    Leftover {
        /// The path of the cluster.
        data: PathBuf,
        /// The process id of that server.
        pid: i32,
    },
}

impl Error {
    /// For `map_err`: an [`Error::Io`] that says that the operating system refused to `action`
    /// `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
