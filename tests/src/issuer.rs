//! This module holds another identity provider: its keys, its tokens, and an HTTP server that publishes the public
//! keys.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use entity::BusinessId;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use p256::pkcs8::EncodePrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tradeline::config::Settings;

/// The claim `iss` of the provider's tokens.
pub const ISSUER: &str = "https://issuer.example/auth/v1";
/// The claim `aud` of the provider's tokens.
pub const AUDIENCE: &str = "tradeline-tests";

/// A key pair that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    /// The key id in a token's header and in the published set.
    pub kid: String,
    /// The signature algorithm that the key is published for.
    pub algorithm: Algorithm,
    encoding: EncodingKey,
    /// The public half of an Ed25519 key, because the library does not derive it.
    edwards: Option<[u8; 32]>,
}

impl SigningKey {
    /// Generates a key pair for ES256.
    #[must_use]
    pub fn new(kid: &str) -> Self {
        Self::of(kid, Algorithm::ES256)
    }

    /// Generates a key pair for this algorithm.
    #[must_use]
    pub fn of(kid: &str, algorithm: Algorithm) -> Self {
        let mut edwards = None;
        let encoding = match algorithm {
            Algorithm::ES256 => {
                let key = p256::SecretKey::from_slice(&rand::random::<[u8; 32]>()).unwrap();
                EncodingKey::from_ec_der(key.to_pkcs8_der().unwrap().as_bytes())
            }
            Algorithm::EdDSA => {
                let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
                edwards = Some(key.verifying_key().to_bytes());
                EncodingKey::from_ed_der(key.to_pkcs8_der().unwrap().as_bytes())
            }
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::PS256 => {
                let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
                EncodingKey::from_rsa_der(key.to_pkcs1_der().unwrap().as_bytes())
            }
            other => panic!("no test has a key for {other:?}"),
        };
        Self {
            kid: kid.to_owned(),
            algorithm,
            encoding,
            edwards,
        }
    }

    /// The same key pair with another key id or another algorithm of the same key type.
    #[must_use]
    pub fn renamed(&self, kid: &str, algorithm: Algorithm) -> Self {
        Self {
            kid: kid.to_owned(),
            algorithm,
            ..self.clone()
        }
    }

    /// The public half as a JSON Web Key.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = if let Some(public) = self.edwards {
            json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": base64url(public)})
        } else {
            let jwk = Jwk::from_encoding_key(&self.encoding, self.algorithm).unwrap();
            serde_json::to_value(jwk).unwrap()
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// Signs a token with these claims.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let head = json!({"typ": "JWT", "alg": self.algorithm, "kid": self.kid});
        self.sign_text(&head.to_string(), &claims.to_string())
    }

    /// Signs these texts as a token, even if they are no valid JSON.
    #[must_use]
    pub fn sign_text(&self, head: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url(head), base64url(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, self.algorithm);
        format!("{message}.{}", signature.unwrap())
    }
}

/// Encodes bytes as Base64 with the URL alphabet and without padding, as tokens use it.
#[must_use]
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.as_ref().chunks(3) {
        let bits = chunk
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let letter = bits >> (18 - 6 * place) & 63;
            text.push(char::from(LETTERS[letter as usize]));
        }
    }
    text
}

/// Valid claims for this business and role, expiring in 600 seconds.
#[must_use]
pub fn good_claims(business: BusinessId, role: &str) -> Value {
    let now = chrono::Utc::now().timestamp();
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "auth0|4711", "iat": now, "exp": now + 600,
           "business_id": business, "role": role})
}

/// The responses of the HTTP server.
#[derive(Clone)]
pub enum Serving {
    /// Responds with this status and body.
    Answer(u16, Vec<u8>),
    /// Responds with 302 and this location.
    Redirect(String),
    /// Responds with this body after this time.
    Late(Duration, Vec<u8>),
    /// Responds with a body that never ends.
    Endless,
    /// Closes each connection without a response.
    Down,
}

/// Publishes keys on loopback until the test ends.
pub struct IssuerServer {
    /// The address of the key set.
    pub url: String,
    serving: Arc<Mutex<Serving>>,
    asked: Arc<AtomicUsize>,
}

impl IssuerServer {
    /// Starts a server that publishes these keys.
    pub async fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let serving = Arc::new(Mutex::new(Serving::Answer(200, set_of(keys))));
        let asked = Arc::new(AtomicUsize::new(0));
        let (mode, count) = (Arc::clone(&serving), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let serving = mode.lock().unwrap().clone();
                tokio::spawn(answer(client, serving));
            }
        });
        Self {
            url,
            serving,
            asked,
        }
    }

    /// Changes how the server responds from now on.
    pub fn serve(&self, serving: Serving) {
        *self.serving.lock().unwrap() = serving;
    }

    /// Publishes only these keys from now on.
    pub fn publish(&self, keys: &[&SigningKey]) {
        self.serve(Serving::Answer(200, set_of(keys)));
    }

    /// The number of connections accepted so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Settings of a service that accepts this provider's tokens.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = crate::settings();
        settings.identity.issuer = Some(ISSUER.to_owned());
        settings.identity.audience = Some(AUDIENCE.to_owned());
        settings.identity.jwks = Some(self.url.parse().unwrap());
        settings
    }
}

/// The body of a JSON Web Key Set with the public halves of these keys.
#[must_use]
pub fn set_of(keys: &[&SigningKey]) -> Vec<u8> {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    json!({"keys": keys}).to_string().into_bytes()
}

/// Ignores errors of the socket, because a client may disconnect at any time.
async fn answer(mut client: TcpStream, serving: Serving) {
    let mut request = [0; 4096];
    let _ = client.read(&mut request).await;
    let (head, body) = match serving {
        Serving::Down => return,
        Serving::Answer(status, body) => (format!("{status} X"), body),
        Serving::Redirect(to) => (format!("302 Found\r\nLocation: {to}"), Vec::new()),
        Serving::Late(time, body) => {
            tokio::time::sleep(time).await;
            ("200 OK".to_owned(), body)
        }
        Serving::Endless => {
            let _ = client
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"keys\": [")
                .await;
            while client.write_all(&[b' '; 65536]).await.is_ok() {}
            return;
        }
    };
    let head = format!(
        "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = client.write_all(head.as_bytes()).await;
    let _ = client.write_all(&body).await;
}
