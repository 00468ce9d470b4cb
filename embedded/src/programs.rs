//! Search for the server's programs: installed ones if any fit, else downloaded ones.

use crate::Error;
use crate::account::Account;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// The oldest major version that the application supports.
const OLDEST_VERSION: u32 = 15;

/// The major version to install on macOS: Homebrew names its packages for one.
const SUGGESTED_VERSION: u32 = 17;

/// Server programs that the server's user can run.
#[derive(Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
    /// The programs' major version.
    pub(crate) major: u32,
}

impl Programs {
    /// The programs for the cluster `data`, of version `wanted` if it exists already. The first
    /// that fit are taken.
    pub(crate) fn find(account: &Account, data: &Path, wanted: Option<u32>) -> Result<Self, Error> {
        Self::first_of(candidates(), account, data, wanted)
    }

    fn first_of(
        folders: impl Iterator<Item = PathBuf>,
        account: &Account,
        data: &Path,
        wanted: Option<u32>,
    ) -> Result<Self, Error> {
        let mut others = BTreeSet::new();
        for folder in folders {
            match Self::probe(folder, account) {
                Some(found)
                    if wanted.map_or(found.major >= OLDEST_VERSION, |wanted| {
                        found.major == wanted
                    }) =>
                {
                    return Ok(found);
                }
                Some(found) => {
                    others.insert(found.major);
                }
                None => {}
            }
        }
        let Some(wanted) = wanted else {
            return Err(Error::NoPrograms {
                oldest: OLDEST_VERSION,
                suggested: SUGGESTED_VERSION,
            });
        };
        let found: Vec<_> = others.iter().map(u32::to_string).collect();
        Err(Error::WrongVersion {
            data: data.to_owned(),
            wanted,
            found: if found.is_empty() {
                "none".to_owned()
            } else {
                found.join(", ")
            },
        })
    }

    /// The path of the program `name`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The programs in `folder`, if they exist and the server's user can run them.
    fn probe(folder: PathBuf, account: &Account) -> Option<Self> {
        if !folder.is_absolute() || !folder.join("initdb").is_file() {
            return None;
        }
        let mut command = account.command(folder.join("postgres"));
        let major = major(&printed(command.arg("--version"))?)?;
        Some(Self { folder, major })
    }
}

/// The folders to look in, the preferred first.
fn candidates() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = env::split_paths(&path).collect();
    // Each source is looked at only when those before it had nothing that fits.
    let sources: [Box<dyn FnOnce() -> Vec<PathBuf>>; 5] = [
        Box::new(move || on_path),
        Box::new(|| {
            let folder = printed(Command::new("pg_config").arg("--bindir"));
            folder
                .map(|folder| folder.trim().into())
                .into_iter()
                .collect()
        }),
        Box::new(|| newest_first("/usr/lib/postgresql", "")),
        Box::new(|| {
            let mut red_hat = newest_first("/usr", "pgsql-");
            red_hat.push("/usr/bin".into());
            red_hat
        }),
        Box::new(|| {
            let mut homebrew = newest_first("/opt/homebrew/opt", "postgresql");
            homebrew.extend(newest_first("/usr/local/opt", "postgresql"));
            homebrew
        }),
    ];
    sources.into_iter().flat_map(|source| source())
}

/// The `bin` folders of the installations in `parent` whose names are `prefix` and a version.
fn newest_first(parent: impl AsRef<Path>, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.trim_start_matches('@');
            let numbers: Vec<u32> = version
                .split('.')
                .map_while(|part| part.parse().ok())
                .collect();
            Some((numbers, entry.path().join("bin")))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, folder)| folder).collect()
}

/// The standard output of the command, if it can be run and succeeds.
fn printed(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The major version in `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`, also of `17beta1`.
fn major(version: &str) -> Option<u32> {
    let version = version.split_once("(PostgreSQL) ")?.1;
    let end = version
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(version.len());
    version[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(wanted: Option<u32>) -> String {
        let data = Path::new("/srv/data");
        let account = Account::for_cluster(data).unwrap();
        let found = Programs::first_of(std::iter::empty(), &account, data, wanted);
        found.unwrap_err().to_string()
    }

    #[test]
    fn without_programs_the_error_says_what_to_install() {
        assert_eq!(
            refusal(None),
            "the server programs of PostgreSQL 15 or newer are not found, neither on PATH nor in \
             the usual folders: install them (Debian, Ubuntu: apt-get install postgresql; macOS: \
             brew install postgresql@17), or set DATABASE_URL to use a running server"
        );
        assert_eq!(
            refusal(Some(16)),
            "the database files in /srv/data need the server programs of PostgreSQL 16; found \
             here: none. Install version 16 (Debian, Ubuntu: apt-get install postgresql-16; macOS: \
             brew install postgresql@16), or dump and restore the data"
        );
    }

    #[test]
    fn versions_are_read_as_postgres_prints_them() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("postgres (PostgreSQL) 17"), Some(17));
        assert_eq!(major("mysqld 8.0"), None);
    }
}
