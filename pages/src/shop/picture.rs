//! The picture of a product: the uploaded one in the size that fits, a drawing of the demo, or a neutral one.

use askama::Template;
use askama::filters::HtmlSafe;
use entity::PictureSize;

use crate::assets;

/// The width and height of the drawings.
const DRAWING: (i32, i32) = (400, 300);

/// An uploaded picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Its address without the size, which follows a slash.
    pub address: String,
    /// The width in pixels of [`PictureSize::Large`].
    pub width: i32,
    /// The height in pixels of [`PictureSize::Large`].
    pub height: i32,
}

/// The place of a picture on a page.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spot {
    /// A card of the catalogue.
    Card,
    /// The page of the product.
    Page,
    /// A line of a cart.
    Line,
    /// A row of an order.
    Row,
}

/// An image with its size, so that nothing moves when it arrives.
#[derive(Debug, Template)]
#[template(
    source = r#"<img src="{{ src }}"{% if !srcset.is_empty() %} srcset="{{ srcset }}" sizes="{{ sizes }}"{% endif %} alt="{{ alt }}" width="{{ width }}" height="{{ height }}"{% if is_lazy %} loading="lazy"{% endif %}>"#,
    ext = "html"
)]
pub(crate) struct Image {
    src: String,
    srcset: String,
    sizes: &'static str,
    alt: String,
    width: i32,
    height: i32,
    is_lazy: bool,
}

impl HtmlSafe for Image {}

impl Picture {
    fn address_of(&self, size: PictureSize) -> String {
        format!("{}/{}", self.address, size.side())
    }

    /// The addresses of all sizes with their widths. A small picture is the same in several.
    fn srcset(&self) -> String {
        let mut widths = Vec::new();
        let mut sources = Vec::new();
        for size in PictureSize::ALL {
            let (width, _) = size.fit((self.width, self.height));
            if !widths.contains(&width) {
                widths.push(width);
                sources.push(format!("{} {width}w", self.address_of(size)));
            }
        }
        sources.join(", ")
    }
}

impl Spot {
    /// The width that the picture has there, as the style sheet makes it.
    const fn sizes(self) -> &'static str {
        match self {
            Self::Card => "(min-width: 36rem) 17rem, 46vw",
            Self::Page => "(min-width: 50rem) 36rem, 92vw",
            Self::Line => "7rem",
            Self::Row => "4rem",
        }
    }

    /// The size for browsers that choose none.
    const fn size(self) -> PictureSize {
        match self {
            Self::Card | Self::Line => PictureSize::Medium,
            Self::Page => PictureSize::Large,
            Self::Row => PictureSize::Small,
        }
    }
}

impl Image {
    /// The picture of a product with this name and number. A neutral one has no text: it says nothing.
    pub(crate) fn of(picture: Option<&Picture>, (name, sku): (&str, &str), spot: Spot) -> Self {
        let Some(picture) = picture else {
            let (width, height) = DRAWING;
            let alt = if assets::has_drawing(sku) { name } else { "" };
            return Self {
                src: assets::picture(sku),
                srcset: String::new(),
                sizes: "",
                alt: alt.to_owned(),
                width,
                height,
                is_lazy: false,
            };
        };
        Self {
            src: picture.address_of(spot.size()),
            srcset: picture.srcset(),
            sizes: spot.sizes(),
            alt: name.to_owned(),
            width: picture.width,
            height: picture.height,
            is_lazy: false,
        }
    }

    /// The image, loaded when it comes into sight if it is not at the top of the page.
    pub(crate) fn after(self, above: usize, first: usize) -> Self {
        Self {
            is_lazy: above >= first,
            ..self
        }
    }
}
