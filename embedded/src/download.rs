//! Downloading server programs, for machines where none are installed.
//!
//! This path needs the network and has not been tried where this crate was written; it is kept
//! small. The crate `postgresql_embedded` fetches and unpacks an archive; we use none of its other
//! services, since it would run the server as we run, and leave it running when we are killed.

use crate::account::Account;
use crate::files;
use crate::home::SHELTER;
use postgresql_embedded::{PostgreSQL, Settings, VersionReq};
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The major version that is downloaded for a new cluster.
const VERSION: u32 = 17;

/// Where downloaded programs are kept, a folder a version: where root's server user can reach them,
/// else in our own home.
pub(crate) fn folder(account: &Account) -> PathBuf {
    let own = env::home_dir().filter(|_| !account.is_other());
    let place = own.map(|home| home.join(".tradeline-programs"));
    place.unwrap_or_else(|| Path::new(SHELTER).join("programs"))
}

/// Downloads the programs of version `wanted`, and returns the folder that they are in.
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
    // `setup` installs, and then makes a cluster unless there seems to be one: this file is what it
    // takes for one. The folder is a temporary one, deleted when the crate's server is dropped.
    fs::write(settings.data_dir.join("postgresql.conf"), "")?;
    let mut server = PostgreSQL::new(settings);
    server.setup().await?;
    let installation = server.settings().installation_dir.clone();
    // It unpacks into a folder that only we can enter.
    files::set_mode(&installation, 0o755)?;
    Ok(installation.join("bin"))
}
