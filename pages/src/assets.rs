//! Static files, each at a path that contains the hash of its content, so that browsers may keep it for ever.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// The hexadecimal digits of a hash in a path: 64 bits, enough for versions of one file.
const HASH_DIGITS: usize = 16;

/// A static file.
#[derive(Debug)]
pub struct Asset {
    /// The file's name, such as `shop.css`.
    pub name: &'static str,
    /// The value of the header `Content-Type`.
    pub content_type: &'static str,
    /// The file's content.
    pub bytes: Vec<u8>,
    path: String,
}

impl Asset {
    fn new(name: &'static str, content_type: &'static str, parts: &[&[u8]]) -> Self {
        let bytes = parts.join(&b'\n');
        let digest = Sha256::digest(&bytes);
        let mut hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        hash.truncate(HASH_DIGITS);
        Self {
            name,
            content_type,
            bytes,
            path: format!("/static/{hash}/{name}"),
        }
    }

    /// The path under which the file is served: `/static/{hash}/{name}`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

static ASSETS: LazyLock<[Asset; 5]> = LazyLock::new(|| {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    [
        Asset::new(
            "shop.css",
            "text/css; charset=utf-8",
            &[include_bytes!("../static/shop.css")],
        ),
        Asset::new("shop.js", SCRIPT, &[include_bytes!("../static/shop.js")]),
        // One file, since each file is a request.
        Asset::new(
            "htmx-2.0.11-sse-2.2.4.js",
            SCRIPT,
            &[
                include_bytes!("../static/vendor/htmx-2.0.11.min.js"),
                include_bytes!("../static/vendor/htmx-ext-sse-2.2.4.min.js"),
            ],
        ),
        Asset::new(
            "pictures.svg",
            "image/svg+xml",
            &[include_bytes!("../static/pictures.svg")],
        ),
        Asset::new(
            "office.css",
            "text/css; charset=utf-8",
            &[include_bytes!("../static/office.css")],
        ),
    ]
});

/// All static files.
#[must_use]
pub fn assets() -> &'static [Asset] {
    ASSETS.as_slice()
}

/// The path of the style sheet.
pub(crate) fn style() -> &'static str {
    ASSETS[0].path()
}

/// The path of the pages' own script, a module.
pub(crate) fn script() -> &'static str {
    ASSETS[1].path()
}

/// The path of htmx and its extension for event streams.
pub(crate) fn htmx() -> &'static str {
    ASSETS[2].path()
}

/// The path of the sheet with the pictures. By itself it shows the mark of the pages; with a fragment one picture.
pub(crate) fn pictures() -> &'static str {
    ASSETS[3].path()
}

/// The path of the style sheet of the back office, which adds to that of all pages.
pub(crate) fn office_style() -> &'static str {
    ASSETS[4].path()
}

/// The numbers of products whose pictures the sheet has: those of the demo.
const PICTURED: [&str; 19] = [
    "HDP-001", "KEY-001", "CAM-200", "CHG-030", "HUB-007", "LMP-011", "MIC-010", "MOU-002",
    "PWR-020", "SPK-003", "TAB-101", "BAL-005", "BTL-075", "DMB-010", "MAT-180", "RKT-300",
    "TNT-002", "DSK-160", "CHR-001",
];

/// Whether the sheet has a picture for the number.
pub(crate) fn has_drawing(sku: &str) -> bool {
    PICTURED.contains(&sku)
}

/// The address of the picture of a product without one of its own: the demo's by its number, otherwise a neutral one.
#[must_use]
pub fn picture(sku: &str) -> String {
    let fragment = if has_drawing(sku) { sku } else { "none" };
    format!("{}#{fragment}", pictures())
}
