//! Whether a webhook is Stripe's: its `Stripe-Signature` header has the time at which it was sent and HMACs of that and of
//! the body, to the byte (docs.stripe.com/webhooks/signature).

use domain::Secret;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far the time in a signature may be from ours, in seconds. Whoever has read a webhook on its way can send it again for
/// so long; that makes nothing twice, since each event is taken once.
const TOLERANCE: u64 = 300;

/// It is no good signature. Never said why: that would help to make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not valid")]
pub struct InvalidSignature;

/// What webhooks are signed with: one secret, or several while one takes the place of another.
#[derive(Clone)]
pub struct WebhookSecrets(Vec<Hmac<Sha256>>);

impl std::fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebhookSecrets({}, not shown)", self.0.len())
    }
}

impl WebhookSecrets {
    /// # Errors
    /// The library's; HMAC takes a key of any length.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Self, InvalidLength> {
        let keyed = |secret: &Secret| Hmac::new_from_slice(secret.reveal().as_bytes());
        secrets
            .into_iter()
            .map(keyed)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Checks the header of a webhook with this body, at this time (seconds since 1970).
    ///
    /// # Errors
    /// [`InvalidSignature`].
    pub fn verify(&self, header: &str, body: &[u8], now: i64) -> Result<(), InvalidSignature> {
        let signed = Signed::parse(header).ok_or(InvalidSignature)?;
        if signed.at.abs_diff(now) > TOLERANCE {
            return Err(InvalidSignature);
        }
        // All of them, so that the time that it takes tells nothing of which one fits.
        let fits = self.0.iter().fold(false, |fits, key| {
            let hmac = key.clone().chain_update(signed.time).chain_update(".");
            let hmac = hmac.chain_update(body);
            let any = signed.signatures.iter().fold(false, |any, signature| {
                any | hmac.clone().verify_slice(signature).is_ok()
            });
            fits | any
        });
        if fits { Ok(()) } else { Err(InvalidSignature) }
    }
}

/// What a header says.
struct Signed<'a> {
    /// The time as it is written, which is how it is signed.
    time: &'a str,
    at: i64,
    /// Those of the scheme that is looked at. Others, such as the `v0` of test events, are worth nothing.
    signatures: Vec<[u8; 32]>,
}

impl<'a> Signed<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let parts = || {
            header
                .split(',')
                .filter_map(|part| part.trim().split_once('='))
        };
        let mut times = parts().filter(|(name, _)| *name == "t");
        let (_, time) = times.next()?;
        if times.next().is_some() || !time.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let signatures = parts()
            .filter(|(name, _)| *name == "v1")
            .filter_map(|(_, signature)| bytes(signature));
        Some(Self {
            time,
            at: time.parse().ok()?,
            signatures: signatures.collect(),
        })
    }
}

/// The bytes that hexadecimal digits say.
fn bytes(hex: &str) -> Option<[u8; 32]> {
    let digits = hex.bytes().map(|byte| char::from(byte).to_digit(16));
    let digits = digits.collect::<Option<Vec<u32>>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;
    const BODY: &[u8] = br#"{"id": "evt_1"}"#;

    fn secrets(texts: &[&str]) -> WebhookSecrets {
        let texts: Vec<Secret> = texts
            .iter()
            .map(|text| Secret::from((*text).to_owned()))
            .collect();
        WebhookSecrets::new(&texts).unwrap()
    }

    fn hex(secret: &str, at: i64, body: &[u8]) -> String {
        let hmac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        let hmac = hmac.chain_update(format!("{at}.")).chain_update(body);
        let bytes = hmac.finalize().into_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn is_good(header: &str, body: &[u8]) -> bool {
        secrets(&["whsec_new", "whsec_old"])
            .verify(header, body, NOW)
            .is_ok()
    }

    #[test]
    fn a_signature_that_another_library_made_is_good() {
        // OpenSSL: printf '1700000000.{"id": "evt_1"}' | openssl dgst -sha256 -hmac whsec_new
        let header =
            "t=1700000000,v1=e8852b8fc73dd537655dffca7885106cd7ddc96a7a1a5ebdf65e3e447f4ed6a4";
        assert!(is_good(header, BODY));
    }

    #[test]
    fn any_secret_and_any_of_several_signatures_will_do() {
        let (new, old) = (hex("whsec_new", NOW, BODY), hex("whsec_old", NOW, BODY));
        let other = hex("whsec_other", NOW, BODY);
        for header in [
            format!("t={NOW},v1={new}"),
            format!("t={NOW},v1={old}"),
            format!("t={NOW},v1={other},v1={old}"),
            format!("v1={old}, t={NOW}"),
            format!("t={NOW},v0={other},v1={new},v2=xyz"),
            format!("t={NOW},v1=short,v1={new}"),
            format!("t={NOW},v1={}", new.to_uppercase()),
        ] {
            assert!(is_good(&header, BODY), "{header}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        let new = hex("whsec_new", NOW, BODY);
        let other = hex("whsec_other", NOW, BODY);
        let later = NOW + 1;
        for header in [
            String::new(),
            "t=,v1=".to_owned(),
            format!("t={NOW}"),
            format!("v1={new}"),
            format!("t={NOW},v1={other}"),
            format!("t={NOW},v0={new}"),
            format!("t={NOW},v1 ={new}"),
            // Signed is the time that is written.
            format!("t={later},v1={new}"),
            format!("t=0{NOW},v1={new}"),
            format!("t=+{NOW},v1={new}"),
            format!("t={NOW},t={NOW},v1={new}"),
            format!("t={NOW},v1={}", &new[1..]),
            format!("t={NOW},v1={new}0"),
            format!("t={NOW},v1={}", "0".repeat(64)),
            format!("t={NOW},v1={}", "é".repeat(32)),
            format!("t={NOW};v1={new}"),
        ] {
            assert!(!is_good(&header, BODY), "{header}");
        }
        let header = format!("t={NOW},v1={new}");
        assert!(!is_good(&header, br#"{"id": "evt_2"}"#));
        assert!(!is_good(&header, br#"{"id":"evt_1"}"#));
        assert!(!is_good(&header, b""));
        assert_eq!(
            secrets(&[]).verify(&header, BODY, NOW),
            Err(InvalidSignature)
        );
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_either_way() {
        for (at, good) in [
            (NOW - 300, true),
            (NOW - 301, false),
            (NOW + 300, true),
            (NOW + 301, false),
            (0, false),
            (i64::MAX, false),
        ] {
            let header = format!("t={at},v1={}", hex("whsec_new", at, BODY));
            assert_eq!(is_good(&header, BODY), good, "{at}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", secrets(&["whsec_new"]));
        assert_eq!(shown, "WebhookSecrets(1, not shown)");
    }
}
