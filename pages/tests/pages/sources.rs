//! What holds for the templates and the static files.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha384};

use crate::samples;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn compressed(bytes: &[u8]) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().len()
}

#[test]
fn templates_escape_everything_and_have_no_code() {
    let templates = files(&folder("templates"));
    assert!(templates.len() > 15, "{templates:?}");
    for path in templates {
        let text = fs::read_to_string(&path).unwrap();
        let banned = [
            "|safe",
            "| safe",
            "|escape",
            "style=",
            "<style",
            "<script>",
            "javascript:",
            "hx-on",
            "{% raw",
            "autoescape",
        ];
        for banned in banned {
            assert!(!text.contains(banned), "{}: {banned}", path.display());
        }
    }
}

#[test]
fn only_templates_are_printed_as_they_are() {
    let mut types = 0;
    for path in files(&folder("src")) {
        let text = fs::read_to_string(&path).unwrap();
        for part in text.split("impl HtmlSafe for ").skip(1) {
            let name = part.split(' ').next().unwrap();
            let (before, _) = text.split_once(&format!("struct {name} {{")).unwrap();
            let item = before.rsplit("\n\n").next().unwrap();
            assert!(item.contains("Template)]"), "{name} is no template");
            types += 1;
        }
    }
    assert!(types >= 5, "{types}");
}

#[test]
fn vendored_files_are_the_published_ones() {
    let files = [
        (
            "htmx-2.0.11.min.js",
            "2OatzQy1H+Zd/IIrjr1TcuDGqLXeHhbooAyJY1KdQMKnr4LZ22k31GBLdYKHmVjg",
        ),
        (
            "htmx-ext-sse-2.2.4.min.js",
            "A986SAtodyH8eg8x8irJnYUk7i9inVQqYigD6qZ9evobksGNIXfeFvDwLSHcp31N",
        ),
    ];
    for (name, expected) in files {
        let bytes = fs::read(folder("static/vendor").join(name)).unwrap();
        assert_eq!(
            BASE64_STANDARD.encode(Sha384::digest(&bytes)),
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_static_file_has_a_path_of_its_content() {
    let assets = pages::assets();
    let mut paths: Vec<&str> = assets.iter().map(pages::Asset::path).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), assets.len());
    for asset in assets {
        let path = asset.path();
        let (hash, name) = path
            .strip_prefix("/static/")
            .unwrap()
            .split_once('/')
            .unwrap();
        assert_eq!((hash.len(), name), (16, asset.name));
        assert!(!asset.bytes.is_empty());
    }
    let screens = samples::all();
    for asset in assets {
        let is_used = screens.iter().any(|(_, html)| html.contains(asset.path()));
        assert!(is_used, "{} is used", asset.name);
    }
}

/// The budgets: 12 KB for a style sheet, 5 KB for the script, and 45 KB and five requests for a page with all that it
/// needs, compressed. The pictures of the demo are one file. The back office has one style sheet more.
#[test]
fn pages_keep_their_budgets() {
    let size = |name: &str| {
        let asset = pages::assets().iter().find(|asset| asset.name == name);
        compressed(&asset.unwrap().bytes)
    };
    for sheet in ["shop.css", "office.css"] {
        assert!(size(sheet) <= 12 * 1024, "{sheet}: {}", size(sheet));
    }
    assert!(size("shop.js") <= 5 * 1024, "{}", size("shop.js"));
    for (name, html) in samples::all() {
        let used = pages::assets().iter();
        let used: Vec<_> = used.filter(|asset| html.contains(asset.path())).collect();
        let most = if name.starts_with("office-") { 5 } else { 4 };
        assert!(used.len() <= most, "{name}: {used:?} and the page itself");
        let files: usize = used.iter().map(|asset| compressed(&asset.bytes)).sum();
        let page = compressed(html.as_bytes());
        assert!(page <= 10 * 1024, "{name}: {page} bytes");
        assert!(page + files <= 45 * 1024, "{name}: {} bytes", page + files);
    }
}
