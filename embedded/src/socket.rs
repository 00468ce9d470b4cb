//! The Unix socket's folder, and the address that leads to it.
//!
//! The folder is `<home>/socket` where that makes a usable address. A socket's path is limited to
//! some hundred bytes, and client libraries take a comma in a host for a list of hosts; so for
//! other homes it is a short folder below the temp directory, and `<home>/socket` a link to that.

use crate::account::Account;
use crate::home::Home;
use crate::{Error, files};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The socket's name holds a port, though nothing listens on TCP.
pub(crate) const PORT: u16 = 5432;

/// Linux takes 107 bytes for a socket's path, macOS 103.
const LONGEST_PATH: usize = 103;

/// The socket's folder of `home`, which need not exist.
pub(crate) fn find(home: &Home) -> PathBuf {
    let natural = home.socket();
    fs::read_link(&natural).unwrap_or(natural)
}

/// The socket in its folder.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}"))
}

/// The file beside the socket that has the process id of its server.
pub(crate) fn lock_file(folder: &Path) -> PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}.lock"))
}

/// Makes the socket's folder of `home`, or takes the one that is there.
pub(crate) fn prepare(home: &Home, account: &Account) -> Result<PathBuf, Error> {
    let natural = home.socket();
    if let Ok(target) = fs::read_link(&natural) {
        if is_private(&target, account) && is_usable(&target) {
            return Ok(target);
        }
        fs::remove_file(&natural).map_err(Error::io("remove", &natural))?;
    }
    if is_usable(&natural) {
        account.private_folder(&natural)?;
        return Ok(natural);
    }
    // There may be one from before the folder was moved; only stale sockets are in it.
    match fs::remove_dir_all(&natural) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &natural)(error));
        }
        _ => {}
    }
    let short = short_folder(account)?;
    symlink(&short, &natural).map_err(Error::io("create", &natural))?;
    Ok(short)
}

fn short_folder(account: &Account) -> Result<PathBuf, Error> {
    let mut place = env::temp_dir();
    if !place.is_absolute()
        || !account.can_enter(&place)
        || !is_usable(&place.join("tradeline-123456"))
    {
        place = PathBuf::from("/tmp");
    }
    let folder = files::new_folder(&place, "tradeline-")?;
    account.private_folder(folder.path())?;
    Ok(folder.keep())
}

/// Whether `folder` is still the server's user's own: someone else could have made it anew in the
/// temp directory.
fn is_private(folder: &Path, account: &Account) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir() && found.uid() == account.uid() && found.mode() & 0o077 == 0
    })
}

fn is_usable(folder: &Path) -> bool {
    let short = file(folder).as_os_str().len() <= LONGEST_PATH;
    short && folder.to_str().is_some_and(|folder| !folder.contains(','))
}

/// The value of `unix_socket_directories` for `folder`: a list of one, quoted.
pub(crate) fn setting(folder: &Path) -> String {
    format!("\"{}\"", folder.to_string_lossy().replace('"', "\"\""))
}

/// The address of `database` for `role`, for sqlx and for libpq alike: both want a host before the
/// path, and both let the `host` parameter override it. The port is written so that `PGPORT` does
/// not change it.
pub(crate) fn url(folder: &Path, role: &str, database: &str) -> String {
    format!(
        "postgres://{}@localhost:{PORT}/{}?host={}",
        percent_encode(role),
        percent_encode(database),
        percent_encode(&folder.to_string_lossy()),
    )
}

fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_percent_encoded() {
        assert_eq!(
            url(Path::new("/a b/é"), "me@home", "x/y"),
            "postgres://me%40home@localhost:5432/x%2Fy?host=%2Fa%20b%2F%C3%A9"
        );
    }

    #[test]
    fn long_paths_and_commas_need_another_folder() {
        assert!(is_usable(Path::new("/srv/tradeline/postgres/socket")));
        assert!(!is_usable(Path::new("/srv/a,b/socket")));
        assert!(!is_usable(&Path::new("/srv").join("x".repeat(100))));
    }
}
