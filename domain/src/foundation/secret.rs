//! Secrets that this service issues: a prefix, the id of the business, and 256 random bits.
//!
//! The text contains the business so that the look-up can run under that business's row security. Only a SHA-256 is
//! stored. With 256 random bits nothing can be guessed, so a slow hash would only cost time.
//!
//! Codes are secrets that people read out and type. They have 125 random bits and name no business.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entity::BusinessId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The lengths of 16 and of 32 bytes in unpadded Base64.
const BUSINESS_CHARS: usize = 22;
const RANDOM_CHARS: usize = 43;

/// The visible characters of the random part: 48 bits, enough to tell keys apart; 208 bits stay hidden.
const VISIBLE_CHARS: usize = 8;

/// A text that must not be logged. Its debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text in the clear.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

/// The prefix of a kind of secret. Kinds cannot be confused, and leak scanners recognise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) &'static str);

impl Kind {
    /// Makes a new secret for this business.
    pub(crate) fn make(self, business: BusinessId) -> Secret {
        let mut text = self.0.to_owned();
        URL_SAFE_NO_PAD.encode_string(business.0.as_bytes(), &mut text);
        URL_SAFE_NO_PAD.encode_string(rand::random::<[u8; 32]>(), &mut text);
        Secret(text)
    }

    /// The business that the text names; `None` if it lacks this kind's form. It does not prove that the secret
    /// exists.
    pub(crate) fn business_of(self, text: &str) -> Option<BusinessId> {
        let rest = text.strip_prefix(self.0)?;
        if rest.len() != BUSINESS_CHARS + RANDOM_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(rest.get(..BUSINESS_CHARS)?).ok()?;
        Uuid::from_slice(&bytes).ok().map(BusinessId)
    }

    /// The start of the text, by which users recognise the key.
    pub(crate) fn start_of(self, secret: &Secret) -> String {
        let length = self.0.len() + BUSINESS_CHARS + VISIBLE_CHARS;
        secret.0.chars().take(length).collect()
    }
}

/// The hash of a secret that is stored.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Crockford's Base32: no letter that is taken for a digit or for another letter.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The letters of a code: five groups of five.
const CODE: usize = 25;
const GROUP: usize = 5;

/// Makes a new code: `7ZK4M-…`.
pub(crate) fn code() -> Secret {
    let random = rand::random::<[u8; CODE]>();
    let letters = random
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(byte % 32)));
    let mut text = String::with_capacity(CODE + CODE / GROUP);
    for (place, letter) in letters.enumerate() {
        if place > 0 && place % GROUP == 0 {
            text.push('-');
        }
        text.push(char::from(*letter));
    }
    Secret(text)
}

/// The hash of a code that is stored. Case, spaces and hyphens do not count, and look-alikes are one letter.
pub(crate) fn hash_of_code(code: &Secret) -> [u8; 32] {
    let letters = code.0.chars().filter(|letter| letter.is_alphanumeric());
    let letters = letters.map(|letter| match letter.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        letter => letter,
    });
    hash(&letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind("tl_test_");

    #[test]
    fn a_secret_names_its_business_and_no_two_are_the_same() {
        let business = BusinessId::new();
        let (one, two) = (KIND.make(business), KIND.make(business));
        assert_ne!(one, two);
        assert_eq!(KIND.business_of(one.reveal()), Some(business));
        assert!(one.reveal().starts_with(&KIND.start_of(&one)));
        assert_eq!(KIND.start_of(&one).len(), 8 + 22 + 8);
        assert_ne!(KIND.start_of(&one), KIND.start_of(&two));
    }

    #[test]
    fn text_of_another_form_names_no_business() {
        let good = KIND.make(BusinessId::new());
        let good = good.reveal();
        for text in [
            "",
            "tl_test_",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}x"),
            &good.replace("tl_test_", "tl_live_"),
            &good.replacen("tl_test_", "tl_test_é", 1),
            &format!("tl_test_{}", "é".repeat(32) + "x"),
            &format!("tl_test_{}", "!".repeat(65)),
        ] {
            assert_eq!(KIND.business_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_code_has_125_random_bits_and_is_the_same_however_it_is_typed() {
        let one = code();
        let text = one.reveal();
        assert_eq!(text.len(), 29);
        assert_eq!(text.matches('-').count(), 4);
        assert_ne!(one, code());
        let of = |text: String| hash_of_code(&Secret(text));
        for typed in [
            text.to_lowercase(),
            text.replace('-', ""),
            text.replace('-', " "),
            format!(" {text}\n"),
            text.replace('0', "O").replace('1', "l"),
        ] {
            assert_eq!(of(typed.clone()), of(text.to_owned()), "{typed}");
        }
        assert_ne!(of(text[1..].to_owned()), of(text.to_owned()));
    }

    #[test]
    fn no_secret_is_shown() {
        let secret = KIND.make(BusinessId::new());
        assert_eq!(format!("{secret:?}"), "Secret(not shown)");
    }
}
