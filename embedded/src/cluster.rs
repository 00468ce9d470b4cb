//! Creation of the cluster, PostgreSQL's data folder.
//!
//! `initdb` works in a temporary folder beside the cluster's final path, which is renamed once it
//! is complete. An interrupted run therefore never leaves a partial cluster.

use crate::account::Account;
use crate::guard::{Guard, Signal};
use crate::home::Home;
use crate::programs::Programs;
use crate::sweeper::Sweeper;
use crate::{Error, files};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::process::Command;

/// The prefix of the folder names of unfinished clusters.
const UNFINISHED: &str = "new-";

/// The first major version with a built-in locale, which does not depend on the operating system's.
const BUILTIN_LOCALE: u32 = 17;

const SUPERUSER: &str = "postgres";

/// The major version that created the cluster `data`; `None` if there is no cluster.
pub(crate) fn major(data: &Path) -> Result<Option<u32>, Error> {
    let path = data.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(version) => match version.trim().parse() {
            Ok(version) => Ok(Some(version)),
            Err(error) => Err(Error::io("read", &path)(io::Error::other(error))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// Creates a cluster in `home`. A cluster with a sweeper is a scratch cluster and is not synced.
pub(crate) async fn create(
    home: &Home,
    account: &Account,
    programs: &Programs,
    sweeper: Option<&Sweeper>,
) -> Result<(), Error> {
    remove_unfinished(home);
    let data = home.data();
    let unfinished = files::new_folder(home.path(), UNFINISHED)?;
    account.private_folder(unfinished.path())?;

    let mut output = None;
    for locale in locales(programs.major) {
        let attempt = initdb(unfinished.path(), account, programs, locale, sweeper).await?;
        let retry = !attempt.status.success() && says(&attempt).contains("invalid locale");
        output = Some(attempt);
        if !retry {
            break;
        }
    }
    if let Some(failed) = output.filter(|output| !output.status.success()) {
        return Err(Error::Initdb {
            data,
            status: failed.status,
            output: says(&failed),
        });
    }

    fs::rename(unfinished.path(), &data).map_err(Error::io("put the new cluster at", &data))?;
    // The folder has its final name now: there is nothing left to delete under the old one.
    let _ = unfinished.keep();
    // Syncs the new name. Without it, a power cut could lose the folder with all later commits.
    File::open(home.path())
        .and_then(|home| home.sync_all())
        .map_err(Error::io("sync", home.path()))
}

/// The options to try in turn. Text is UTF-8 and sorts by code point, so that an index never
/// depends on a library's collation. Case mapping is Unicode's where the system has `C.UTF-8`, else
/// ASCII's.
fn locales(major: u32) -> &'static [&'static [&'static str]] {
    if major >= BUILTIN_LOCALE {
        &[&[
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]]
    } else {
        &[&["--locale=C.UTF-8"], &["--locale=C"]]
    }
}

/// Runs `initdb`, which ends when this process ends.
///
/// Measured on a fast disk: 0.35 s. Data to keep adds 0.1 s for the sync to disk, and 0.1 s for
/// checksums, which PostgreSQL enables by default from version 18.
async fn initdb(
    folder: &Path,
    account: &Account,
    programs: &Programs,
    locale: &[&str],
    sweeper: Option<&Sweeper>,
) -> Result<Output, Error> {
    let program = programs.path("initdb");
    let (mut command, guard) = Guard::command(account, Signal::Int, &program)?;
    command
        .arg("--pgdata")
        .arg(folder)
        .args(["--auth=trust", "--encoding=UTF8", "--username", SUPERUSER])
        .args(locale)
        .arg(if sweeper.is_some() {
            "--no-sync"
        } else {
            "--data-checksums"
        });
    command
        .stdout(sweeper.map_or_else(|| Ok(Stdio::null()), Sweeper::stdout)?)
        .stderr(Stdio::piped());
    let ended = async { Command::from(command).spawn()?.wait_with_output().await };
    let output = ended.await.map_err(Error::io("run", &program))?;
    guard.release();
    Ok(output)
}

/// The standard error of `initdb`.
fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned()
}

/// Removes the folders of interrupted runs. A run that is still active may leave files for the next
/// call.
fn remove_unfinished(home: &Home) {
    let Ok(entries) = fs::read_dir(home.path()) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            let path = entry.path();
            tracing::warn!(path = %path.display(), %error, "an unfinished cluster was not deleted");
        }
    }
}
