//! The service's own tokens: JWTs signed with HMAC-SHA-256.
//!
//! This module alone makes and reads them. Only HS256 is accepted, so a token cannot choose how it is verified. A
//! verified token has a subject. It has either a business with a consistent authority, or the platform's role. No other
//! module reads its claims.

use domain::Authority;
use entity::{BusinessId, CustomerId, UserId};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    BadToken, Claims, LEEWAY_SECONDS, MAX_TOKEN_BYTES, PlatformClaims, RoleName, Verified,
};

/// The value of `iss`.
pub(super) const ISSUER: &str = "tradeline";

/// In bytes. A key shorter than the hash weakens it (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 32;

/// The claims in JSON.
#[derive(Serialize, Deserialize)]
struct Written {
    sub: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    business_id: Option<Uuid>,
    role: RoleName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ver: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
    iat: i64,
    exp: i64,
    iss: String,
}

/// The secret is too short to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret must have at least {SECRET_BYTES} bytes")]
pub struct WeakSecret;

/// Signs and verifies tokens. Its debug output hides the secret.
pub struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Keys {
    /// # Errors
    /// [`WeakSecret`] if the secret has fewer than 32 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, WeakSecret> {
        if secret.len() < SECRET_BYTES {
            return Err(WeakSecret);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS.unsigned_abs();
        Ok(Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
        })
    }

    /// Signs a token with these claims.
    ///
    /// # Errors
    /// The library's; no case is known.
    pub fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        let (role, customer_id) = match claims.authority {
            Authority::Admin => (RoleName::Admin, None),
            Authority::Staff => (RoleName::Staff, None),
            Authority::Customer(customer_id) => (RoleName::Customer, Some(customer_id.0)),
        };
        self.write(&Written {
            sub: claims.user_id.0,
            business_id: Some(claims.business_id.0),
            role,
            customer_id,
            ver: claims.version,
            sid: claims.login,
            iat: claims.issued_at,
            exp: claims.expires_at,
            iss: ISSUER.to_owned(),
        })
    }

    /// Signs a platform token.
    ///
    /// # Errors
    /// The library's; no case is known.
    pub fn sign_platform(
        &self,
        claims: &PlatformClaims,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        self.write(&Written {
            sub: claims.user_id.0,
            business_id: None,
            role: RoleName::Platform,
            customer_id: None,
            ver: None,
            sid: None,
            iat: claims.issued_at,
            exp: claims.expires_at,
            iss: ISSUER.to_owned(),
        })
    }

    fn write(&self, written: &Written) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), written, &self.encoding)
    }

    /// Verifies a token's signature and times, and returns its content.
    ///
    /// # Errors
    /// See [`BadToken`].
    pub fn verify(&self, token: &str) -> Result<Verified, BadToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(BadToken::Invalid);
        }
        let decoded = jsonwebtoken::decode::<Written>(token, &self.decoding, &self.validation);
        let written = match decoded {
            Ok(decoded) => decoded.claims,
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => {
                return Err(BadToken::Expired);
            }
            Err(_) => return Err(BadToken::Invalid),
        };
        let user_id = UserId(written.sub);
        let (issued_at, expires_at) = (written.iat, written.exp);
        let authority = match (written.role, written.business_id, written.customer_id) {
            (RoleName::Platform, None, None) => {
                return Ok(Verified::Platform(PlatformClaims {
                    user_id,
                    issued_at,
                    expires_at,
                }));
            }
            (RoleName::Admin, Some(_), None) => Authority::Admin,
            (RoleName::Staff, Some(_), None) => Authority::Staff,
            (RoleName::Customer, Some(_), Some(id)) => Authority::Customer(CustomerId(id)),
            (RoleName::Platform, _, _)
            | (RoleName::Admin | RoleName::Staff, _, _)
            | (RoleName::Customer, _, _) => return Err(BadToken::Invalid),
        };
        let business_id = BusinessId(written.business_id.ok_or(BadToken::Invalid)?);
        Ok(Verified::Own(Claims {
            user_id,
            business_id,
            authority,
            version: written.ver,
            login: written.sid,
            issued_at,
            expires_at,
        }))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    use serde_json::{Value, json};

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn keys() -> Keys {
        Keys::new(SECRET).unwrap()
    }

    fn now() -> i64 {
        chrono::Utc::now().timestamp()
    }

    fn claims(authority: Authority) -> Claims {
        Claims {
            user_id: UserId::new(),
            business_id: BusinessId::new(),
            authority,
            version: Some(7),
            login: Some(Uuid::now_v7()),
            issued_at: now(),
            expires_at: now() + 60,
        }
    }

    fn valid() -> Value {
        json!({"sub": Uuid::now_v7(), "business_id": Uuid::now_v7(), "role": "admin",
               "iat": now(), "exp": now() + 60, "iss": "tradeline"})
    }

    /// A valid signature over claims that [`Keys::sign`] would never write.
    fn forged(claims: &Value, algorithm: Algorithm) -> String {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &keys().encoding).unwrap()
    }

    #[test]
    fn signed_claims_are_read_back() {
        for authority in [
            Authority::Admin,
            Authority::Staff,
            Authority::Customer(CustomerId::new()),
        ] {
            let claims = claims(authority);
            assert_eq!(
                keys().verify(&keys().sign(&claims).unwrap()),
                Ok(Verified::Own(claims))
            );
        }
    }

    #[test]
    fn a_platform_token_names_no_business_and_a_business_token_one() {
        let claims = PlatformClaims {
            user_id: UserId::new(),
            issued_at: now(),
            expires_at: now() + 60,
        };
        let token = keys().sign_platform(&claims).unwrap();
        assert_eq!(keys().verify(&token), Ok(Verified::Platform(claims)));
        let mut claims = valid();
        claims["role"] = json!("platform");
        let token = forged(&claims, Algorithm::HS256);
        assert_eq!(keys().verify(&token), Err(BadToken::Invalid));
    }

    #[test]
    fn a_token_ends_after_its_time_and_the_leeway() {
        let mut claims = claims(Authority::Admin);
        claims.expires_at = now() - 60;
        assert_eq!(
            keys().verify(&keys().sign(&claims).unwrap()),
            Err(BadToken::Expired)
        );
        claims.expires_at = now() - 2;
        assert!(keys().verify(&keys().sign(&claims).unwrap()).is_ok());
    }

    #[test]
    fn another_secret_or_algorithm_or_none_is_refused() {
        let other = Keys::new(b"another secret of thirty-two bytes").unwrap();
        let token = other.sign(&claims(Authority::Admin)).unwrap();
        assert_eq!(keys().verify(&token), Err(BadToken::Invalid));
        let token = forged(&valid(), Algorithm::HS512);
        assert_eq!(keys().verify(&token), Err(BadToken::Invalid));
        let part = |value: &Value| BASE64.encode(value.to_string());
        for signature in ["", "e30"] {
            let token = format!(
                "{}.{}.{signature}",
                part(&json!({"alg": "none"})),
                part(&valid())
            );
            assert_eq!(keys().verify(&token), Err(BadToken::Invalid));
        }
    }

    #[test]
    fn a_changed_claim_breaks_the_signature() {
        let token = forged(&valid(), Algorithm::HS256);
        let parts: Vec<&str> = token.split('.').collect();
        let mut changed = valid();
        changed["role"] = "staff".into();
        let token = format!(
            "{}.{}.{}",
            parts[0],
            BASE64.encode(changed.to_string()),
            parts[2]
        );
        assert_eq!(keys().verify(&token), Err(BadToken::Invalid));
    }

    #[test]
    fn claims_that_are_missing_or_make_no_sense_are_refused() {
        assert!(keys().verify(&forged(&valid(), Algorithm::HS256)).is_ok());
        for name in ["sub", "business_id", "role", "iat", "exp", "iss"] {
            let mut claims = valid();
            claims.as_object_mut().unwrap().remove(name);
            let token = forged(&claims, Algorithm::HS256);
            assert_eq!(
                keys().verify(&token),
                Err(BadToken::Invalid),
                "without {name}"
            );
        }
        for (name, value) in [
            ("iss", json!("another")),
            ("role", json!("customer")),
            ("role", json!("platform")),
            ("customer_id", json!(Uuid::now_v7())),
            ("nbf", json!(now() + 60)),
            ("sub", json!("me")),
        ] {
            let mut claims = valid();
            claims[name] = value;
            let token = forged(&claims, Algorithm::HS256);
            assert_eq!(
                keys().verify(&token),
                Err(BadToken::Invalid),
                "{name} wrong"
            );
        }
    }

    #[test]
    fn garbage_and_long_tokens_are_refused() {
        let mut claims = valid();
        claims["extra"] = "x".repeat(8192).into();
        let long = forged(&claims, Algorithm::HS256);
        for token in ["", ".", "..", "a.b.c", "\u{0}", long.as_str()] {
            assert_eq!(keys().verify(token), Err(BadToken::Invalid));
        }
    }

    #[test]
    fn short_secrets_are_refused_and_none_is_shown() {
        assert!(Keys::new(&SECRET[1..]).is_err());
        assert_eq!(format!("{:?}", keys()), "Keys(not shown)");
    }
}
