//! A private PostgreSQL server for a parent program: the service when no database is configured,
//! and its tests.
//!
//! The server listens on a Unix socket only, in a folder of mode 0700 that belongs to the server's
//! user. PostgreSQL trusts everyone who reaches that socket, in any role. The folder is therefore
//! the access control: only that user and root can open it.
//!
//! The server never outlives its parent. [`Server::stop`] stops it, and so do dropping the
//! [`Server`] and any end of the parent, `kill -9` included (see `guard`).
//!
//! The contents of the folder, where "home" is `<folder>/postgres`:
//!
//! | path | contents | owner |
//! | --- | --- | --- |
//! | `<folder>/lock` | held while a `Server` lives, with its parent's process id | the parent |
//! | `<home>/data` | the cluster | the server's user |
//! | `<home>/socket` | a folder, or a link to one where this path is too long for a socket | the server's user |
//! | `<home>/postgres.log` | the server's log; `postgres.log.old` is the one before | the parent |
//! | `<home>/pg_hba.conf` | who may connect, written at each start | the parent |
//!
//! For root, the two owners differ, since PostgreSQL refuses to run as root (see `account`). Where
//! the server's user cannot enter the folder, `<folder>/postgres` is a link to a home in
//! `/var/lib/tradeline` (see `home`).
//!
//! Invariant: as root, this crate opens and writes files only in folders that belong to root.
//! Nothing that the server's user plants can then redirect its writes.

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
