//! Download of server programs, for machines on which none are installed.
//!
//! This code needs the network and was never run where the crate was written, so it is kept small.
//! The crate `postgresql_embedded` fetches and unpacks an archive. Its other services are not used:
//! it would run the server as the current user, and leave it running when this process is killed.

use crate::account::Account;
use crate::files;
use crate::home::SHELTER;
use postgresql_embedded::{PostgreSQL, Settings, VersionReq};
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The major version that is downloaded for a new cluster.
const VERSION: u32 = 17;

/// The folder of downloaded programs, with one subfolder per version. For root it lies where the
/// server's user can reach it, otherwise in the current user's home.
pub(crate) fn folder(account: &Account) -> PathBuf {
    let own = env::home_dir().filter(|_| !account.is_other());
    let place = own.map(|home| home.join(".tradeline-programs"));
    place.unwrap_or_else(|| Path::new(SHELTER).join("programs"))
}

/// Downloads the programs of major version `wanted` and returns their folder. `None` means
/// [`VERSION`].
pub(crate) async fn programs(
    account: &Account,
    wanted: Option<u32>,
) -> Result<PathBuf, Box<dyn StdError + Send + Sync>> {
    let version = wanted.unwrap_or(VERSION);
    tracing::info!(version, "downloading the programs of the database server");
    if account.is_other() && !Path::new(SHELTER).exists() {
        files::folder(Path::new(SHELTER), 0o711)?;
    }
    let installations = folder(account);
    if !installations.exists() {
        files::folder(&installations, 0o755)?;
    }
    let mut settings = Settings::new();
    settings.version = VersionReq::parse(&format!("={version}"))?;
    settings.installation_dir = installations;
    // `setup` installs the programs and then creates a cluster, unless one exists. This file makes
    // it assume one. The folder is temporary and is deleted when the crate's server is dropped.
    fs::write(settings.data_dir.join("postgresql.conf"), "")?;
    let mut server = PostgreSQL::new(settings);
    server.setup().await?;
    let installation = server.settings().installation_dir.clone();
    // The archive is unpacked into a folder that only the current user can enter.
    files::set_mode(&installation, 0o755)?;
    Ok(installation.join("bin"))
}
