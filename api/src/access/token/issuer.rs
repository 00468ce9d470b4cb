//! Verification of tokens from another identity provider, such as Supabase, Auth0 or Keycloak.
//!
//! The provider signs with a private key. Its key set has the public key under the token's `kid`, with the one
//! algorithm of that key. Issuer and audience must equal the configured ones. The claims that name the business, the
//! role and the customer are configured too. Only the roles of a business exist: no external token grants `platform`.

use chrono::Utc;
use domain::Authority;
use entity::{BusinessId, CustomerId, UserId};
use jsonwebtoken::Validation;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::jwks::{Jwks, Unread};
use super::{BadToken, Head, IssuedClaims, Pace, Source, numeric_date, object, own};
use crate::schema::text;

/// The longest subject, in bytes (OpenID Connect Core, section 2).
const SUBJECT_BYTES: usize = 255;

/// The path to a claim: `business_id`, or `app_metadata.business_id` for a member of an object. A name that contains
/// `://` is one name including its dots, since providers require URLs as names of custom claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

/// A path with an empty name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a claim's name, or names with a dot between them")]
pub struct NoPath;

impl std::str::FromStr for ClaimPath {
    type Err = NoPath;

    fn from_str(text: &str) -> Result<Self, NoPath> {
        let names: Vec<String> = if text.contains("://") {
            vec![text.to_owned()]
        } else {
            text.split('.').map(str::to_owned).collect()
        };
        if names.iter().any(String::is_empty) {
            return Err(NoPath);
        }
        Ok(Self(names))
    }
}

impl ClaimPath {
    /// The claim's text; `None` if it is absent or not text.
    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        let value = rest
            .iter()
            .try_fold(claims.get(first)?, |value, name| value.get(name))?;
        value.as_str()
    }

    /// Whether the claim is present with any value but null.
    fn is_there(&self, claims: &Map<String, Value>) -> bool {
        let Some((first, rest)) = self.0.split_first() else {
            return false;
        };
        let value = claims.get(first);
        let value = rest
            .iter()
            .fold(value, |value, name| value.and_then(|value| value.get(name)));
        value.is_some_and(|value| !value.is_null())
    }
}

/// The paths to the claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// The path to the business's id.
    pub business: ClaimPath,
    /// The path to `admin`, `staff` or `customer`.
    pub role: ClaimPath,
    /// The path to the customer's id, for the role `customer`.
    pub customer: ClaimPath,
}

/// The issuer whose tokens are accepted.
#[derive(Debug, Clone)]
pub struct IssuerOptions {
    /// The required value of `iss`.
    pub name: String,
    /// The required value of `aud`.
    pub audience: String,
    /// The source of its public keys.
    pub keys: Source,
    /// The paths to the claims in its tokens.
    pub claims: ClaimNames,
    /// The intervals at which its keys are read.
    pub pace: Pace,
}

/// Why an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadIssuer {
    /// The name is empty, or its tokens could be confused with this service's own.
    #[error("TRADELINE_ISSUER must not be empty or `{}`", own::ISSUER)]
    Name,
    /// Without an audience, a token for any service of the issuer would be accepted.
    #[error("TRADELINE_AUDIENCE must not be empty")]
    Audience,
    /// The file of its keys cannot be used.
    #[error("TRADELINE_JWKS: {0}")]
    Keys(String),
}

/// Verifies the tokens of one issuer.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    /// The namespace of its users' ids (UUID v5).
    users: Uuid,
    audience: String,
    claims: ClaimNames,
    keys: Jwks,
}

impl Issuer {
    /// Checks the options, and reads the keys if they are in a file. A URL is read later, so that an unreachable issuer
    /// does not prevent the start.
    ///
    /// # Errors
    /// See [`BadIssuer`].
    pub async fn new(options: IssuerOptions) -> Result<Self, BadIssuer> {
        if options.name.trim().is_empty() || options.name == own::ISSUER {
            return Err(BadIssuer::Name);
        }
        if options.audience.trim().is_empty() {
            return Err(BadIssuer::Audience);
        }
        let is_file = matches!(options.keys, Source::File(_));
        let bad_keys = |error: Unread| BadIssuer::Keys(error.to_string());
        let keys = Jwks::new(options.keys, options.pace).map_err(|error| bad_keys(error.into()))?;
        if is_file {
            keys.read().await.map_err(bad_keys)?;
        }
        Ok(Self {
            users: Uuid::new_v5(&Uuid::NAMESPACE_URL, options.name.as_bytes()),
            name: options.name,
            audience: options.audience,
            claims: options.claims,
            keys,
        })
    }

    pub(super) async fn keep_fresh(&self) {
        self.keys.keep_fresh().await;
    }

    pub(super) async fn verify(&self, token: &str, head: &Head) -> Result<IssuedClaims, BadToken> {
        let kid = head.kid.as_deref().ok_or(BadToken::Invalid)?;
        let key = self.keys.find(kid).await.ok_or(BadToken::Invalid)?;
        // The key decides the algorithm. The token's `alg` must agree with it and decides nothing.
        let mut validation = Validation::new(key.algorithm);
        validation.set_issuer(&[&self.name]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["aud", "iss", "sub"]);
        // The library rounds times, or rejects those with a fraction.
        validation.validate_exp = false;
        jsonwebtoken::decode::<IgnoredAny>(token, &key.decoding, &validation)
            .map_err(|_no_time| BadToken::Invalid)?;
        let payload = token.split('.').nth(1).and_then(object);
        let claims = payload.ok_or(BadToken::Invalid)?;
        let expires_at = numeric_date::check(&claims, Utc::now().timestamp())?;
        self.read(&claims, expires_at).ok_or(BadToken::Invalid)
    }

    /// Reads the claims of a verified token. The library accepts a list of issuers where the standard has one, and
    /// names that appear twice. Both are rejected by the checks here.
    fn read(&self, claims: &Map<String, Value>, expires_at: i64) -> Option<IssuedClaims> {
        if claims.get("iss")?.as_str()? != self.name {
            return None;
        }
        let subject = claims.get("sub")?.as_str()?;
        if !(1..=SUBJECT_BYTES).contains(&subject.len()) {
            return None;
        }
        let business_id: BusinessId = text::id(self.claims.business.find(claims)?)?;
        let customer = &self.claims.customer;
        let authority = match self.claims.role.find(claims)? {
            "admin" => Authority::Admin,
            "staff" => Authority::Staff,
            "customer" => Authority::Customer(text::id::<CustomerId>(customer.find(claims)?)?),
            _ => return None,
        };
        // A token with a customer and the role of staff or admin is an error of its issuer.
        if !matches!(authority, Authority::Customer(_)) && customer.is_there(claims) {
            return None;
        }
        Some(IssuedClaims {
            user_id: UserId(Uuid::new_v5(&self.users, subject.as_bytes())),
            business_id,
            authority,
            expires_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_objects_and_a_url_is_one_name() {
        let claims = json!({
            "role": "staff",
            "app_metadata": {"business_id": "b", "deep": {"er": "c"}},
            "https://tradeline.example/role": "admin",
            "number": 1,
            "nothing": null,
        });
        let claims = claims.as_object().unwrap();
        let path = |text: &str| text.parse::<ClaimPath>().unwrap();
        for (name, found) in [
            ("role", Some("staff")),
            ("app_metadata.business_id", Some("b")),
            ("app_metadata.deep.er", Some("c")),
            ("https://tradeline.example/role", Some("admin")),
            ("app_metadata", None),
            ("app_metadata.none", None),
            ("role.staff", None),
            ("number", None),
            ("nothing", None),
        ] {
            assert_eq!(path(name).find(claims), found, "{name}");
        }
        assert!(path("number").is_there(claims));
        assert!(!path("nothing").is_there(claims));
        assert!(!path("app_metadata.none").is_there(claims));
        for bad in ["", ".", "a.", ".a", "a..b"] {
            assert_eq!(bad.parse::<ClaimPath>(), Err(NoPath), "{bad:?}");
        }
    }
}
