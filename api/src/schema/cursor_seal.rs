//! Seals of cursors. A seal binds a cursor to its list and order, so that another list refuses it instead of skipping
//! rows. It is no secret: it prevents mistakes, and clients gain nothing by forging it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The bytes of a seal: two lists share one by a chance of 1 to 16 million.
const BYTES: usize = 3;

/// The seal of the cursors of one list in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorSeal(String);

impl CursorSeal {
    /// The seal of a list, named by its path, with the parameters that order it.
    #[must_use]
    pub fn of(list: &str, order: &[Option<String>]) -> Self {
        let mut hash = Sha256::new_with_prefix(list);
        for parameter in order {
            hash.update([0]);
            hash.update(parameter.as_deref().unwrap_or_default());
        }
        let hash = hash.finalize();
        Self(BASE64_URL_SAFE_NO_PAD.encode(&hash[..BYTES]))
    }

    /// The cursor with the seal.
    #[must_use]
    pub fn put_on(&self, cursor: &str) -> String {
        format!("{}{cursor}", self.0)
    }

    /// The cursor without the seal; `None` if it has another.
    #[must_use]
    pub fn take_off<'a>(&self, cursor: &'a str) -> Option<&'a str> {
        cursor.strip_prefix(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_list_and_order() {
        let by = |text: &str| vec![Some(text.to_owned()), None];
        let own = CursorSeal::of("/api/orders", &by("due_at"));
        let sealed = own.put_on("abc");
        assert_eq!(own.take_off(&sealed), Some("abc"));
        assert_eq!(own.take_off("abc"), None);
        for other in [
            CursorSeal::of("/api/payments", &by("due_at")),
            CursorSeal::of("/api/orders", &by("created_at")),
            CursorSeal::of("/api/orders", &[None, Some("due_at".to_owned())]),
            CursorSeal::of("/api/orders", &[None, None]),
        ] {
            assert_eq!(other.take_off(&sealed), None, "{other:?}");
        }
    }
}
