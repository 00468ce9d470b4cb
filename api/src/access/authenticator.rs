//! From the text of a credential to who it stands for: an access token or an API key.

use std::sync::Arc;

use domain::identity::api_keys;
use domain::identity::businesses::Business;
use domain::{Authority, BusinessCache, Database, Error, RevocationCache, RevokedCredential};
use entity::{BusinessId, UserId};

use crate::access::token::{BadToken, Claims, Verified, Verifier};

/// Who a credential stands for.
#[derive(Debug, Clone)]
pub enum Holder {
    /// Someone of a business.
    OfBusiness(Bearer),
    /// The platform, which is of none.
    Platform(UserId),
}

/// Someone of a business.
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
    /// It was good once, or never: a key that is revoked or that nobody has, a token that was made void. With what is
    /// known of it, if it may be one that was good.
    RevokedCredential(Option<RevokedCredential>),
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
pub struct Authenticator<'a> {
    /// Verifies tokens.
    pub verifier: &'a Verifier,
    /// The businesses met so far.
    pub businesses: &'a BusinessCache,
    /// Which credentials still stand.
    pub revocation: &'a RevocationCache,
    /// Where the rest is.
    pub database: &'a Database,
}

impl Authenticator<'_> {
    /// Who this text stands for.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn authenticate(&self, text: &str) -> Result<Holder, Refused> {
        if api_keys::is_meant(text) {
            let business = api_keys::business_of(text).ok_or(Refused::RevokedCredential(None))?;
            return self.of_key(text, business).await.map(Holder::OfBusiness);
        }
        match self.verifier.verify(text).await.map_err(Refused::Token)? {
            Verified::Own(claims) => {
                let bearer = self
                    .of_user(claims.business_id, claims.user_id, claims.authority)
                    .await?;
                self.expect_current(&bearer, &claims).await?;
                Ok(Holder::OfBusiness(bearer))
            }
            // The users of another issuer are not ours to disable.
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
            is_key: false,
        })
    }

    /// What a change of its user has made void is none any more.
    async fn expect_current(&self, bearer: &Bearer, claims: &Claims) -> Result<(), Refused> {
        let Some(version) = claims.version else {
            return Ok(());
        };
        let (business, user) = (bearer.business.id, bearer.user_id);
        let revocation = self.revocation;
        if revocation
            .is_current(self.database, business, user, version)
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
