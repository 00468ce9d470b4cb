//! Where the cluster, its socket and its log lie.
//!
//! The home is `<folder>/postgres`. Root's folder may lie where no one else may enter, below
//! `/root` for one; then the home is a new folder in `/var/lib/tradeline`, and `<folder>/postgres`
//! a link to it, so that removing the folder still means a fresh start. (The abandoned home stays
//! until someone removes it.)

use crate::account::Account;
use crate::{Error, files};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Holds root's homes that the server's user could not reach elsewhere.
const SHELTER: &str = "/var/lib/tradeline";

/// The folder of one cluster. It is ours; the server's user may pass through it.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    path: PathBuf,
    linked: bool,
}

impl Home {
    /// Where the home of `folder` is entered: the home itself, or a link to it.
    pub(crate) fn entrance(folder: &Path) -> PathBuf {
        folder.join("postgres")
    }

    /// The home of `folder`, which is made if it is missing.
    pub(crate) fn open(folder: &Path, account: &Account) -> Result<Self, Error> {
        let entrance = Self::entrance(folder);
        match Self::find(folder) {
            Ok(home) if account.can_enter(&home.path) => Ok(home),
            Ok(home) => Err(Error::Unreachable {
                folder: home.path,
                user: account.name().to_owned(),
            }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("open", &entrance)(error))
            }
            Err(_) if entrance.is_symlink() => Err(Error::LostHome { link: entrance }),
            Err(_) => {
                Self::create(&entrance, account)?;
                Self::find(folder).map_err(Error::io("open", &entrance))
            }
        }
    }

    /// The home of `folder`, if there is one.
    pub(crate) fn find(folder: &Path) -> io::Result<Self> {
        let entrance = Self::entrance(folder);
        Ok(Self {
            path: entrance.canonicalize()?,
            linked: entrance.is_symlink(),
        })
    }

    fn create(entrance: &Path, account: &Account) -> Result<(), Error> {
        let mode = if account.is_other() { 0o711 } else { 0o700 };
        files::folder(entrance, mode)?;
        if account.can_enter(entrance) {
            return Ok(());
        }
        fs::remove_dir(entrance).map_err(Error::io("remove", entrance))?;

        let shelter = Path::new(SHELTER);
        if !shelter.exists() {
            files::folder(shelter, 0o711)?;
        }
        let home = files::new_folder(shelter, "")?;
        files::set_mode(home.path(), mode)?;
        if !account.can_enter(home.path()) {
            return Err(Error::Unreachable {
                folder: shelter.to_owned(),
                user: account.name().to_owned(),
            });
        }
        symlink(home.path(), entrance).map_err(Error::io("create", entrance))?;
        let _ = home.keep();
        Ok(())
    }

    /// The home's real path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the home lies outside its folder, where a copied link could lead two folders to it.
    pub(crate) fn is_linked(&self) -> bool {
        self.linked
    }

    /// The cluster.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The server's log.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// The socket's folder, or a link to it.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("socket")
    }

    /// The list of who may connect.
    pub(crate) fn access_list(&self) -> PathBuf {
        self.path.join("pg_hba.conf")
    }
}
