//! URLs of pictures at other servers.

use utoipa::openapi::{RefOr, Schema};

use crate::schema::text::{FromText, string};

/// The most characters.
const LENGTH: usize = 2_048;

/// The characters of a URL (RFC 3986) besides letters and digits.
const SIGNS: &[u8] = b"-._~:/?#[]@!$&'()*+,;=%";

/// The URL of a picture, as it is written: `https`, or `http` where the service itself is reached by `http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUrl(pub String);

impl ImageUrl {
    /// Why a site that is reached by https cannot take the URL: browsers load no picture by http into its pages. `None` if
    /// it can.
    #[must_use]
    pub fn fault_at(&self, is_https: bool) -> Option<&'static str> {
        let is_plain = self.0.starts_with("http://");
        (is_https && is_plain).then_some("must begin with https://")
    }
}

impl FromText for ImageUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.len() > LENGTH {
            return Err(format!("must have at most {LENGTH} characters"));
        }
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || SIGNS.contains(&byte);
        if !text.bytes().all(is_known) {
            return Err(
                "must have the characters of a URL only, all others as % and two digits".to_owned(),
            );
        }
        let rest = text.strip_prefix("https://");
        let rest = rest.or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or_else(|| "must begin with https://".to_owned())?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("must not have a user or a password".to_owned());
        }
        if !names_host(authority) {
            return Err("must have a host, such as https://cdn.example/headphones.jpg".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn schema() -> RefOr<Schema> {
        string()
            .max_length(Some(LENGTH))
            .pattern(Some(
                r"^https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?([/?#][A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?$",
            ))
            .into()
    }
}

/// Whether this is a name or an IPv4 address, with or without a port.
fn names_host(authority: &str) -> bool {
    let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let is_host = begins && name.bytes().all(is_name);
    let is_port = match port.strip_prefix(':') {
        Some(digits) => {
            (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => port.is_empty(),
    };
    is_host && is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_url_of_the_web_without_a_user() {
        for good in [
            "https://cdn.example/headphones.jpg",
            "https://cdn.example",
            "https://cdn.example:8443/a%20b.jpg?w=1&h=2#top",
            "http://localhost:5173/a.png",
            "https://cdn.example/@2x/a.png",
        ] {
            assert_eq!(ImageUrl::from_text(good), Ok(ImageUrl(good.to_owned())));
        }
        for bad in [
            "",
            "cdn.example/a.jpg",
            "//cdn.example/a.jpg",
            "HTTPS://cdn.example/a.jpg",
            "ftp://cdn.example/a.jpg",
            "javascript:alert(1)",
            "data:image/png;base64,AAAA",
            "https://",
            "https:///a.jpg",
            "https://:443/a.jpg",
            "https://user@cdn.example/a.jpg",
            "https://user:secret@cdn.example/a.jpg",
            "https://cdn.example\\@evil.example/a.jpg",
            "https://cdn.example/a b.jpg",
            "https://cdn.example/\"><script>",
            "https://cdn.example;script-src/a.jpg",
            "https://cdn.example:port/a.jpg",
            "https://cdn.example:/a.jpg",
            "https://[F]/a.jpg",
            "https://[2001:db8::1/a.jpg",
            "https://-cdn.example/a.jpg",
            "https://münchen.example/a.jpg",
            "https://cdn.example/a.jpg\n",
        ] {
            assert!(ImageUrl::from_text(bad).is_err(), "{bad}");
        }
        let long = format!("https://cdn.example/{}", "a".repeat(2028));
        assert!(ImageUrl::from_text(&long).is_ok());
        assert!(ImageUrl::from_text(&format!("{long}a")).is_err());
    }

    #[test]
    fn a_site_by_https_takes_pictures_by_https_only() {
        let url = |text: &str| ImageUrl::from_text(text).unwrap();
        assert!(url("http://cdn.example/a.jpg").fault_at(true).is_some());
        assert_eq!(url("http://cdn.example/a.jpg").fault_at(false), None);
        assert_eq!(url("https://cdn.example/a.jpg").fault_at(true), None);
    }
}
