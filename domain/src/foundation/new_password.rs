//! New passwords: their permitted length, and the reasons why one is rejected.

use super::secret::Secret;
use super::unicode;

/// A password of a permitted length, in normalization form KC. Its debug output hides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPassword(Secret);

/// The reason why a password is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Too short or too long: see [`NewPassword::MIN`] and [`NewPassword::MAX`].
    #[error(
        "must have from {} to {} characters",
        NewPassword::MIN,
        NewPassword::MAX
    )]
    Length,
    /// Found among the guesses that an attacker tries first.
    #[error(
        "is too easy to guess: use several unrelated words, and neither the e-mail address nor the business's name"
    )]
    Guessable,
    /// The present password.
    #[error("must differ from the present password")]
    Unchanged,
}

impl NewPassword {
    /// The fewest characters, after normalization.
    pub const MIN: usize = 8;
    /// The most characters, after normalization.
    pub const MAX: usize = 128;

    /// Checks the length of a password. [`crate::identity::passwords::Passwords::hash`] checks how easily it is
    /// guessed, since it knows the user.
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

    /// Whether this is the password, as somebody types it.
    pub(crate) fn is(&self, typed: &Secret) -> bool {
        self.0.reveal() == unicode::nfkc(typed.reveal())
    }

    /// The normalized password.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }
}
