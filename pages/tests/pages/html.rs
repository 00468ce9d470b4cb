//! Reads the tags of rendered pages. Enough for HTML whose attributes are quoted and escaped, as templates write it.

use std::collections::BTreeMap;

/// An opening tag with its attributes.
#[derive(Debug)]
pub(crate) struct Tag<'a> {
    pub(crate) name: &'a str,
    pub(crate) attributes: BTreeMap<&'a str, &'a str>,
    /// The text up to the next tag.
    pub(crate) text: &'a str,
}

impl<'a> Tag<'a> {
    pub(crate) fn has(&self, attribute: &str) -> bool {
        self.attributes.contains_key(attribute)
    }

    pub(crate) fn get(&self, attribute: &str) -> &'a str {
        self.attributes.get(attribute).copied().unwrap_or_default()
    }
}

/// All opening tags, in order.
pub(crate) fn tags(html: &str) -> Vec<Tag<'_>> {
    let pieces = html.split('<').skip(1);
    pieces
        .filter(|piece| piece.starts_with(|first: char| first.is_ascii_alphabetic()))
        .map(|piece| {
            let (inside, text) = piece.split_once('>').expect("a tag ends");
            let (name, rest) = inside.split_once([' ', '\n']).unwrap_or((inside, ""));
            Tag {
                name: name.trim_end_matches('/'),
                attributes: attributes(rest),
                text,
            }
        })
        .collect()
}

fn attributes(mut rest: &str) -> BTreeMap<&str, &str> {
    let mut found = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(|one: char| one.is_whitespace() || one == '/');
        if rest.is_empty() {
            return found;
        }
        let end = rest.find(|one: char| one == '=' || one.is_whitespace());
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        let Some(after) = after.strip_prefix('=') else {
            found.insert(name, "");
            rest = after;
            continue;
        };
        let quote = after.chars().next().expect("a value follows");
        assert!(matches!(quote, '"' | '\''), "{name} is quoted: {after}");
        let (value, after) = after[1..].split_once(quote).expect("a quote ends");
        assert!(found.insert(name, value).is_none(), "{name} stands twice");
        rest = after;
    }
}
