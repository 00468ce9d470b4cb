//! Passwords: strength, and hashing in a bounded number of threads outside the async runtime.
//!
//! A password is hashed in Unicode normalization form KC, so that all keyboards produce the same text. zxcvbn estimates
//! how easily it is guessed. That also runs outside the async threads, since it takes up to 50 ms of a core.

use std::borrow::Cow;
use std::sync::OnceLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use entity::users::PasswordHash;
use zxcvbn::{Score, zxcvbn};

use crate::Error;
use crate::foundation::bounded_work::BoundedWork;
use crate::foundation::new_password::{NewPassword, WeakPassword};
use crate::foundation::secret::{self, Secret};
use crate::foundation::unicode;

/// The maximum of concurrent hashes. Each takes 19 MiB and about 20 ms of a core. With more, a flood of logins would
/// take memory and cores from purchases.
const MAX_CONCURRENT: usize = 2;

/// The maximum of waiting requests, about 1 s of work. Further ones are rejected as overloaded.
const MAX_WAITING: usize = 128;

/// The number of characters of a password that are judged. The estimate's time grows faster than the square of the
/// length, and from 28 characters on its arithmetic can overflow.
const MAX_JUDGED_CHARS: usize = 24;

/// The minimal zxcvbn score: at least 10^8 guesses, which a slow hash makes expensive.
const MIN_SCORE: Score = Score::Three;

/// Judges the start of a password, given what is known about its user.
fn judge(password: &str, known: &[String]) -> Result<(), WeakPassword> {
    let beginning: String = password.chars().take(MAX_JUDGED_CHARS).collect();
    // People also use parts of their name.
    let words = known.iter().flat_map(|text| {
        text.split(|letter: char| !letter.is_alphanumeric())
            .chain([text.as_str()])
    });
    let words: Vec<&str> = words.filter(|word| word.chars().count() > 2).collect();
    if zxcvbn(&beginning, &words).score() < MIN_SCORE {
        return Err(WeakPassword::Guessable);
    }
    Ok(())
}

/// Hashes and verifies passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    work: BoundedWork,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            work: BoundedWork::new(MAX_CONCURRENT, MAX_WAITING),
        }
    }
}

impl Passwords {
    /// Hashes a new password. `known` is what others know about the user: address and names.
    ///
    /// # Errors
    /// [`Error::WeakPassword`] for one that is easily guessed with this knowledge; [`Error::Overloaded`].
    pub async fn hash(
        &self,
        password: &NewPassword,
        known: Vec<String>,
    ) -> Result<PasswordHash, Error> {
        let password = password.secret().clone();
        self.work
            .run(move || {
                judge(password.reveal(), &known).map_err(Error::WeakPassword)?;
                hash(password.reveal())
            })
            .await
    }

    /// The hash of a random text that nobody knows, for a user who must not log in.
    pub(crate) async fn unusable(&self) -> Result<PasswordHash, Error> {
        self.work.run(|| hash(secret::code().reveal())).await
    }

    /// Verifies a password against the hash, or against one that nothing matches, in the same time. Passwords stored
    /// before normalization match as typed.
    pub(crate) async fn matches(
        &self,
        password: Secret,
        hash: Option<PasswordHash>,
    ) -> Result<bool, Error> {
        self.work
            .run(move || {
                let hash = match &hash {
                    Some(hash) => &hash.0,
                    None => dummy_hash()?,
                };
                let matches = |text: &str| argon2().verify_password(text.as_bytes(), hash).is_ok();
                let typed = password.reveal();
                Ok(match unicode::nfkc(typed) {
                    Cow::Borrowed(normal) => matches(normal),
                    Cow::Owned(normal) => matches(&normal) || matches(typed),
                })
            })
            .await
    }
}

/// Argon2id as OWASP recommends it: 19 MiB of memory, two passes, one lane. These are the crate's defaults.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
fn argon2() -> Argon2<'static> {
    Argon2::default()
}

/// Hashes a password with its own salt. Takes about 20 ms of a core.
pub(crate) fn hash(password: &str) -> Result<PasswordHash, Error> {
    argon2()
        .hash_password(password.as_bytes())
        .map(|hash| PasswordHash(hash.to_string()))
        .map_err(|error| Error::Bug(error.to_string()))
}

/// The hash of a random text that nobody knows.
fn dummy_hash() -> Result<&'static str, Error> {
    static HASH: OnceLock<String> = OnceLock::new();
    if let Some(hash) = HASH.get() {
        return Ok(hash);
    }
    let made = hash(&uuid::Uuid::now_v7().to_string())?;
    Ok(HASH.get_or_init(|| made.0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn passwords_are_hashed_as_owasp_recommends() {
        let hash = hash("correct horse").unwrap();
        assert!(
            hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hash.0
        );
        assert!(
            !format!("{hash:?}").contains("argon2"),
            "debug output shows no hash"
        );
    }

    #[tokio::test]
    async fn only_the_right_password_matches() {
        let passwords = Passwords::default();
        let kept = hash("correct horse").unwrap();
        for (typed, kept, matches) in [
            ("correct horse", Some(kept.clone()), true),
            ("Correct horse", Some(kept), false),
            ("", None, false),
        ] {
            let typed = Secret::from(typed.to_owned());
            assert_eq!(passwords.matches(typed, kept).await.unwrap(), matches);
        }
    }

    #[test]
    fn passwords_that_are_guessed_first_are_refused() {
        let known = [
            "ada.lovelace@example.com",
            "ada.lovelace",
            "Ada Lovelace",
            "Initech",
        ];
        let known = known.map(str::to_owned);
        for weak in [
            "password",
            "PassWord1",
            "12345678",
            "qwertyuiop",
            "aaaaaaaa",
            "        ",
            "abcabcabc",
            "x7x7x7x7",
            "P@ssw0rd",
            "ada.lovelace@example.com",
            "ada.lovelace",
            "Lovelace1",
            "initech2024",
        ] {
            assert_eq!(judge(weak, &known), Err(WeakPassword::Guessable), "{weak}");
        }
        for good in [
            "correct horse",
            "hunter2 hunter2",
            "uw7Kq-rnx2Vb",
            "パスワードを変更する",
        ] {
            assert_eq!(judge(good, &known), Ok(()), "{good}");
        }
    }

    /// Covers what makes the estimate slow or its numbers large: substitutions, keyboard walks, dates, repetitions.
    #[test]
    fn every_password_that_is_long_enough_can_be_judged() {
        for part in [
            "4@8({[<6|!1|7$5+%",
            "12",
            "1qaz2wsx",
            "1/1/11",
            "p4ssw0rd",
            "a",
            "é",
            "741852963",
            "QwErTy",
            "\u{1f600}",
            "\u{0}",
        ] {
            let _ = judge(&part.repeat(128), &[]);
        }
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_it_is_typed_and_old_hashes_stay_good() {
        let passwords = Passwords::default();
        let new = NewPassword::new("caf\u{e9} \u{ff21}\u{ff22} 12 horses").unwrap();
        let kept = passwords.hash(&new, Vec::new()).await.unwrap();
        let old = hash("cafe\u{301} horses").unwrap();
        for (typed, kept, matches) in [
            ("cafe\u{301} AB 12 horses", &kept, true),
            ("caf\u{e9} \u{ff21}\u{ff22} 12 horses", &kept, true),
            ("cafe AB 12 horses", &kept, false),
            ("cafe\u{301} horses", &old, true),
            ("caf\u{e9} horses", &old, false),
        ] {
            let typed = Secret::from(typed.to_owned());
            let found = passwords.matches(typed, Some(kept.clone())).await.unwrap();
            assert_eq!(found, matches);
        }
    }

    #[test]
    fn a_password_has_from_8_to_128_characters_however_many_bytes_that_is() {
        for (text, good) in [
            ("x7".repeat(4), true),
            ("x7".repeat(4)[1..].to_owned(), false),
            ("x7".repeat(64), true),
            ("x7".repeat(64) + "x", false),
            ("é".repeat(128), true),
            ("é".repeat(7), false),
            ("e\u{301}".repeat(7), false),
            ("e\u{301}".repeat(128), true),
        ] {
            assert_eq!(NewPassword::new(&text).is_ok(), good, "{text}");
        }
        let password = NewPassword::new("correct horse").unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }

    #[tokio::test]
    async fn requests_beyond_the_queue_are_refused_as_overloaded() {
        let passwords = Passwords::default();
        let _all = Arc::clone(&passwords.work.places)
            .acquire_many_owned(u32::try_from(MAX_CONCURRENT + MAX_WAITING).unwrap())
            .await
            .unwrap();
        let refused = passwords.matches(Secret::from(String::new()), None).await;
        assert!(matches!(refused, Err(Error::Overloaded)), "{refused:?}");
    }
}
