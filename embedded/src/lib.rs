//! A private PostgreSQL server for a parent program: the service when no database is configured,
//! and its tests.
//!
//! The server listens on a Unix socket only, in a folder of mode 0700 that belongs to the server's
//! user. PostgreSQL trusts whoever reaches that socket, in any role, so the folder is the access
//! control: only that user and root can open it.
//!
//! PostgreSQL's programs must be installed (see `programs`): nothing is downloaded.
//!
//! The server never outlives its parent. It is stopped by [`Server::stop`], by dropping the
//! [`Server`], and by the end of the parent in any way, `kill -9` included (see `guard`).
//!
//! What lies in the folder, where "home" is `<folder>/postgres`:
//!
//! | path | what | whose |
//! | --- | --- | --- |
//! | `<folder>/lock` | held while a `Server` lives, with its parent's process id | ours |
//! | `<home>/data` | the cluster | the server's user |
//! | `<home>/socket` | the socket's folder, or a link to it where this path is too long for a socket | the server's user |
//! | `<home>/postgres.log` | the server's log, and `postgres.log.old` before it | ours |
//! | `<home>/pg_hba.conf` | who may connect, written at each start | ours |
//!
//! For root, "ours" and "the server's user" differ, since PostgreSQL refuses to run as root (see
//! `account`). Where that user cannot enter the folder, `<folder>/postgres` is a link to a home in
//! `/var/lib/tradeline` (see `home`).
//!
//! Invariant: as root we open and write files only in folders that belong to root, so that nothing
//! that the server's user plants can send our writes elsewhere.

mod account;
mod cluster;
mod error;
mod files;
mod guard;
mod home;
mod launch;
mod leftover;
mod lock;
mod log;
mod pid_file;
mod programs;
mod server;
mod socket;
mod sweeper;

pub use error::Error;
pub use server::{Server, Settings, url_of};
