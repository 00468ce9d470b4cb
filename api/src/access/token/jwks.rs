//! Another issuer's public keys: read from a URL or a file, kept, and read again when they are old or when a token names
//! one that is not there.
//!
//! Anyone can write a token that names a key that nobody has. So such tokens have the keys read again at most once in
//! [`Pace::unknown_key`], all that come meanwhile wait for that one reading, and it has limits of time and size.
//! While the issuer does not answer, the keys that are known go on working, for a day.

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

/// How long the issuer may take to answer, all of it.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// How long it may take to be reached.
const CONNECT: Duration = Duration::from_secs(2);
/// How large a set of keys may be: one with certificates in it has some ten thousand bytes.
const SET_BYTES: usize = 256 * 1024;
/// How many keys are taken from a set.
const SET_KEYS: usize = 100;
/// Sizes of an RSA key's modulus, in bytes: shorter ones are weak (RFC 7518, 3.3), longer ones only cost time.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// How often the keys are read.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Keys of this age are read again in the background.
    pub refresh: Duration,
    /// After a reading that failed, the next one in the background comes sooner.
    pub retry: Duration,
    /// Tokens that name an unknown key have them read again at most once in this time.
    pub unknown_key: Duration,
    /// Keys of this age, which could not be read again all the while, are none any more.
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

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// At this address.
    Url(Url),
    /// In this file.
    File(PathBuf),
}

/// An address that keys must not come from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// Whoever is on the way could put its own keys in.
    #[error("must be https, or http on this machine itself (127.0.0.1, [::1] or localhost)")]
    Insecure,
    /// It is not a URL.
    #[error("is not a URL: {0}")]
    NoUrl(String),
}

impl std::str::FromStr for Source {
    type Err = BadSource;

    /// What has a scheme is a URL, the rest a file's path.
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

/// A key, and the one algorithm that it is for: never the one that a token asks for.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

type Keys = HashMap<String, Arc<Key>>;

/// What was read, and when the reading began.
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
    #[error("the answer has status {0}")]
    Status(reqwest::StatusCode),
    #[error("it has more than {SET_BYTES} bytes")]
    TooLarge,
    #[error("it is no set of keys: {0}")]
    NoSet(serde_json::Error),
    #[error(
        "none of its keys can be used: a key needs a kid, and a public RSA, P-256, P-384 or Ed25519 key"
    )]
    NoKeys,
    #[error("reading it has failed")]
    Panicked,
}

/// How the keys are read.
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
    /// Held while the keys are being read: one reading at a time.
    reading: tokio::sync::Mutex<()>,
    /// When a token with an unknown key last had them read.
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

    /// The key with this id.
    pub(super) async fn find(&self, kid: &str) -> Option<Arc<Key>> {
        if let Some(key) = self.inner.known(kid) {
            return Some(key);
        }
        if self.inner.asked_lately() {
            return None;
        }
        // A task of its own, which a client that goes away does not end: others wait for the same reading.
        let inner = Arc::clone(&self.inner);
        let reading = tokio::spawn(async move {
            let _one_at_a_time = inner.reading.lock().await;
            if inner.asked_lately() {
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

    /// Reads the keys again and again.
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
    tracing::warn!(%error, "the issuer's keys cannot be read; those that are known stay for a day");
}

impl Inner {
    fn known(&self, kid: &str) -> Option<Arc<Key>> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        let young = read.at.elapsed() < self.pace.oldest;
        read.keys.get(kid).filter(|_| young).cloned()
    }

    fn asked_lately(&self) -> bool {
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
            tracing::info!(keys = keys.len(), "the issuer has other keys than before");
        }
        *read = Arc::new(Known { keys, at });
        Ok(())
    }
}

fn client(url: &Url) -> Result<Client, reqwest::Error> {
    // A connection lives on the thread that opened it, and the next reading is half a minute away.
    client::client(url, CONNECT, ANSWER)
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
        if text.len() + chunk.len() > SET_BYTES {
            return Err(Unread::TooLarge);
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, Unread> {
    let mut text = Vec::new();
    let limit = SET_BYTES as u64 + 1;
    std::fs::File::open(path)?
        .take(limit)
        .read_to_end(&mut text)?;
    if text.len() > SET_BYTES {
        return Err(Unread::TooLarge);
    }
    Ok(text)
}

/// A set of keys as it is written. Each key is read by itself: one of a kind that is not known spoils no other.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

fn parse(text: &[u8]) -> Result<Keys, Unread> {
    let set: Set = serde_json::from_slice(text).map_err(Unread::NoSet)?;
    let mut keys = Keys::new();
    let mut twice = Vec::new();
    for value in set.keys.into_iter().take(SET_KEYS) {
        let Some((kid, key)) = usable(value) else {
            tracing::debug!("a key of the issuer's set is not used");
            continue;
        };
        if keys.insert(kid.clone(), Arc::new(key)).is_some() {
            twice.push(kid);
        }
    }
    // Which of two keys with one name is meant, nobody can say.
    for kid in twice {
        tracing::warn!(
            kid,
            "two keys of the issuer's set have one kid: neither is used"
        );
        keys.remove(&kid);
    }
    if keys.is_empty() {
        return Err(Unread::NoKeys);
    }
    Ok(keys)
}

/// A key that verifies signatures, with its name. Symmetric keys, keys for encryption, curves that are not known and
/// keys whose `alg` is not one of their kind are none.
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

/// Whether a key has as many bytes as its kind has. The library takes any number, and fails on them only when it
/// verifies.
fn has_its_size(algorithm: Algorithm, key: &DecodingKeyKind) -> bool {
    match (key, algorithm) {
        (DecodingKeyKind::RsaModulusExponent { n, .. }, _) => {
            RSA_BYTES.contains(&n.iter().skip_while(|byte| **byte == 0).count())
        }
        // A point: one byte, and two coordinates.
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
