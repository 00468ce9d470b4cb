//! Verification of access tokens, and the cache of its results.
//!
//! `own` has the tokens that this service signs with its secret (HS256). `issuer` has those of another identity
//! provider, whose public keys `jwks` caches. The two never share a key: a token's `alg` selects one of them, which
//! then uses only its own keys and algorithms. `cache` stores the results of verification, and nothing else.

mod cache;
mod issuer;
mod jwks;
mod numeric_date;
mod own;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use domain::Authority;
use entity::{BusinessId, UserId};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use cache::Cache;
pub use issuer::{BadIssuer, ClaimNames, ClaimPath, Issuer, IssuerOptions};
pub use jwks::{BadSource, Pace, Source};
pub use own::{Keys, WeakSecret};

/// In bytes; longer tokens are not parsed. This service's tokens have about 400, other issuers' a few thousand.
const MAX_TOKEN_BYTES: usize = 8192;

/// In seconds: the allowed difference between the clocks of the machines that sign and verify.
const LEEWAY_SECONDS: i64 = 5;

/// The content of this service's token for a business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// The user that acts, or the subject of a script's token.
    pub user_id: UserId,
    /// The business in which they act.
    pub business_id: BusinessId,
    /// The permissions of the holder.
    pub authority: Authority,
    /// The user's version when the token was made. `None` in a script's token, whose subject is not in the table of
    /// users.
    pub version: Option<i32>,
    /// The login for which the token was made. `None` in a script's token and in tokens of earlier versions.
    pub login: Option<Uuid>,
    /// When the token was made, in seconds since 1970.
    pub issued_at: i64,
    /// When the token expires, in seconds since 1970.
    pub expires_at: i64,
}

/// The content of another issuer's token for a business.
///
/// Its user is not in the table of users, so no user's version revokes it. The time at which it was made decides
/// nothing: it is valid until it expires or its key is withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuedClaims {
    /// The user that acts: a UUID derived from the issuer and the subject.
    pub user_id: UserId,
    /// The business in which they act.
    pub business_id: BusinessId,
    /// The permissions of the holder.
    pub authority: Authority,
    /// When the token expires, in seconds since 1970.
    pub expires_at: i64,
}

/// The content of a platform token, which has no business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformClaims {
    /// The subject that acts.
    pub user_id: UserId,
    /// When the token was made, in seconds since 1970.
    pub issued_at: i64,
    /// When the token expires, in seconds since 1970.
    pub expires_at: i64,
}

/// A verified token, by its issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// This service's token for a business.
    Own(Claims),
    /// Another issuer's token for a business.
    Issued(IssuedClaims),
    /// This service's token for the platform. No other issuer can grant that role.
    Platform(PlatformClaims),
}

impl Verified {
    fn expires_at(&self) -> i64 {
        match self {
            Self::Own(claims) => claims.expires_at,
            Self::Issued(claims) => claims.expires_at,
            Self::Platform(claims) => claims.expires_at,
        }
    }
}

/// The roles of tokens that this service signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
    /// May do everything in its business.
    Admin,
    /// Sells, takes payments, fulfils, adjusts stock.
    Staff,
    /// Reads and changes only its own orders, balance and profile.
    Customer,
    /// Creates businesses. Sees no business's rows.
    Platform,
}

/// Why a token is not a valid credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It was valid until it expired.
    #[error("the token has expired")]
    Expired,
    /// It was never valid, or is not valid yet.
    #[error("the token is not valid")]
    Invalid,
}

/// Verifies every kind of token. The process has one.
#[derive(Debug)]
pub struct Verifier {
    keys: Arc<Keys>,
    issuer: Option<Issuer>,
    cache: Cache,
}

impl Verifier {
    /// Accepts this service's tokens, and those of `issuer` if there is one.
    #[must_use]
    pub fn new(keys: Arc<Keys>, issuer: Option<Issuer>) -> Self {
        Self {
            keys,
            issuer,
            cache: Cache::default(),
        }
    }

    /// Verifies a token's signature and times, and returns its content.
    ///
    /// # Errors
    /// See [`BadToken`].
    pub async fn verify(&self, token: &str) -> Result<Verified, BadToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(BadToken::Invalid);
        }
        let key = Cache::key(token);
        if let Some(verified) = self.cache.get(&key) {
            return Ok(verified);
        }
        let head = Head::of(token).ok_or(BadToken::Invalid)?;
        let verified = match (&self.issuer, head.algorithm) {
            (_, Algorithm::HS256) => self.keys.verify(token)?,
            (Some(issuer), _) => issuer.verify(token, &head).await.map(Verified::Issued)?,
            (None, _) => return Err(BadToken::Invalid),
        };
        self.cache.put(key, verified);
        Ok(verified)
    }

    /// Reads the issuer's keys in a loop that never ends. Returns at once without an issuer.
    pub async fn keep_fresh(&self) {
        if let Some(issuer) = &self.issuer {
            issuer.keep_fresh().await;
        }
    }
}

/// The members of a token's header that are read.
#[derive(Debug)]
struct Head {
    algorithm: Algorithm,
    /// The id of the issuer's key that signed.
    kid: Option<String>,
}

impl Head {
    /// Members with which a token would bring its own key, or require extensions that are unknown here (RFC 7515,
    /// section 4.1). None of them is ever followed. A token that has one is rejected, since its author relies on a
    /// verifier that does.
    const REFUSED: [&str; 6] = ["jku", "jwk", "x5u", "x5c", "crit", "b64"];

    fn of(token: &str) -> Option<Self> {
        let (head, _) = token.split_once('.')?;
        let members = object(head)?;
        if Self::REFUSED.iter().any(|name| members.contains_key(*name)) {
            return None;
        }
        let algorithm = members.get("alg")?.as_str()?.parse().ok()?;
        let kid = match members.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str()?.to_owned()),
        };
        Some(Self { algorithm, kid })
    }
}

/// A part of a token as JSON. Rejects a part in which a name appears twice, since two readers may read different
/// values.
fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    match crate::schema::body::parse(&bytes).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_its_issuer_takes_back_is_good_for_a_minute_at_most() {
        let pace = Pace::default();
        // The key is withdrawn while a response that contains it is in transit. The next reading takes the longest
        // allowed time.
        let known = jwks::RESPONSE_TIMEOUT + pace.refresh.max(pace.retry) + jwks::RESPONSE_TIMEOUT;
        assert!(known + cache::MAX_AGE <= std::time::Duration::from_secs(60));
        assert_eq!(jwks::RESPONSE_TIMEOUT, std::time::Duration::from_secs(5));
        assert!(pace.oldest <= std::time::Duration::from_secs(24 * 60 * 60));
    }
}
