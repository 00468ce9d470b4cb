//! Checks of settings that depend on each other, made before anything is started.

use std::path::PathBuf;

use domain::Database;

use super::secret_file::{SecretError, known_secret, secret_file};
use super::{BadIdentitySettings, BadPayments, Providers, Settings};
use crate::access::token::{Issuer, Keys, WeakSecret};

/// The parts that the checks have built from the settings.
#[derive(Debug)]
pub struct Checked {
    /// The payment provider for card orders, with its webhooks.
    pub providers: Providers,
    /// The issuer whose tokens are accepted in addition to the service's own; `None` without one.
    pub issuer: Option<Issuer>,
}

/// Why the service cannot start with these settings.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// The secret is missing or cannot be read.
    #[error(transparent)]
    NoSecret(#[from] SecretError),
    /// The configured secret is too short.
    #[error("TRADELINE_JWT_SECRET: {0}")]
    Secret(WeakSecret),
    /// The secret in the data folder is too short, so the file was changed.
    #[error("{}: {reason}. Bring the file back, or remove it to have another secret made, which ends all tokens", path.display())]
    KeptSecret {
        /// The path of the file.
        path: PathBuf,
        /// The length that is required.
        reason: WeakSecret,
    },
    /// `DATABASE_URL` is not a valid URL.
    #[error("DATABASE_URL is not usable: {0}")]
    DatabaseUrl(sea_orm::DbErr),
    /// The settings of issuers and gateways conflict.
    #[error(transparent)]
    IdentitySettings(#[from] BadIdentitySettings),
    /// The settings of card payments conflict.
    #[error(transparent)]
    Payments(#[from] BadPayments),
}

impl Settings {
    /// Whether the service runs an embedded database with demo data.
    #[must_use]
    pub fn wants_demo(&self) -> bool {
        self.database_url.is_none() && !self.no_demo
    }

    /// Checks what the command line cannot: settings that depend on each other, secrets, files, and the database's URL.
    /// It creates nothing and opens no connection.
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

    /// Builds the payment provider and the issuer of these settings.
    ///
    /// # Errors
    /// [`BadSettings::IdentitySettings`], [`BadSettings::Payments`].
    pub(crate) async fn parties(&self) -> Result<Checked, BadSettings> {
        Ok(Checked {
            providers: self.payments.providers(self.wants_demo())?,
            issuer: self.identity.issuer().await?,
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
