//! Making the cluster, PostgreSQL's folder of data.
//!
//! `initdb` works in a folder beside the place of the cluster, which is renamed when all is done;
//! so an interrupted one leaves no half cluster.

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

/// How the names of unfinished clusters begin.
const UNFINISHED: &str = "new-";

/// The first version with a built-in locale, which does not depend on the operating system's.
const BUILTIN_LOCALE: u32 = 17;

/// The superuser of new clusters.
const SUPERUSER: &str = "postgres";

/// The major version that made the cluster `data`; none, if there is no cluster.
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

/// Makes a new cluster in `home`; a scratch one if there is a sweeper.
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
    // Nothing is left to delete under the old name.
    let _ = unfinished.keep();
    // What is committed later must not be lost with the name of its folder.
    File::open(home.path())
        .and_then(|home| home.sync_all())
        .map_err(Error::io("sync", home.path()))
}

/// Text is UTF-8 and sorts by code point, so that an index never depends on a library's collation.
/// Case is Unicode's where the system knows `C.UTF-8`, else ASCII's.
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

/// Runs `initdb`, which ends with us. Measured on a fast disk: 0.35 s; with the sync to disk that
/// data to keep needs 0.1 s more, and as much again with checksums, which PostgreSQL has on by
/// default from version 18.
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

/// What `initdb` has to say about its failure.
fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned()
}

/// Removes what interrupted attempts left. Should one of them still be at work, some of it may stay
/// for the next time.
fn remove_unfinished(home: &Home) {
    let Ok(entries) = fs::read_dir(home.path()) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            let path = entry.path();
            tracing::warn!(path = %path.display(), %error, "an unfinished cluster stays");
        }
    }
}
