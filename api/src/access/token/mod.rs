//! Access tokens: who signs them, how they are verified, and for how long a verification is remembered.
//!
//! `own` are those that this service signs with its secret (HS256), `issuer` those of another identity provider, whose
//! public keys `jwks` keeps. The two never share a key: a token's `alg` says which of them is asked, and each then uses
//! only keys and algorithms of its own. `cache` remembers what was verified, and nothing else.

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

use cache::Cache;
pub use issuer::{BadIssuer, ClaimNames, ClaimPath, Issuer, IssuerOptions};
pub use jwks::{BadSource, Pace, Source};
pub use own::{Keys, WeakSecret};

/// A token of ours has some 400 bytes, another issuer's a few thousand. What is far longer is not parsed.
const TOKEN_BYTES: usize = 8192;

/// Seconds by which the clocks of the machines that sign and verify may differ.
const LEEWAY: i64 = 5;

/// What a token of a business says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// Who acts.
    pub user_id: UserId,
    /// For which business.
    pub business_id: BusinessId,
    /// What it may do.
    pub authority: Authority,
    /// The user's version when the token was made. None in a script's token, whose subject is no user of ours.
    pub version: Option<i32>,
    /// When the token was made, in seconds since 1970.
    pub issued_at: i64,
    /// When it ends.
    pub expires_at: i64,
}

/// What another issuer's token of a business says. Its user is none of our table of users, so no version of theirs revokes
/// it, and when it was made decides nothing: it is good until it ends or its key is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuedClaims {
    /// Who acts.
    pub user_id: UserId,
    /// For which business.
    pub business_id: BusinessId,
    /// What it may do.
    pub authority: Authority,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
}

/// What a platform token says. It has no business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformClaims {
    /// Who acts.
    pub user_id: UserId,
    /// When the token was made, in seconds since 1970.
    pub issued_at: i64,
    /// When it ends.
    pub expires_at: i64,
}

/// A token that has been verified, by whose word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// Ours, for a business.
    Own(Claims),
    /// Another issuer's, for a business.
    Issued(IssuedClaims),
    /// Ours, for the platform. No other issuer can give that role.
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

/// The roles that a token of ours can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
    /// Everything in its business.
    Admin,
    /// Sells, takes payments, fulfils, adjusts stock.
    Staff,
    /// Its own orders, balance and profile.
    Customer,
    /// Creates businesses and sees no business's rows.
    Platform,
}

/// Why a token is no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It was one.
    #[error("the token has expired")]
    Expired,
    /// It never was, or is not yet.
    #[error("the token is not valid")]
    Invalid,
}

/// Verifies every kind of token. One for the process.
#[derive(Debug)]
pub struct Verifier {
    keys: Arc<Keys>,
    issuer: Option<Issuer>,
    cache: Cache,
}

impl Verifier {
    /// Our own tokens, and those of the issuer if there is one.
    #[must_use]
    pub fn new(keys: Arc<Keys>, issuer: Option<Issuer>) -> Self {
        Self {
            keys,
            issuer,
            cache: Cache::default(),
        }
    }

    /// What a token says, if its signature is good and its time has come and not gone.
    ///
    /// # Errors
    /// See [`BadToken`].
    pub async fn verify(&self, token: &str) -> Result<Verified, BadToken> {
        if token.len() > TOKEN_BYTES {
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

    /// Keeps the issuer's keys fresh, for ever. Ends at once when there is none.
    pub async fn keep_fresh(&self) {
        if let Some(issuer) = &self.issuer {
            issuer.keep_fresh().await;
        }
    }
}

/// What of a token's header is looked at.
#[derive(Debug)]
struct Head {
    algorithm: Algorithm,
    /// Which of the issuer's keys has signed.
    kid: Option<String>,
}

impl Head {
    /// Members by which a token would bring its own key or ask for rules that are not known here (RFC 7515, 4.1). None
    /// of them is ever followed, and a token that has one is refused: whoever writes it hopes for a reader that does.
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

/// A part of a token as JSON. A name that appears twice in it makes it none: two readers may disagree on what it says.
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
        // It is taken back while an answer with it is on its way; the reading after that one takes as long as it may.
        let known = jwks::ANSWER + pace.refresh.max(pace.retry) + jwks::ANSWER;
        assert!(known + cache::KEPT <= std::time::Duration::from_secs(60));
        assert_eq!(jwks::ANSWER, std::time::Duration::from_secs(5));
        assert!(pace.oldest <= std::time::Duration::from_secs(24 * 60 * 60));
    }
}
