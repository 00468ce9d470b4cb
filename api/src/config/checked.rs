//! Settings that must hold together, checked before anything is started.

use std::path::PathBuf;

use domain::Database;

use super::secret_file::{SecretError, known_secret, secret_file};
use super::{BadIdentitySettings, BadPayments, Providers, Settings};
use crate::access::token::{Issuer, Keys, WeakSecret};

/// What was made of the settings on the way.
#[derive(Debug)]
pub struct Checked {
    /// With whom orders are paid by card.
    pub providers: Providers,
    /// Whose tokens are taken beside the service's own.
    pub issuer: Option<Issuer>,
}

/// Why the service cannot start with these settings.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// The secret is missing or cannot be read.
    #[error(transparent)]
    NoSecret(#[from] SecretError),
    /// The secret that is set is too short.
    #[error("TRADELINE_JWT_SECRET: {0}")]
    Secret(WeakSecret),
    /// The one that was kept in the data folder is too short: the file has been changed.
    #[error("{}: {reason}. Bring the file back, or remove it to have another secret made, which ends all tokens", path.display())]
    KeptSecret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: WeakSecret,
    },
    /// The address of the database is not one.
    #[error("DATABASE_URL is not usable: {0}")]
    DatabaseUrl(sea_orm::DbErr),
    /// The settings about other issuers and gateways do not hold together.
    #[error(transparent)]
    IdentitySettings(#[from] BadIdentitySettings),
    /// The settings about payments by card do not hold together.
    #[error(transparent)]
    Payments(#[from] BadPayments),
}

impl Settings {
    /// Whether the service runs a database of its own, with demo data.
    #[must_use]
    pub fn wants_demo(&self) -> bool {
        self.database_url.is_none() && !self.no_demo
    }

    /// Checks what the command line could not: settings that belong together, secrets, files, the database's address.
    /// Makes nothing, and asks nobody.
    ///
    /// # Errors
    /// See [`BadSettings`].
    pub async fn check(&self) -> Result<Checked, BadSettings> {
        if let Some(secret) = known_secret(self)? {
            Keys::new(secret.reveal().as_bytes()).map_err(|weak| self.weak_secret(weak))?;
        }
        if let Some(url) = &self.database_url {
            Database::new(url.reveal(), 1).map_err(BadSettings::DatabaseUrl)?;
        }
        self.parties().await
    }

    /// Whom the service works with, by these settings.
    ///
    /// # Errors
    /// [`BadSettings::Outside`], [`BadSettings::Payments`].
    pub(crate) async fn parties(&self) -> Result<Checked, BadSettings> {
        Ok(Checked {
            providers: self.payments.providers(self.wants_demo())?,
            issuer: self.outside.issuer().await?,
        })
    }

    fn weak_secret(&self, reason: WeakSecret) -> BadSettings {
        match self.jwt_secret {
            Some(_) => BadSettings::Secret(reason),
            None => BadSettings::KeptSecret {
                path: secret_file(self),
                reason,
            },
        }
    }
}
