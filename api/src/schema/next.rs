//! The page to which a login returns: a path of the same store or back office, never another site.

/// The name of the parameter and of the form's field.
pub const NEXT: &str = "next";

/// The most characters.
const MAX_CHARS: usize = 2000;

/// A path with its query, in the store or the back office of one business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next(String);

impl Next {
    /// The target, if it is in this area, such as `/shop`, of the business with this slug.
    ///
    /// Browsers read a backslash as a slash, and drop tabs and line breaks, so only visible ASCII without backslashes is
    /// accepted.
    #[must_use]
    pub fn of(target: &str, area: &str, slug: &str) -> Option<Self> {
        let rest = target.strip_prefix(&format!("{area}/{slug}"))?;
        let is_inside = rest.is_empty() || rest.starts_with(['/', '?']);
        let is_plain = target
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        (is_inside && is_plain && target.len() <= MAX_CHARS).then(|| Self(target.to_owned()))
    }

    /// The path with its query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.0
    }

    /// The target as a parameter of a query.
    #[must_use]
    pub fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair(NEXT, &self.0)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::endpoint::{OFFICE, SHOP};

    #[test]
    fn a_login_leads_nowhere_but_to_its_own_store() {
        for inside in [
            "/shop/acme",
            "/shop/acme?q=a%20b",
            "/shop/acme/orders?status=paid&cursor=x",
            "/shop/acme//x",
        ] {
            let next = Next::of(inside, SHOP, "acme").unwrap();
            assert_eq!(next.target(), inside);
        }
        for outside in [
            "",
            "/",
            "//evil.example",
            "https://evil.example/shop/acme",
            "/shop/acmes",
            "/shop/acme@evil.example",
            "/shop/acme#x",
            "/shop/globex",
            "/shop",
            "/office/acme",
            "\\\\evil.example",
            "/shop/acme/\\evil.example",
            "/shop/acme/\nSet-Cookie: x",
            "/shop/acme/ x",
            "/shop/acme/é",
            " /shop/acme",
            "javascript:alert(1)",
        ] {
            assert_eq!(Next::of(outside, SHOP, "acme"), None, "{outside}");
        }
        assert!(Next::of("/office/acme/orders", OFFICE, "acme").is_some());
        assert_eq!(Next::of("/shop/acme", OFFICE, "acme"), None);
        let long = format!("/shop/acme/{}", "x".repeat(MAX_CHARS));
        assert_eq!(Next::of(&long, SHOP, "acme"), None);
    }

    #[test]
    fn a_target_survives_the_way_through_a_query() {
        let next = Next::of("/shop/acme?q=a&b=%26+c", SHOP, "acme").unwrap();
        assert_eq!(next.query(), "next=%2Fshop%2Facme%3Fq%3Da%26b%3D%2526%2Bc");
        let query = next.query();
        let (_, back) = form_urlencoded::parse(query.as_bytes()).next().unwrap();
        assert_eq!(Next::of(&back, SHOP, "acme"), Some(next));
    }
}
