//! What holds for the HTML of every screen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use crate::html::{Tag, tags};
use crate::samples;

/// Calls the check with the name, the HTML and the tags of every screen.
fn each(check: impl Fn(&str, &str, &[Tag<'_>])) {
    let all = samples::all();
    assert!(all.len() > 40, "{} screens", all.len());
    for (name, html) in &all {
        check(name, html, &tags(html));
    }
}

/// Writes every screen and the static files to `target/tmp/pages`, to be looked at in a browser.
#[test]
fn every_screen_is_written_to_a_folder() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    let _earlier = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (name, html) in samples::all() {
        fs::write(folder.join(format!("{name}.html")), html).unwrap();
    }
    for asset in pages::assets() {
        let path = folder.join(asset.path().trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &asset.bytes).unwrap();
    }
}

#[test]
fn hostile_names_are_text_and_nothing_else() {
    let mut seen = 0;
    for (name, html) in samples::all() {
        assert!(!html.contains("<script>alert"), "{name}");
        assert!(!html.contains("<img src=x"), "{name}");
        assert!(!html.contains("\"'>"), "{name}");
        seen += html.matches("&#60;script&#62;alert(1)").count();
    }
    assert!(seen > 50, "hostile names are on the screens: {seen}");
}

#[test]
fn no_page_has_a_script_or_a_style_of_its_own() {
    each(|name, html, tags| {
        for tag in tags {
            assert!(!tag.has("style"), "{name}: {tag:?}");
            assert_ne!(tag.name, "style", "{name}");
            let handler = tag.attributes.keys().find(|key| key.starts_with("on"));
            assert_eq!(handler, None, "{name}: {tag:?}");
            if tag.name == "script" {
                assert!(tag.has("src") && tag.text.is_empty(), "{name}: {tag:?}");
            }
            for address in ["href", "src", "action", "formaction"] {
                assert!(!tag.get(address).starts_with("javascript:"), "{name}");
            }
        }
        assert!(!html.contains("hx-on"), "{name}");
    });
}

#[test]
fn what_htmx_does_works_without_it() {
    let mut requests = 0;
    for (name, html) in samples::all() {
        for tag in tags(&html) {
            let evaluated = tag.attributes.iter().find(|(key, value)| {
                key.starts_with("hx-on")
                    || value.starts_with("js:")
                    || value.contains("every") && value.contains('[')
            });
            assert_eq!(evaluated, None, "{name}: needs unsafe-eval");
            let extra: Vec<&&str> = tag
                .attributes
                .keys()
                .filter(|key| key.starts_with("hx-"))
                .collect();
            if extra.is_empty() {
                continue;
            }
            match tag.name {
                "a" => assert_eq!(tag.get("href"), tag.get("hx-get"), "{name}: {tag:?}"),
                "form" => assert_eq!(tag.get("action"), tag.get("hx-get"), "{name}: {tag:?}"),
                // A stream changes what is there already.
                _ => assert!(
                    tag.has("sse-connect") && extra == [&"hx-ext"],
                    "{name}: {tag:?}"
                ),
            }
            if tag.has("hx-get") {
                requests += 1;
                let target = format!("id=\"{}\"", tag.get("hx-target").trim_start_matches('#'));
                assert!(html.contains(&target), "{name}: {tag:?}");
            }
        }
    }
    assert!(requests > 5);
}

#[test]
fn a_page_has_landmarks_and_headings_in_order() {
    each(|name, html, tags| {
        let count = |element: &str| tags.iter().filter(|tag| tag.name == element).count();
        // Plots have titles of their own.
        let (head, _) = html.split_once("</head>").unwrap();
        assert_eq!(head.matches("<title>").count(), 1, "{name}: title");
        for element in ["html", "main", "h1"] {
            assert_eq!(count(element), 1, "{name}: {element}");
        }
        assert_eq!(tags[0].get("lang"), "en", "{name}");
        let first = tags.iter().find(|tag| tag.name == "a").unwrap();
        assert_eq!(first.get("href"), "#main", "{name}: the skip link is first");
        let title = tags.iter().find(|tag| tag.name == "title").unwrap();
        assert!(!title.text.trim().is_empty(), "{name}");
        let headings = tags.iter().filter_map(|tag| match tag.name {
            "h1" => Some(1),
            "h2" => Some(2),
            "h3" => Some(3),
            _ => None,
        });
        // The summary of an error stands before the first heading, since it is read first.
        let mut before = 2;
        for level in headings {
            assert!(level <= before + 1, "{name}: h{level} after h{before}");
            before = level;
        }
        assert!(html.contains("color-scheme"), "{name}");
    });
}

#[test]
fn ids_are_unique_and_labels_lead_to_them() {
    each(|name, _, tags| {
        let mut ids = BTreeSet::new();
        for id in tags
            .iter()
            .filter(|tag| tag.has("id"))
            .map(|tag| tag.get("id"))
        {
            assert!(!id.contains(char::is_whitespace), "{name}: {id}");
            assert!(ids.insert(id), "{name}: {id} stands twice");
        }
        for tag in tags {
            for reference in ["for", "aria-labelledby", "aria-describedby", "form"] {
                for id in tag.get(reference).split_whitespace() {
                    assert!(ids.contains(id), "{name}: {reference}={id} leads nowhere");
                }
            }
            if tag.name == "a"
                && tag.get("href").starts_with('#')
                && !tag.get("href").contains("script")
            {
                let id = tag.get("href").trim_start_matches('#');
                assert!(ids.contains(id), "{name}: #{id} leads nowhere");
            }
        }
    });
}

#[test]
fn a_picture_has_its_size_and_a_text() {
    each(|name, _, tags| {
        for image in tags.iter().filter(|tag| tag.name == "img") {
            for attribute in ["alt", "width", "height", "src"] {
                assert!(image.has(attribute), "{name}: {image:?}");
            }
        }
    });
}

#[test]
fn an_uploaded_picture_is_loaded_in_the_size_that_fits() {
    let all = samples::all();
    let images = |screen: &str| {
        let (_, html) = all.iter().find(|(name, _)| *name == screen).unwrap();
        let images = tags(html).into_iter().filter(|tag| tag.name == "img");
        images.map(|tag| tag.attributes.clone()).collect::<Vec<_>>()
    };
    let own = &images("product-pictured")[0];
    let address = own["src"].strip_suffix("/960").unwrap();
    assert_eq!(
        own["srcset"],
        format!("{address}/96 96w, {address}/320 320w, {address}/960 960w")
    );
    assert_eq!((own["width"], own["height"]), ("960", "720"));
    assert_eq!(own["alt"], "Wireless headphones");
    assert!(!own.contains_key("loading"));
    let cards = images("catalogue-pictured");
    let lazy = |card: &BTreeMap<&str, &str>| card.contains_key("loading");
    let first_lazy = cards.iter().position(lazy);
    assert_eq!(
        first_lazy,
        Some(8),
        "what is seen at once is loaded at once"
    );
    assert!(cards.iter().skip(8).all(lazy));
}

#[test]
fn a_neutral_picture_has_no_text_and_one_of_the_demo_has_its_products_name() {
    let all = samples::all();
    let (_, html) = all.iter().find(|(name, _)| *name == "catalogue").unwrap();
    let mut seen = 0;
    for image in tags(html).iter().filter(|tag| tag.name == "img") {
        let is_neutral = image.get("src").ends_with("#none");
        assert_eq!(image.get("alt").is_empty(), is_neutral, "{image:?}");
        seen += usize::from(is_neutral);
    }
    assert_eq!(seen, 1);
}

#[test]
fn a_form_that_changes_something_has_a_key_and_is_sent_once() {
    each(|name, html, _| {
        for form in html.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            let opening = form.split('>').next().unwrap();
            if !opening.contains("method=\"post\"") || opening.contains("/logout\"") {
                continue;
            }
            assert!(
                form.contains("name=\"idempotency_key\" value=\"7f3c"),
                "{name}: {form}"
            );
            assert!(
                opening.contains("data-once") || opening.contains("hidden"),
                "{name}: {opening}"
            );
        }
    });
}

#[test]
fn passwords_are_never_in_a_page() {
    each(|name, html, tags| {
        assert!(!html.contains("must never be shown"), "{name}");
        for tag in tags.iter().filter(|tag| tag.get("type") == "password") {
            assert!(!tag.has("value"), "{name}: {tag:?}");
        }
    });
}

#[test]
fn every_address_stays_on_the_server_but_the_script_of_stripe() {
    each(|name, _, tags| {
        for tag in tags {
            for address in [
                "href",
                "src",
                "action",
                "formaction",
                "hx-get",
                "sse-connect",
            ] {
                let value = tag.get(address);
                let own =
                    value.is_empty() || value.starts_with(['/', '#']) && !value.starts_with("//");
                let stripe = name == "pay-stripe" && value == "https://js.stripe.com/v3/";
                assert!(own || stripe, "{name}: {tag:?}");
            }
        }
    });
}
