//! The public keys of another issuer, read from a URL or a file and cached.
//!
//! They are read again when they are old, and when a token names an unknown key. Anyone can write a token that names an
//! unknown key. Such tokens therefore cause at most one reading per [`Pace::unknown_key`], which has limits of time and
//! size. All that arrive meanwhile wait for that reading. While the issuer does not answer, the known keys remain valid
//! for [`Pace::oldest`], a day by default.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::http::client;

/// The limit for the issuer's complete response.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The limit for connecting to the issuer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest key set, in bytes. One that contains certificates has about 10,000.
const MAX_SET_BYTES: usize = 256 * 1024;
/// The most keys that are read from a set.
const MAX_SET_KEYS: usize = 100;
/// The size of an RSA key's modulus, in bytes. Shorter ones are weak (RFC 7518, section 3.3); longer ones only cost
/// time.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The intervals at which the keys are read.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The age at which keys are read again in the background.
    pub refresh: Duration,
    /// The pause in the background after a reading that failed.
    pub retry: Duration,
    /// The shortest time between two readings caused by tokens that name an unknown key.
    pub unknown_key: Duration,
    /// The age at which keys that could not be read again become invalid.
    pub oldest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(30),
            retry: Duration::from_secs(30),
            unknown_key: Duration::from_secs(30),
            oldest: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// The source of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A URL.
    Url(Url),
    /// A file.
    File(PathBuf),
}

/// Why a source cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// An attacker on the network path could replace the keys.
    #[error("must be https, or http on this machine itself (127.0.0.1, [::1] or localhost)")]
    Insecure,
    /// The text is not a URL.
    #[error("is not a URL: {0}")]
    NoUrl(String),
}

impl std::str::FromStr for Source {
    type Err = BadSource;

    /// Text with a scheme is a URL; any other text is a file's path.
    fn from_str(text: &str) -> Result<Self, BadSource> {
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let url: Url = text
            .parse()
            .map_err(|error| BadSource::NoUrl(format!("{error}")))?;
        match client::is_secure(&url) {
            true => Ok(Self::Url(url)),
            false => Err(BadSource::Insecure),
        }
    }
}

/// A key and its one algorithm. A token cannot choose the algorithm.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

type Keys = HashMap<String, Arc<Key>>;

/// The keys, and when their reading began.
#[derive(Debug)]
struct Known {
    keys: Keys,
    at: Instant,
}

/// Why the keys could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("the response has status {0}")]
    Status(reqwest::StatusCode),
    #[error("it has more than {MAX_SET_BYTES} bytes")]
    TooLarge,
    #[error("it is not a key set: {0}")]
    NoSet(serde_json::Error),
    #[error(
        "none of its keys can be used: a key needs a kid, and a public RSA, P-256, P-384 or Ed25519 key"
    )]
    NoKeys,
    #[error("reading it has failed")]
    Panicked,
}

/// The source with its client.
#[derive(Debug)]
enum Reader {
    Url(Url, Client),
    File(PathBuf),
}

#[derive(Debug)]
pub(super) struct Jwks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Reader,
    pace: Pace,
    read: RwLock<Arc<Known>>,
    /// Held during a reading, so that there is one at a time.
    reading: tokio::sync::Mutex<()>,
    /// When a token with an unknown key last caused a reading; `None` before the first.
    asked: Mutex<Option<Instant>>,
}

impl Jwks {
    pub(super) fn new(source: Source, pace: Pace) -> Result<Self, reqwest::Error> {
        let source = match source {
            Source::Url(url) => Reader::Url(url.clone(), client(&url)?),
            Source::File(path) => Reader::File(path),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                source,
                pace,
                read: RwLock::new(Arc::new(Known {
                    keys: Keys::new(),
                    at: Instant::now(),
                })),
                reading: tokio::sync::Mutex::default(),
                asked: Mutex::default(),
            }),
        })
    }

    /// The key with this id. Reads the keys again if it is unknown, at most once per [`Pace::unknown_key`].
    pub(super) async fn find(&self, kid: &str) -> Option<Arc<Key>> {
        if let Some(key) = self.inner.known(kid) {
            return Some(key);
        }
        if self.inner.asked_recently() {
            return None;
        }
        // A separate task, so that the reading survives a client that disconnects: other requests wait for it.
        let inner = Arc::clone(&self.inner);
        let reading = tokio::spawn(async move {
            let _one_at_a_time = inner.reading.lock().await;
            if inner.asked_recently() {
                return;
            }
            inner.read_and_keep().await.unwrap_or_else(log);
            *inner.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        });
        if let Err(error) = reading.await {
            tracing::error!(%error, "reading the issuer's keys has failed");
        }
        self.inner.known(kid)
    }

    /// Reads the keys now.
    pub(super) async fn read(&self) -> Result<(), Unread> {
        let _one_at_a_time = self.inner.reading.lock().await;
        self.inner.read_and_keep().await
    }

    /// Reads the keys in a loop that never ends.
    pub(super) async fn keep_fresh(&self) {
        loop {
            let pause = match self.read().await {
                Ok(()) => self.inner.pace.refresh,
                Err(error) => {
                    log(error);
                    self.inner.pace.retry
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}

fn log(error: Unread) {
    tracing::warn!(%error, "the issuer's keys cannot be read; known keys stay valid for a day");
}

impl Inner {
    fn known(&self, kid: &str) -> Option<Arc<Key>> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        let young = read.at.elapsed() < self.pace.oldest;
        read.keys.get(kid).filter(|_| young).cloned()
    }

    fn asked_recently(&self) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|when| when.elapsed() < self.pace.unknown_key)
    }

    async fn read_and_keep(&self) -> Result<(), Unread> {
        let at = Instant::now();
        let text = match &self.source {
            Reader::Url(url, http) => download(http, url.clone()).await?,
            Reader::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
                read.map_err(|_panic| Unread::Panicked)??
            }
        };
        let keys = parse(&text)?;
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        let same =
            keys.len() == read.keys.len() && keys.keys().all(|kid| read.keys.contains_key(kid));
        if !same {
            tracing::info!(keys = keys.len(), "the issuer's keys have changed");
        }
        *read = Arc::new(Known { keys, at });
        Ok(())
    }
}

fn client(url: &Url) -> Result<Client, reqwest::Error> {
    // A connection belongs to the thread that opened it, and the next reading is 30 s away. None is kept.
    client::client(url, CONNECT_TIMEOUT, RESPONSE_TIMEOUT)
        .pool_max_idle_per_host(0)
        .build()
}

async fn download(http: &Client, url: Url) -> Result<Vec<u8>, Unread> {
    let mut response = http.get(url).send().await?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(Unread::Status(response.status()));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if text.len() + chunk.len() > MAX_SET_BYTES {
            return Err(Unread::TooLarge);
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, Unread> {
    let mut text = Vec::new();
    let limit = MAX_SET_BYTES as u64 + 1;
    std::fs::File::open(path)?
        .take(limit)
        .read_to_end(&mut text)?;
    if text.len() > MAX_SET_BYTES {
        return Err(Unread::TooLarge);
    }
    Ok(text)
}

/// A key set as written. Each key is parsed separately, so that one of an unknown kind does not affect the others.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

fn parse(text: &[u8]) -> Result<Keys, Unread> {
    let set: Set = serde_json::from_slice(text).map_err(Unread::NoSet)?;
    let mut keys = Keys::new();
    let mut twice = Vec::new();
    for value in set.keys.into_iter().take(MAX_SET_KEYS) {
        let Some((kid, key)) = usable(value) else {
            tracing::debug!("a key of the issuer's set is ignored");
            continue;
        };
        if keys.insert(kid.clone(), Arc::new(key)).is_some() {
            twice.push(kid);
        }
    }
    // Nobody can tell which of two keys with the same id is meant.
    for kid in twice {
        tracing::warn!(
            kid,
            "two keys of the issuer's set have the same kid: both are ignored"
        );
        keys.remove(&kid);
    }
    if keys.is_empty() {
        return Err(Unread::NoKeys);
    }
    Ok(keys)
}

/// A key that verifies signatures, with its id. Rejects symmetric keys, encryption keys, unknown curves, and keys whose
/// `alg` does not belong to their type.
fn usable(value: Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let common = &jwk.common;
    let signs = common
        .public_key_use
        .as_ref()
        .is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let verifies = common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return None;
    }
    use KeyAlgorithm as K;
    let algorithm = match (&jwk.algorithm, common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(K::RS256)) => Algorithm::RS256,
        (AlgorithmParameters::RSA(_), Some(K::RS384)) => Algorithm::RS384,
        (AlgorithmParameters::RSA(_), Some(K::RS512)) => Algorithm::RS512,
        (AlgorithmParameters::RSA(_), Some(K::PS256)) => Algorithm::PS256,
        (AlgorithmParameters::RSA(_), Some(K::PS384)) => Algorithm::PS384,
        (AlgorithmParameters::RSA(_), Some(K::PS512)) => Algorithm::PS512,
        (AlgorithmParameters::EllipticCurve(key), alg) => match (&key.curve, alg) {
            (EllipticCurve::P256, None | Some(K::ES256)) => Algorithm::ES256,
            (EllipticCurve::P384, None | Some(K::ES384)) => Algorithm::ES384,
            _ => return None,
        },
        (AlgorithmParameters::OctetKeyPair(key), None | Some(K::EdDSA))
            if key.curve == EllipticCurve::Ed25519 =>
        {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    if !has_its_size(algorithm, decoding.kind()) {
        return None;
    }
    let kid = jwk.common.key_id?;
    Some((
        kid,
        Key {
            algorithm,
            decoding,
        },
    ))
}

/// Whether a key has the size of its type. The library accepts any size, and fails only at verification.
fn has_its_size(algorithm: Algorithm, key: &DecodingKeyKind) -> bool {
    match (key, algorithm) {
        (DecodingKeyKind::RsaModulusExponent { n, .. }, _) => {
            RSA_BYTES.contains(&n.iter().skip_while(|byte| **byte == 0).count())
        }
        // A point: one byte for its form, then two coordinates.
        (DecodingKeyKind::SecretOrDer(point), Algorithm::ES256) => point.len() == 1 + 2 * 32,
        (DecodingKeyKind::SecretOrDer(point), Algorithm::ES384) => point.len() == 1 + 2 * 48,
        (DecodingKeyKind::SecretOrDer(key), _) => key.len() == 32,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for good in [
            "https://issuer.example/keys",
            "http://127.0.0.1:9000/keys",
            "http://[::1]/keys",
            "http://localhost/keys",
        ] {
            assert!(matches!(good.parse(), Ok(Source::Url(_))), "{good}");
        }
        assert!(matches!("keys/set.json".parse(), Ok(Source::File(_))));
        for bad in [
            "http://issuer.example/keys",
            "http://localhost.example/keys",
            "http://10.0.0.1/keys",
            "http://127.0.0.1.example/keys",
            "http://127.0.0.1@issuer.example/keys",
            "ftp://issuer.example/keys",
            "file:///keys",
        ] {
            assert_eq!(bad.parse::<Source>(), Err(BadSource::Insecure), "{bad}");
        }
        assert!(matches!(
            "https://".parse::<Source>(),
            Err(BadSource::NoUrl(_))
        ));
    }

    /// The public key of RFC 7515, appendix A.3: P-256.
    fn ec() -> Value {
        json!({"kty": "EC", "crv": "P-256", "kid": "1",
               "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
               "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut key = ec();
        key[name] = value;
        key
    }

    #[test]
    fn a_keys_algorithm_is_its_own_kinds() {
        assert_eq!(usable(ec()).unwrap().1.algorithm, Algorithm::ES256);
        assert!(usable(with("alg", json!("ES256"))).is_some());
        assert!(usable(with("use", json!("sig"))).is_some());
        for (name, value) in [
            ("alg", json!("HS256")),
            ("alg", json!("RS256")),
            ("alg", json!("ES384")),
            ("alg", json!("none")),
            ("use", json!("enc")),
            ("key_ops", json!(["sign"])),
            ("crv", json!("P-521")),
            ("crv", json!("Ed25519")),
            ("kty", json!("OKP")),
            ("kid", json!(null)),
            ("x", json!("not base64!")),
            ("x", json!("c2hvcnQ")),
        ] {
            assert!(
                usable(with(name, value.clone())).is_none(),
                "{name} {value}"
            );
        }
        let secret = json!({"kty": "oct", "kid": "1", "k": "c2VjcmV0", "alg": "HS256"});
        assert!(usable(secret).is_none());
        let short = json!({"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "c2hvcnQ"});
        assert!(usable(short).is_none());
        // An RSA key of 1024 bits.
        let weak = json!({"kty": "RSA", "kid": "1", "e": "AQAB", "n": "v".repeat(171)});
        assert!(usable(weak).is_none());
    }

    #[test]
    fn one_bad_key_spoils_no_other_and_two_of_one_name_are_none() {
        let text = |keys: Value| json!({"keys": keys}).to_string().into_bytes();
        let set = json!([ec(), {"kty": "quantum"}, 7, with("kid", json!("2"))]);
        assert_eq!(parse(&text(set)).unwrap().len(), 2);
        let set = json!([ec(), ec(), with("kid", json!("2"))]);
        let keys = parse(&text(set)).unwrap();
        assert!(keys.contains_key("2") && keys.len() == 1);
        assert!(matches!(parse(&text(json!([]))), Err(Unread::NoKeys)));
        assert!(matches!(parse(b"<html>"), Err(Unread::NoSet(_))));
    }
}
