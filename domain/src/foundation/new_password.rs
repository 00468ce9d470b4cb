//! A password to be, of a length that may be, and why one is not good enough.

use super::secret::Secret;
use super::unicode;

/// A password that a user may choose, in normalization form KC. Its debug output does not show it.
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
    #[error(
        "is too easy to guess: use several unrelated words, and neither the e-mail address nor the business's name"
    )]
    Guessable,
}

impl NewPassword {
    /// The fewest characters.
    pub const MIN: usize = 8;
    /// The most characters.
    pub const MAX: usize = 128;

    /// Takes a password whose length is good. How easily it is guessed is judged by [`crate::identity::passwords::Passwords::hash`], which knows whose
    /// it is.
    ///
    /// # Errors
    /// [`WeakPassword::Length`].
    pub fn new(text: &str) -> Result<Self, WeakPassword> {
        let normal = unicode::nfkc(text);
        if !(Self::MIN..=Self::MAX).contains(&normal.chars().count()) {
            return Err(WeakPassword::Length);
        }
        Ok(Self(Secret::from(normal.into_owned())))
    }

    /// The password itself.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }
}
