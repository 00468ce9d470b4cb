//! Passwords: which are good enough, and hashing them off the async threads, a bounded number at once.

use std::sync::{Arc, OnceLock};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use entity::users::PasswordHash;
use tokio::sync::Semaphore;

use crate::Error;
use crate::secret::Secret;

/// How many passwords are hashed at once. Each takes 19 MiB and some 20 ms of a core: more at once would only let a
/// flood of logins take memory and cores from sales.
const AT_ONCE: usize = 2;

/// How many wait for their turn, about a second. Who comes then is told to come back.
const WAITING: usize = 128;

/// The commonest 5,000 passwords of at least eight characters, in lower case and sorted. From Mark Burnett's ten
/// million passwords, which are in the public domain, by their counts in Dropbox's zxcvbn.
static COMMONEST: &str = include_str!("commonest_passwords.txt");

/// A password that a user may choose. Its debug output does not show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPassword(Secret);

/// Why a password is not good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Too short, or longer than anyone types.
    #[error(
        "must have from {} to {} characters",
        NewPassword::MIN,
        NewPassword::MAX
    )]
    Length,
    /// Among the first that anyone tries.
    #[error("is one of the commonest passwords")]
    Common,
}

impl NewPassword {
    /// The fewest characters.
    pub const MIN: usize = 8;
    /// The most characters.
    pub const MAX: usize = 128;

    /// Takes a password that is good enough.
    ///
    /// # Errors
    /// See [`WeakPassword`].
    pub fn new(text: &str) -> Result<Self, WeakPassword> {
        if !(Self::MIN..=Self::MAX).contains(&text.chars().count()) {
            return Err(WeakPassword::Length);
        }
        if is_common(&text.to_lowercase()) {
            return Err(WeakPassword::Common);
        }
        Ok(Self(Secret::from(text.to_owned())))
    }
}

fn is_common(lower: &str) -> bool {
    static LINES: OnceLock<Vec<&str>> = OnceLock::new();
    let lines = LINES.get_or_init(|| COMMONEST.lines().collect());
    lines.binary_search(&lower).is_ok()
}

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
    permits: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Passwords {
    /// The hash to keep of this password.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    pub async fn hash(&self, password: &NewPassword) -> Result<PasswordHash, Error> {
        let NewPassword(password) = password.clone();
        self.run(move || hash(password.reveal())).await
    }

    /// Compares with the hash, or with one that nothing matches, in the same time.
    pub(crate) async fn matches(
        &self,
        password: Secret,
        hash: Option<PasswordHash>,
    ) -> Result<bool, Error> {
        self.run(move || {
            let hash = match &hash {
                Some(hash) => &hash.0,
                None => no_ones_hash()?,
            };
            let password = password.reveal().as_bytes();
            Ok(argon2().verify_password(password, hash).is_ok())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _place = self
            .places
            .try_acquire()
            .map_err(|_none_left| Error::Overloaded)?;
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|closed| Error::Bug(closed.to_string()))?;
        // The permit goes along: a client that leaves does not end the work, which still takes its memory and its core.
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(|panic| Error::Bug(panic.to_string()))?
    }
}

/// Argon2id as OWASP recommends it: 19 MiB of memory, two passes, one lane. They are the crate's defaults.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
fn argon2() -> Argon2<'static> {
    Argon2::default()
}

/// Hashes a password, with a salt of its own. Takes some 20 ms of a core.
pub(crate) fn hash(password: &str) -> Result<PasswordHash, Error> {
    argon2()
        .hash_password(password.as_bytes())
        .map(|hash| PasswordHash(hash.to_string()))
        .map_err(|error| Error::Bug(error.to_string()))
}

/// The hash of something that no one knows.
fn no_ones_hash() -> Result<&'static str, Error> {
    static HASH: OnceLock<String> = OnceLock::new();
    if let Some(hash) = HASH.get() {
        return Ok(hash);
    }
    let made = hash(&uuid::Uuid::now_v7().to_string())?;
    Ok(HASH.get_or_init(|| made.0))
}

#[cfg(test)]
mod tests {
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
    fn the_commonest_are_refused_in_any_case_and_the_list_is_sorted() {
        assert!(COMMONEST.lines().is_sorted());
        assert!(COMMONEST.lines().all(|line| line == line.to_lowercase()));
        for common in ["password", "PassWord1", "12345678", "qwertyuiop"] {
            assert_eq!(NewPassword::new(common), Err(WeakPassword::Common));
        }
        assert!(NewPassword::new("correct horse").is_ok());
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
        ] {
            assert_eq!(NewPassword::new(&text).is_ok(), good, "{text}");
        }
        let password = NewPassword::new("correct horse").unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }

    #[tokio::test]
    async fn more_than_can_wait_are_told_to_come_back() {
        let passwords = Passwords::default();
        let _all = Arc::clone(&passwords.places)
            .acquire_many_owned(u32::try_from(AT_ONCE + WAITING).unwrap())
            .await
            .unwrap();
        let refused = passwords.matches(Secret::from(String::new()), None).await;
        assert!(matches!(refused, Err(Error::Overloaded)), "{refused:?}");
    }
}
