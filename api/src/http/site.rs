//! The site that browsers see: its origin, the cookies of its sessions, and the requests of its own pages.

use std::net::SocketAddr;

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};

use crate::http::headers::WebOrigin;

/// The header in which a browser says where a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The longest time for which a browser keeps the cookie of a session. The session itself may end earlier.
const COOKIE_LIFE: Duration = Duration::days(30);

/// The site of this service.
#[derive(Debug, Clone)]
pub struct Site {
    origin: Option<WebOrigin>,
    is_https: bool,
}

impl Site {
    /// The site at this public URL. Without one, browsers reach it by plain HTTP if it listens on this machine only,
    /// otherwise through a proxy that terminates TLS.
    #[must_use]
    pub fn new(public_url: Option<WebOrigin>, listen: SocketAddr) -> Self {
        let is_https = match &public_url {
            Some(origin) => origin.is_https(),
            None => !listen.ip().is_loopback(),
        };
        Self {
            origin: public_url,
            is_https,
        }
    }

    /// Whether browsers reach the site by https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Whether a request that changes something comes from a page of this site.
    ///
    /// Browsers send `Sec-Fetch-Site`, and older ones `Origin`. A request without either is refused.
    #[must_use]
    pub fn sent(&self, headers: &HeaderMap) -> bool {
        let one = |name: HeaderName| {
            let mut values = headers.get_all(name);
            let value = values.next().map(|value| value.to_str().unwrap_or(""));
            match values.next() {
                Some(_) => Some(""),
                None => value,
            }
        };
        if let Some(from) = one(SEC_FETCH_SITE) {
            return from == "same-origin";
        }
        let Some(from) = one(ORIGIN) else {
            return false;
        };
        let is_public = self
            .origin
            .as_ref()
            .is_some_and(|origin| origin.as_str() == from);
        let host = from
            .strip_prefix("https://")
            .or_else(|| from.strip_prefix("http://"));
        is_public || host.is_some_and(|host| !host.is_empty() && one(HOST) == Some(host))
    }

    /// The absolute address of a path, for a browser that leaves the site and is sent back. Without a public URL, it has
    /// the host of the request. `None` if that is missing.
    #[must_use]
    pub fn absolute(&self, headers: &HeaderMap, path: &str) -> Option<String> {
        if let Some(origin) = &self.origin {
            return Some(format!("{}{path}", origin.as_str()));
        }
        let host = headers.get(HOST)?.to_str().ok()?;
        let scheme = if self.is_https { "https" } else { "http" };
        Some(format!("{scheme}://{host}{path}"))
    }

    /// The name of the cookie with the session of this business. With the prefix, browsers take the cookie over HTTPS
    /// only, and from no other host.
    #[must_use]
    pub fn session_cookie(&self, slug: &str) -> String {
        self.name("tl", slug)
    }

    /// The name of the cookie with the cart of this business.
    #[must_use]
    pub fn cart_cookie(&self, slug: &str) -> String {
        self.name("tlcart", slug)
    }

    /// The name of the cookie with a notice for the next page.
    #[must_use]
    pub fn notice_cookie(&self, slug: &str) -> String {
        self.name("tlnotice", slug)
    }

    fn name(&self, what: &str, slug: &str) -> String {
        let prefix = if self.is_https { "__Host-" } else { "" };
        format!("{prefix}{what}-{slug}")
    }

    /// A cookie with this value, which scripts cannot read.
    #[must_use]
    pub fn cookie(&self, name: String, value: String) -> Cookie<'static> {
        Cookie::build(name, value)
            .path("/")
            .http_only(true)
            .secure(self.is_https)
            // A strict cookie would be absent when a bank sends a buyer back.
            .same_site(SameSite::Lax)
            .max_age(COOKIE_LIFE)
            .finish()
    }

    /// Removes a cookie.
    #[must_use]
    pub fn removal(&self, name: String) -> Cookie<'static> {
        let mut cookie = self.cookie(name, String::new());
        cookie.make_removal();
        cookie
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn site(public_url: Option<&str>, listen: &str) -> Site {
        let origin = public_url.map(|text| text.parse().unwrap());
        Site::new(origin, listen.parse().unwrap())
    }

    fn is_sent(site: &Site, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        site.sent(&map)
    }

    #[test]
    fn only_requests_of_the_own_pages_are_accepted() {
        let site = site(Some("https://shop.example"), "10.0.0.1:80");
        for own in [
            &[("sec-fetch-site", "same-origin")][..],
            &[("origin", "https://shop.example"), ("host", "10.0.0.1")],
            &[("origin", "http://10.0.0.1"), ("host", "10.0.0.1")],
            &[("origin", "http://[::1]:8080"), ("host", "[::1]:8080")],
        ] {
            assert!(is_sent(&site, own), "{own:?}");
        }
        for other in [
            &[][..],
            &[("host", "shop.example")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://shop.example"),
            ],
            &[
                ("sec-fetch-site", "same-site"),
                ("origin", "https://shop.example"),
            ],
            &[
                ("sec-fetch-site", "none"),
                ("origin", "https://shop.example"),
            ],
            &[("sec-fetch-site", "")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[("origin", "null"), ("host", "null")],
            &[("origin", "https://"), ("host", "")],
            &[("origin", "https://evil.example"), ("host", "shop.example")],
            &[
                ("origin", "https://shop.example.evil.example"),
                ("host", "shop.example"),
            ],
            &[("origin", "ftp://shop.example"), ("host", "shop.example")],
            &[
                ("origin", "http://shop.example:81"),
                ("host", "shop.example"),
            ],
            &[
                ("origin", "https://shop.example"),
                ("origin", "https://shop.example"),
            ],
            &[("origin", "http://a"), ("host", "a"), ("host", "b")],
        ] {
            assert!(!is_sent(&site, other), "{other:?}");
        }
    }

    #[test]
    fn cookies_are_secure_wherever_the_site_is_reached_by_https() {
        for (site, is_https) in [
            (site(Some("https://shop.example"), "127.0.0.1:1"), true),
            (site(Some("http://shop.example"), "0.0.0.0:1"), false),
            (site(None, "127.0.0.1:1"), false),
            (site(None, "[::1]:1"), false),
            (site(None, "0.0.0.0:1"), true),
        ] {
            let name = site.session_cookie("acme");
            assert_eq!(name == "__Host-tl-acme", is_https, "{name}");
            assert_eq!(name == "tl-acme", !is_https, "{name}");
            let text = site.cookie(name, "x".to_owned()).to_string();
            assert_eq!(text.contains("; Secure"), is_https, "{text}");
            for flag in ["; HttpOnly", "; SameSite=Lax", "; Path=/"] {
                assert!(text.contains(flag), "{text}");
            }
            assert!(!text.contains("Domain"), "{text}");
        }
    }
}
