//! The folder of the Unix socket, and the address that leads to it.
//!
//! The folder is `<home>/socket` where that gives a usable address. A socket's path is limited to
//! about 100 bytes, and client libraries read a comma in a host as a list of hosts. For other
//! homes, the folder is a short one below the temp directory, and `<home>/socket` is a link to it.

use crate::account::Account;
use crate::home::Home;
use crate::{Error, files};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The socket's name contains a port, though nothing listens on TCP.
pub(crate) const PORT: u16 = 5432;

/// In bytes. Linux accepts 107 for a socket's path, macOS 103.
const MAX_PATH_BYTES: usize = 103;

/// The socket's folder of `home`. It need not exist.
pub(crate) fn find(home: &Home) -> PathBuf {
    let natural = home.socket();
    fs::read_link(&natural).unwrap_or(natural)
}

/// The path of the socket in its folder.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}"))
}

/// The file beside the socket that holds the process id of its server.
pub(crate) fn lock_file(folder: &Path) -> PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}.lock"))
}

/// Creates the socket's folder of `home`, or returns the existing one.
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
    // A folder from before the home was moved may exist. It holds only stale sockets.
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

/// Whether `folder` still belongs to the server's user alone. Another user could have created it
/// anew in the temp directory.
fn is_private(folder: &Path, account: &Account) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir() && found.uid() == account.uid() && found.mode() & 0o077 == 0
    })
}

fn is_usable(folder: &Path) -> bool {
    let short = file(folder).as_os_str().len() <= MAX_PATH_BYTES;
    short && folder.to_str().is_some_and(|folder| !folder.contains(','))
}

/// The value of `unix_socket_directories` for `folder`: a quoted list of one.
pub(crate) fn setting(folder: &Path) -> String {
    format!("\"{}\"", folder.to_string_lossy().replace('"', "\"\""))
}

/// The address of `database` for `role`, for both sqlx and libpq. Both require a host before the
/// path, and in both the `host` parameter overrides it. The port is explicit so that `PGPORT` does
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
