//! This module makes files of pictures.

use std::io::Cursor;

use domain::demo;
use entity::ProductId;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use uuid::Uuid;

use crate::Client;

/// The place that the EXIF data of [`photograph`] names.
pub const PLACE: &[u8] = b"48 deg 51 min N, 2 deg 21 min E";

/// A picture with this width and height in this format. Pictures with other seeds differ.
#[must_use]
pub fn picture(format: ImageFormat, (width, height): (u32, u32), seed: u8) -> Vec<u8> {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x % 251) as u8, (y % 241) as u8, seed])
    });
    let mut file = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture)
        .write_to(&mut file, format)
        .unwrap();
    file.into_inner()
}

/// A PNG file that no earlier call has made.
#[must_use]
pub fn new() -> Vec<u8> {
    let mut file = picture(ImageFormat::Png, (8, 8), 0);
    // Bytes behind the end, which programs that read pictures pass over.
    file.extend(Uuid::now_v7().as_bytes());
    file
}

/// A JPEG file as cameras write them, with the place in its EXIF data.
#[must_use]
pub fn photograph() -> Vec<u8> {
    let file = picture(ImageFormat::Jpeg, (1200, 900), 7);
    // One entry: a description.
    let mut exif =
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x0e\0\x02\0\0\0\x1f\0\0\0\x1a\0\0\0\0".to_vec();
    exif.extend(PLACE);
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&file[..2], &[0xff, 0xe1], &length, &exif, &file[2..]].concat()
}

/// The width and height of a JPEG file.
#[must_use]
pub fn size(file: &[u8]) -> (u32, u32) {
    let picture = image::load_from_memory_with_format(file, ImageFormat::Jpeg).unwrap();
    (picture.width(), picture.height())
}

/// Gives a product a new picture, and returns its id.
pub async fn of(admin: &Client, product: ProductId) -> String {
    let path = format!("/api/products/{product}/picture");
    let view = admin.put_png(&path, new()).await.ok(200);
    let url = view["picture"]["url"].as_str().unwrap();
    let (start, version) = url.split_once("&version=").unwrap();
    assert_eq!(start, format!("{path}?business={}", demo::ACME));
    version.to_owned()
}
