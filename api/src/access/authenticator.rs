//! The authenticator: it finds the holder of a credential, which is an access token or an API key.

use std::sync::Arc;

use domain::identity::api_keys;
use domain::identity::businesses::Business;
use domain::{
    Authority, BusinessCache, Database, Error, RevocationCache, RevokedCredential, UserToken,
};
use entity::{BusinessId, UserId};
use uuid::Uuid;

use crate::access::token::{BadToken, Claims, Verified, Verifier};

/// The holder of a credential.
#[derive(Debug, Clone)]
pub enum Holder {
    /// A caller of a business.
    OfBusiness(Bearer),
    /// The platform, which belongs to no business.
    Platform(UserId),
}

/// A caller of a business.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The caller's business.
    pub business: Arc<Business>,
    /// The id with which the holder acts: of a user, of the subject of a script's token, or of an API key.
    pub user_id: UserId,
    /// The permissions of the holder.
    pub authority: Authority,
    /// The login of a user's token. `None` for API keys, and for the tokens of scripts and of other issuers.
    pub login: Option<Uuid>,
    /// True for an API key, false for a token.
    pub is_key: bool,
}

/// Why there is no caller.
#[derive(Debug)]
pub enum Refused {
    /// The token is invalid or has expired.
    Token(BadToken),
    /// A revoked or unknown API key, or a revoked token. `Some` if the credential may have been valid once.
    RevokedCredential(Option<RevokedCredential>),
    /// The credential could not be checked, for example because the database is unavailable.
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The sources that a credential is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Authenticator<'a> {
    /// Verifies tokens.
    pub verifier: &'a Verifier,
    /// The business cache.
    pub businesses: &'a BusinessCache,
    /// The revocation cache.
    pub revocation: &'a RevocationCache,
    /// The source of what is not cached.
    pub database: &'a Database,
}

impl Authenticator<'_> {
    /// Finds the holder of a credential.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn authenticate(&self, text: &str) -> Result<Holder, Refused> {
        if api_keys::looks_like_key(text) {
            let business = api_keys::business_of(text).ok_or(Refused::RevokedCredential(None))?;
            return self.of_key(text, business).await.map(Holder::OfBusiness);
        }
        match self.verifier.verify(text).await.map_err(Refused::Token)? {
            Verified::Own(claims) => {
                let bearer = self
                    .of_user(claims.business_id, claims.user_id, claims.authority)
                    .await?;
                let login = claims.login;
                let bearer = Bearer { login, ..bearer };
                self.expect_current(&bearer, &claims).await?;
                Ok(Holder::OfBusiness(bearer))
            }
            // The users of another issuer are not in this service's table of users, so this service cannot disable
            // them.
            Verified::Issued(claims) => self
                .of_user(claims.business_id, claims.user_id, claims.authority)
                .await
                .map(Holder::OfBusiness),
            Verified::Platform(claims) => Ok(Holder::Platform(claims.user_id)),
        }
    }

    async fn of_key(&self, text: &str, business: BusinessId) -> Result<Bearer, Refused> {
        let found = self.businesses.by_unproven_id(self.database, business);
        let business = found.await?.ok_or(Refused::RevokedCredential(None))?;
        let key = self
            .revocation
            .key(self.database, business.id, text)
            .await?;
        let key = key.ok_or_else(|| {
            Refused::RevokedCredential(Some(RevokedCredential::key(business.id, text)))
        })?;
        Ok(Bearer {
            business,
            user_id: UserId(key.id.0),
            authority: key.authority,
            login: None,
            is_key: true,
        })
    }

    async fn of_user(
        &self,
        business: BusinessId,
        user_id: UserId,
        authority: Authority,
    ) -> Result<Bearer, Refused> {
        let found = self.businesses.by_id(self.database, business);
        let business = found.await?.ok_or(Refused::RevokedCredential(None))?;
        Ok(Bearer {
            business,
            user_id,
            authority,
            login: None,
            is_key: false,
        })
    }

    /// Rejects a token that a later change of its user has revoked.
    async fn expect_current(&self, bearer: &Bearer, claims: &Claims) -> Result<(), Refused> {
        let Some(version) = claims.version else {
            return Ok(());
        };
        let (business, user) = (bearer.business.id, bearer.user_id);
        let token = UserToken {
            user,
            version,
            login: claims.login,
        };
        let revocation = self.revocation;
        if revocation
            .is_current(self.database, business, token)
            .await?
        {
            Ok(())
        } else {
            Err(Refused::RevokedCredential(Some(RevokedCredential::Token(
                business, user,
            ))))
        }
    }
}
