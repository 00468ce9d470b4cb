//! The secret that signs tokens: the one that is set, or one that is kept in the data folder.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Secret;

use super::Settings;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A setting is missing.
    #[error("TRADELINE_JWT_SECRET must be set with DATABASE_URL: every process needs the same one")]
    NoSecret,
    /// The secret cannot be read or written.
    #[error("{}: {source}", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The secret that is set, or the one in the data folder, which is made if it is not there.
///
/// # Errors
/// [`SecretError::NoSecret`], [`SecretError::SecretFile`].
pub fn jwt_secret(settings: &Settings) -> Result<Secret, SecretError> {
    if let Some(secret) = known_secret(settings)? {
        return Ok(secret);
    }
    let path = secret_file(settings);
    make_secret(&settings.data_dir, &path)
        .map_err(|source| SecretError::SecretFile { path, source })
}

/// The secret that is set, or the one in the data folder if there is one.
///
/// # Errors
/// [`SecretError::NoSecret`], [`SecretError::SecretFile`].
pub fn known_secret(settings: &Settings) -> Result<Option<Secret>, SecretError> {
    if let Some(secret) = &settings.jwt_secret {
        return Ok(Some(secret.clone()));
    }
    if settings.database_url.is_some() {
        return Err(SecretError::NoSecret);
    }
    let path = secret_file(settings);
    match fs::read_to_string(&path) {
        Ok(secret) => Ok(Some(Secret::from(secret))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SecretError::SecretFile { path, source }),
    }
}

/// The file in the data folder that keeps the secret which was made for it.
pub(super) fn secret_file(settings: &Settings) -> PathBuf {
    settings.data_dir.join("jwt-secret")
}

fn make_secret(folder: &Path, path: &Path) -> io::Result<Secret> {
    fs::create_dir_all(folder)?;
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    // Written whole under another name first: a process that is killed here leaves no half of a secret.
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(Secret::from(secret))
}
