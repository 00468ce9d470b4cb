//! The operating-system user that runs the server's programs.
//!
//! PostgreSQL refuses to run as root. Root therefore runs it as an unprivileged user: the owner of
//! an existing cluster, else `postgres`, else `nobody`. Any other user runs it as itself.

use crate::Error;
use crate::files;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, io};

/// The users that may run the server for root, in order of preference.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The user that runs the server.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// True when this is not the user of the current process.
    other: bool,
}

impl Account {
    /// Chooses the user for the cluster at `data`, which need not exist yet.
    ///
    /// Fails with [`Error::ForeignData`] when the cluster's owner cannot run the server here, and
    /// with [`Error::NoUser`] when root finds no unprivileged user.
    pub(crate) fn for_cluster(data: &Path) -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw();
        let owner = match fs::metadata(data) {
            Ok(metadata) => Some((metadata.uid(), metadata.gid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("look at", data)(error)),
        };
        let other = uid == 0;
        match owner {
            None if other => Self::unprivileged(),
            None => Ok(Self {
                name: uid.to_string(),
                uid,
                gid: rustix::process::getegid().as_raw(),
                other,
            }),
            // Root runs the server as the cluster's owner, unless that is root; every other user as
            // itself.
            Some((owner, gid)) if other && owner != 0 || owner == uid && !other => Ok(Self {
                name: owner.to_string(),
                uid: owner,
                gid,
                other,
            }),
            Some((owner, _)) => Err(Error::ForeignData {
                data: data.to_owned(),
                owner,
            }),
        }
    }

    fn unprivileged() -> Result<Self, Error> {
        let path = Path::new("/etc/passwd");
        let users = fs::read_to_string(path).map_err(Error::io("read", path))?;
        UNPRIVILEGED
            .iter()
            .find_map(|name| find_user(&users, name))
            .ok_or(Error::NoUser)
    }

    /// The user's name. Holds the numeric id when the name was not looked up.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// True when this is not the user of the current process, which is then root.
    pub(crate) fn is_other(&self) -> bool {
        self.other
    }

    /// A command that runs as this user.
    ///
    /// - It runs in `/`, since the user may not be able to enter the current working directory.
    /// - It has a process group of its own. A terminal's Ctrl-C then reaches only this process,
    ///   which decides the order of stopping.
    /// - It does not inherit variables such as `PGDATA` and `PGPORT`, which could point
    ///   PostgreSQL's programs elsewhere.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .env("LC_ALL", "C");
        for (name, _) in env::vars_os() {
            if name.as_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if self.other {
            // The standard library drops root's supplementary groups along with the user id.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Whether the user can enter `folder`. The check tries it, since the mode alone does not
    /// decide: access control lists may differ from it.
    pub(crate) fn can_enter(&self, folder: &Path) -> bool {
        let mut probe = self.command("true");
        probe.stdout(Stdio::null()).stderr(Stdio::null());
        probe
            .current_dir(folder)
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Creates `folder` if it is missing, with mode 0700 and owned by this user.
    pub(crate) fn private_folder(&self, folder: &Path) -> Result<(), Error> {
        files::folder(folder, 0o700)?;
        if self.other {
            chown(folder, Some(self.uid), Some(self.gid))
                .map_err(Error::io("give away", folder))?;
        }
        Ok(())
    }
}

/// Looks up the user `name` in the text of `/etc/passwd`. Root is not accepted.
fn find_user(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        Some(Account {
            name: name.to_owned(),
            uid: fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?,
            gid: fields.next()?.parse().ok()?,
            other: true,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0::/:/bin/sh\npostgres2:x:1:1::/:\npostgres:x:101:104::/:\n";
        let user = find_user(passwd, "postgres").unwrap();
        assert_eq!((user.uid, user.gid), (101, 104));
        assert!(find_user(passwd, "root").is_none());
        assert!(find_user(passwd, "nobody").is_none());
    }
}
