//! The picture of a product, and the sizes in which it is kept.

use sea_orm::{DeriveActiveEnum, EnumIter};

use crate::PictureId;

/// A size in which every picture is kept: the side of the square, in pixels, into which it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i32", db_type = "Integer")]
pub enum PictureSize {
    /// For a line of a cart.
    #[sea_orm(num_value = 96)]
    Small = 96,
    /// For a card of a catalogue.
    #[sea_orm(num_value = 320)]
    Medium = 320,
    /// For a page of its own. The picture's own width and height are those of this size.
    #[sea_orm(num_value = 960)]
    Large = 960,
}

impl PictureSize {
    /// All sizes, the smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// The side of the square, in pixels.
    #[must_use]
    pub const fn side(self) -> i32 {
        self as i32
    }

    /// The width and height of a picture in this size. A picture is never enlarged, and no side becomes 0.
    #[must_use]
    pub fn fit(self, (width, height): (i32, i32)) -> (i32, i32) {
        let (side, longest) = (i64::from(self.side()), i64::from(width.max(height)));
        if longest <= side {
            return (width, height);
        }
        let scaled = |length: i32| {
            let rounded = (i64::from(length) * side + longest / 2) / longest;
            // At most the side, which is an i32.
            i32::try_from(rounded.max(1)).unwrap_or(i32::MAX)
        };
        (scaled(width), scaled(height))
    }
}

/// The uploaded picture of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Another for each upload, so that the bytes behind an id never change.
    pub id: PictureId,
    /// The width in pixels of [`PictureSize::Large`].
    pub width: i32,
    /// The height in pixels of [`PictureSize::Large`].
    pub height: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_proportions_and_is_never_enlarged() {
        for (original, expected) in [
            ((1920, 1080), (960, 540)),
            ((1080, 1920), (540, 960)),
            ((960, 960), (960, 960)),
            ((961, 961), (960, 960)),
            ((200, 100), (200, 100)),
            ((8000, 1), (960, 1)),
            ((1, 8000), (1, 960)),
            ((1, 1), (1, 1)),
        ] {
            assert_eq!(PictureSize::Large.fit(original), expected);
        }
        assert_eq!(PictureSize::Small.fit((960, 540)), (96, 54));
    }
}
