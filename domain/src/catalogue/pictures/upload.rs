//! From an uploaded file to the JPEG files of a picture.
//!
//! The file is decoded to pixels, and only pixels are kept: no metadata, such as the place of a photograph, and nothing
//! that was hidden in the file. Its size in pixels is read from its header first, so a decompression bomb costs nothing.

use std::io::Cursor;

use entity::PictureSize;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use crate::foundation::error::{MAX_PICTURE_PIXELS, MAX_PICTURE_SIDE, PictureFault};

/// The most bytes that a decoder may take: 24 million pixels with four channels of 16 bits.
const MAX_DECODER_BYTES: u64 = 8 * MAX_PICTURE_PIXELS;

/// The quality of the files, of 100: no loss that is seen at the size of a page.
const QUALITY: u8 = 82;

/// The type of an uploaded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// `image/jpeg`.
    Jpeg,
    /// `image/png`.
    Png,
    /// `image/webp`.
    WebP,
}

/// An uploaded file.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The type that the request says.
    pub file_type: FileType,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The files of a picture.
#[derive(Debug)]
pub(super) struct Files {
    /// The width and height of the largest.
    pub(super) pixels: (i32, i32),
    /// A JPEG file for each size.
    pub(super) files: Vec<(PictureSize, Vec<u8>)>,
}

impl FileType {
    const fn format(self) -> ImageFormat {
        match self {
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Png => ImageFormat::Png,
            Self::WebP => ImageFormat::WebP,
        }
    }
}

/// Makes the files. A photograph of 24 million pixels takes 0.4 s of a core and 100 MB; 16 bits a channel with transparency
/// take 1.6 s and 290 MB.
pub(super) fn files(upload: &Upload) -> Result<Files, PictureFault> {
    let picture = decoded(upload)?;
    let large = resized(&picture, PictureSize::Large)?;
    drop(picture);
    let mut files = Vec::new();
    for size in PictureSize::ALL {
        let picture = resized(&large, size)?;
        files.push((size, encoded(&picture)?));
    }
    Ok(Files {
        pixels: pixels(&large)?,
        files,
    })
}

/// The picture as people see it: upright, and without transparency.
fn decoded(upload: &Upload) -> Result<RgbImage, PictureFault> {
    let Upload { file_type, bytes } = upload;
    let format = file_type.format();
    if image::guess_format(bytes).ok() != Some(format) {
        return Err(PictureFault::OtherType);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    let is_within = width.max(height) <= MAX_PICTURE_SIDE
        && u64::from(width) * u64::from(height) <= MAX_PICTURE_PIXELS;
    if !is_within {
        return Err(PictureFault::TooLarge { width, height });
    }
    // The decoder fills what is missing with grey.
    if *file_type == FileType::Jpeg && !is_whole_jpeg(bytes) {
        return Err(PictureFault::Unreadable);
    }
    let orientation = decoder.orientation().map_err(unreadable)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    if picture.width() == 0 || picture.height() == 0 {
        return Err(PictureFault::Unreadable);
    }
    picture.apply_orientation(orientation);
    Ok(on_white(picture))
}

fn unreadable(error: image::ImageError) -> PictureFault {
    tracing::debug!(%error, "an uploaded picture cannot be read");
    PictureFault::Unreadable
}

/// The picture on a white ground, since JPEG has no transparency.
fn on_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let mut picture = picture.into_rgba8();
    for pixel in picture.pixels_mut() {
        let [channels @ .., alpha] = &mut pixel.0;
        for channel in channels {
            *channel = over_white(*channel, *alpha);
        }
        *alpha = u8::MAX;
    }
    DynamicImage::ImageRgba8(picture).into_rgb8()
}

/// The value of a channel over white, rounded.
fn over_white(channel: u8, alpha: u8) -> u8 {
    let (channel, alpha) = (u32::from(channel), u32::from(alpha));
    let mixed = (channel * alpha + 255 * (255 - alpha) + 127) / 255;
    u8::try_from(mixed).unwrap_or(u8::MAX)
}

fn pixels(picture: &RgbImage) -> Result<(i32, i32), PictureFault> {
    let side = |length: u32| i32::try_from(length).map_err(|_too_large| PictureFault::Unreadable);
    Ok((side(picture.width())?, side(picture.height())?))
}

fn resized(picture: &RgbImage, size: PictureSize) -> Result<RgbImage, PictureFault> {
    let before = pixels(picture)?;
    let after = size.fit(before);
    if after == before {
        return Ok(picture.clone());
    }
    let (width, height) = (after.0.unsigned_abs(), after.1.unsigned_abs());
    // The good filter alone would take seconds and half a gigabyte for a large photograph.
    if picture.width() > 4 * width {
        let smaller = imageops::thumbnail(picture, 2 * width, 2 * height);
        return Ok(imageops::resize(
            &smaller,
            width,
            height,
            FilterType::Lanczos3,
        ));
    }
    Ok(imageops::resize(
        picture,
        width,
        height,
        FilterType::Lanczos3,
    ))
}

fn encoded(picture: &RgbImage) -> Result<Vec<u8>, PictureFault> {
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, QUALITY);
    encoder.encode_image(picture).map_err(unreadable)?;
    Ok(file)
}

/// Whether a JPEG file has its end. Cameras add further data behind it, and previews with an end of their own are before
/// it, so the segments are walked through.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let mut rest = bytes.get(2..).unwrap_or_default();
    let mut in_scan = false;
    loop {
        match rest {
            // The data of a scan. In it, a 0 follows an 0xff that is no marker, and restarts are part of it.
            [0xff, 0x00 | 0xd0..=0xd7, after @ ..] if in_scan => rest = after,
            [0xff, END, ..] => return true,
            // Fill bytes.
            [0xff, 0xff, ..] => rest = rest.get(1..).unwrap_or_default(),
            [0xff, marker, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                in_scan = *marker == SCAN;
                rest = rest.get(2 + length..).unwrap_or_default();
            }
            [_, after @ ..] if in_scan => rest = after,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder, Rgb, Rgba, RgbaImage};

    use super::*;

    fn upload(file_type: FileType, bytes: Vec<u8>) -> Upload {
        Upload { file_type, bytes }
    }

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let picture = RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x % 256) as u8, (y % 256) as u8, 90])
        });
        encoded(&picture).unwrap()
    }

    fn png(picture: &RgbaImage) -> Vec<u8> {
        let mut file = Vec::new();
        let (width, height) = picture.dimensions();
        image::codecs::png::PngEncoder::new(&mut file)
            .write_image(picture, width, height, ExtendedColorType::Rgba8)
            .unwrap();
        file
    }

    /// A JPEG file with EXIF data that says how it was held.
    fn held(orientation: u8, file: &[u8]) -> Vec<u8> {
        let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        [&file[..2], &[0xff, 0xe1], &length, &exif, &file[2..]].concat()
    }

    #[test]
    fn every_size_has_the_proportions_of_the_picture() {
        let made = files(&upload(FileType::Jpeg, jpeg(1600, 800))).unwrap();
        assert_eq!(made.pixels, (960, 480));
        for (size, file) in &made.files {
            let picture = image::load_from_memory_with_format(file, ImageFormat::Jpeg).unwrap();
            let (width, height) = size.fit(made.pixels);
            assert_eq!(
                (picture.width(), picture.height()),
                (width.unsigned_abs(), height.unsigned_abs())
            );
        }
    }

    #[test]
    fn a_picture_is_upright_whatever_way_the_camera_was_held() {
        let made = files(&upload(FileType::Jpeg, held(6, &jpeg(300, 100)))).unwrap();
        assert_eq!(made.pixels, (100, 300));
        for (_, file) in &made.files {
            assert!(!file.windows(4).any(|bytes| bytes == b"Exif"));
        }
    }

    #[test]
    fn what_is_transparent_becomes_white() {
        let clear = RgbaImage::from_pixel(40, 40, Rgba([0, 0, 0, 0]));
        let decoded = decoded(&upload(FileType::Png, png(&clear))).unwrap();
        assert!(decoded.pixels().all(|pixel| pixel.0 == [255, 255, 255]));
        assert_eq!((over_white(0, 255), over_white(0, 128)), (0, 127));
    }

    #[test]
    fn a_file_of_another_type_or_of_none_is_refused() {
        let file = jpeg(20, 20);
        for (file_type, bytes) in [
            (FileType::Png, file.clone()),
            (FileType::WebP, file),
            (FileType::Jpeg, b"<svg onload=alert(1)>".to_vec()),
            (FileType::Jpeg, Vec::new()),
        ] {
            let refused = files(&upload(file_type, bytes));
            assert_eq!(refused.unwrap_err(), PictureFault::OtherType);
        }
    }

    #[test]
    fn a_file_that_ends_early_is_refused_wherever_it_ends() {
        let camera = held(1, &jpeg(60, 40));
        let drawing = png(&RgbaImage::from_fn(60, 40, |x, y| {
            Rgba([x as u8, y as u8, (x * y) as u8, 255])
        }));
        for (file_type, file) in [(FileType::Jpeg, camera), (FileType::Png, drawing)] {
            assert!(files(&upload(file_type, file.clone())).is_ok());
            // The last bytes of a PNG file hold no pixels.
            for length in (12..file.len() - 20).step_by(7) {
                let refused = files(&upload(file_type, file[..length].to_vec()));
                assert_eq!(refused.unwrap_err(), PictureFault::Unreadable, "{length}");
            }
        }
        let file = jpeg(60, 40);
        assert!(!is_whole_jpeg(&file[..file.len() - 2]));
        assert!(is_whole_jpeg(
            &[&file[..], b"more of the camera's"].concat()
        ));
    }

    #[test]
    fn a_picture_with_too_many_pixels_is_refused_by_its_header() {
        for (width, height) in [(8001_u32, 1_u32), (8000, 3001), (60_000, 60_000)] {
            // The header of a PNG file alone, with the checksum of its first chunk.
            let mut chunk = b"IHDR".to_vec();
            chunk.extend(width.to_be_bytes());
            chunk.extend(height.to_be_bytes());
            chunk.extend([8, 2, 0, 0, 0]);
            let sum = crc32(&chunk).to_be_bytes();
            let head = b"\x89PNG\r\n\x1a\n\0\0\0\x0d";
            let data = b"\0\0\0\0IDAT\x35\xaf\x06\x1e";
            let file = [head, chunk.as_slice(), &sum, data].concat();
            let refused = files(&upload(FileType::Png, file));
            assert_eq!(
                refused.unwrap_err(),
                PictureFault::TooLarge { width, height }
            );
        }
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut sum = u32::MAX;
        for byte in bytes {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = (sum >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(sum & 1));
            }
        }
        !sum
    }
}
