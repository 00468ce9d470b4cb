//! From the text of a credential to who it stands for: an access token or an API key.

use std::sync::Arc;

use domain::businesses::Business;
use domain::{Authority, Database, Directory, Error, Standing, api_keys};
use entity::{BusinessId, UserId};

use crate::token::{BadToken, Keys};

/// Who a credential stands for.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// Its business.
    pub business: Arc<Business>,
    /// As whom its holder acts: a user, the subject of a script's token, or a key.
    pub user_id: UserId,
    /// What its holder may do.
    pub authority: Authority,
    /// Whether it is an API key.
    pub is_key: bool,
}

/// Why there is no caller.
#[derive(Debug)]
pub enum Refused {
    /// The token is none, or has expired.
    Token(BadToken),
    /// It was good once, or never: a key that is revoked or that nobody has, a token that was made void.
    Void,
    /// It cannot be known.
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a credential is looked up in.
#[derive(Debug, Clone, Copy)]
pub struct Registers<'a> {
    /// Verifies tokens.
    pub keys: &'a Keys,
    /// The businesses met so far.
    pub directory: &'a Directory,
    /// Which credentials still stand.
    pub standing: &'a Standing,
    /// Where the rest is.
    pub database: &'a Database,
}

impl Registers<'_> {
    /// Who this text stands for.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn bearer(&self, text: &str) -> Result<Bearer, Refused> {
        if api_keys::is_meant(text) {
            let business = api_keys::business_of(text).ok_or(Refused::Void)?;
            self.of_key(text, business).await
        } else {
            self.of_token(text).await
        }
    }

    async fn of_key(&self, text: &str, business: BusinessId) -> Result<Bearer, Refused> {
        let found = self.directory.by_unproven_id(self.database, business);
        let business = found.await?.ok_or(Refused::Void)?;
        let key = self.standing.key(self.database, business.id, text).await?;
        let key = key.ok_or(Refused::Void)?;
        Ok(Bearer {
            business,
            user_id: UserId(key.id.0),
            authority: key.authority,
            is_key: true,
        })
    }

    async fn of_token(&self, text: &str) -> Result<Bearer, Refused> {
        let claims = self.keys.verify(text).map_err(Refused::Token)?;
        let found = self.directory.by_id(self.database, claims.business_id);
        let business = found.await?.ok_or(Refused::Void)?;
        if let Some(version) = claims.version
            && !self
                .standing
                .is_current(self.database, business.id, claims.user_id, version)
                .await?
        {
            return Err(Refused::Void);
        }
        Ok(Bearer {
            business,
            user_id: claims.user_id,
            authority: claims.authority,
            is_key: false,
        })
    }
}
