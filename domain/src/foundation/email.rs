//! E-mail addresses: which texts are valid, and which spellings are the same mailbox.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use crate::foundation::unicode;

/// The longest address in bytes, by RFC 5321.
pub const MAX_BYTES: usize = 254;
/// The longest local part in bytes, by RFC 5321.
const MAX_LOCAL_BYTES: usize = 64;

/// The canonical spelling of an address; `None` if it is invalid. The result is trimmed, in normalization form C and
/// lower case, with the domain in its DNS form. Only a delivered message proves an address, so every mailbox and
/// domain that needs no quotes is accepted.
#[must_use]
pub fn canonical(text: &str) -> Option<String> {
    let (local, domain) = text.trim().rsplit_once('@')?;
    let local = unicode::nfc(&unicode::nfc(local).to_lowercase()).into_owned();
    if local.len() > MAX_LOCAL_BYTES || !local.split('.').all(is_atom) {
        return None;
    }
    let domain = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .ok()?;
    // The last label of an IP address is a number; mail accepts those only in brackets.
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    if domain.rsplit('.').next().is_none_or(is_number) {
        return None;
    }
    let address = format!("{local}@{domain}");
    (address.len() <= MAX_BYTES).then_some(address)
}

/// The spelling for looking an address up: [`canonical`], or the form that accounts had before that rule.
#[must_use]
pub fn lookup_form(text: &str) -> String {
    canonical(text).unwrap_or_else(|| unicode::nfc(&text.to_lowercase()).into_owned())
}

/// Whether a part between the dots of a mailbox's name is valid.
fn is_atom(word: &str) -> bool {
    let good = |letter: char| match letter.is_ascii() {
        true => letter.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(letter),
        false => !letter.is_whitespace() && !letter.is_control() && !unicode::is_invisible(letter),
    };
    !word.is_empty() && word.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_mailbox_are_one_address() {
        for (typed, kept) in [
            ("Me@Example.com", "me@example.com"),
            (" me@example.com\n", "me@example.com"),
            ("rene\u{301}@example.com", "ren\u{e9}@example.com"),
            ("REN\u{c9}@example.com", "ren\u{e9}@example.com"),
            ("me@B\u{fc}cher.example", "me@xn--bcher-kva.example"),
            ("me@xn--bcher-kva.example", "me@xn--bcher-kva.example"),
            ("me@\u{ff45}xample\u{3002}com", "me@example.com"),
            ("a+tag@localhost", "a+tag@localhost"),
            ("o'neil!#$%&*/=?^_`{|}~-@x.y", "o'neil!#$%&*/=?^_`{|}~-@x.y"),
        ] {
            assert_eq!(canonical(typed).as_deref(), Some(kept), "{typed:?}");
            assert_eq!(canonical(kept).as_deref(), Some(kept), "{kept:?}");
        }
    }

    #[test]
    fn text_that_no_mail_can_be_sent_to_is_no_address() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.com", "b".repeat(64));
        let longest = format!("a@{}com", "b.".repeat(130));
        for bad in [
            "",
            "x",
            "@",
            "a@",
            "@b",
            "a@..",
            "a@.",
            "a@b..c",
            "a@.b",
            "a@b.",
            "a@-b.c",
            "a@b-.c",
            "a@b_c.d",
            "a@b c",
            "a b@c",
            "a@b@c",
            "a..b@c",
            ".a@c",
            "a.@c",
            "\"a b\"@c",
            "a(b)@c",
            "a,b@c",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "a\u{200b}@c",
            "a\u{202e}@c",
            "a@b\u{0}",
            "a\u{0}@b",
            "a\n@b",
            &long,
            &longer,
            &longest,
        ] {
            assert_eq!(canonical(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_address_of_before_the_rule_is_still_found() {
        assert_eq!(lookup_form("A..B@C"), "a..b@c");
        assert_eq!(lookup_form("Me@Example.com"), "me@example.com");
    }
}
