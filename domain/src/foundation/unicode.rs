//! Unicode rules: which spellings are the same text, and which characters are invisible.
//!
//! Two texts that look alike must not be two names. Text is therefore stored in normalization form C. Characters that
//! are invisible, or that reorder others, are rejected where text is read.

use std::borrow::Cow;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::props::{
    CanonicalCombiningClass, DefaultIgnorableCodePoint, ExtendedPictographic, GeneralCategory,
    JoiningType, UnifiedIdeograph,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Joins neighbouring characters. Emoji and scripts such as Devanagari need it.
const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// Separates characters that would be joined. Persian needs it.
const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
/// Draws a key around the preceding character, as in 1️⃣.
const KEYCAP: char = '\u{20e3}';

/// The text in normalization form C, which composes accented letters where Unicode has a composed one.
#[must_use]
pub fn nfc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// The text in normalization form KC: as [`nfc`], and compatibility forms such as full-width letters become plain
/// ones.
#[must_use]
pub fn nfkc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfkc().normalize(text)
}

/// The text in normalization form KD: as [`nfkc`], but accents follow their letters as characters of their own.
#[must_use]
pub fn nfkd(text: &str) -> Cow<'_, str> {
    DecomposingNormalizerBorrowed::new_nfkd().normalize(text)
}

/// Whether a character is invisible: zero-width and bidirectional controls, soft hyphens, fillers, tags, variation
/// selectors, line separators and noncharacters.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    let separator = matches!(
        category,
        GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator
    );
    let noncharacter =
        matches!(character, '\u{fdd0}'..='\u{fdef}') || u32::from(character) & 0xfffe == 0xfffe;
    separator
        || noncharacter
        || matches!(character, '\u{fff9}'..='\u{fffb}')
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

/// The first invisible character of a code; no code needs one.
#[must_use]
pub fn invisible_in_code(text: &str) -> Option<char> {
    text.chars().find(|character| is_invisible(*character))
}

/// The first invisible character of a name or a sentence that is not part of its script or emoji. A joiner after a
/// letter that joins, and a variation selector after an ideograph or an emoji, are permitted.
#[must_use]
pub fn invisible_in_prose(text: &str) -> Option<char> {
    let mut base = None;
    let mut previous = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        if is_invisible(character) {
            let needed = match character {
                ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER => {
                    next.is_some_and(|next| !is_invisible(next) && !next.is_whitespace())
                        && joins(character, base, previous)
                }
                '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
                    next == Some(KEYCAP) || previous.is_some_and(has_variants)
                }
                _ => false,
            };
            if !needed {
                return Some(character);
            }
        } else if !is_transparent(character) {
            base = Some(character);
        }
        previous = Some(character);
    }
    None
}

/// Whether a joiner affects the preceding characters. `base` is the last of them that is not a combining mark.
fn joins(joiner: char, base: Option<char>, previous: Option<char>) -> bool {
    let after_virama = previous.is_some_and(|previous| {
        CodePointMapData::<CanonicalCombiningClass>::new().get(previous)
            == CanonicalCombiningClass::Virama
    });
    after_virama
        || base.is_some_and(|base| {
            let joining = CodePointMapData::<JoiningType>::new().get(base);
            let emoji = CodePointSetData::new::<ExtendedPictographic>().contains(base);
            (joiner == ZERO_WIDTH_JOINER && emoji)
                || !matches!(joining, JoiningType::NonJoining | JoiningType::Transparent)
        })
}

/// Combining marks, and the skin tones of emoji.
fn is_transparent(character: char) -> bool {
    matches!(character, '\u{1f3fb}'..='\u{1f3ff}')
        || CodePointMapData::<JoiningType>::new().get(character) == JoiningType::Transparent
}

fn has_variants(character: char) -> bool {
    CodePointSetData::new::<ExtendedPictographic>().contains(character)
        || CodePointSetData::new::<UnifiedIdeograph>().contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_found_everywhere() {
        for hidden in [
            '\u{ad}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{ffff}',
            '\u{e0041}',
        ] {
            for text in [
                format!("a{hidden}b"),
                format!("{hidden}a"),
                format!("a{hidden}"),
            ] {
                assert_eq!(invisible_in_code(&text), Some(hidden), "{text:?}");
                assert_eq!(invisible_in_prose(&text), Some(hidden), "{text:?}");
            }
        }
        for plain in [
            "",
            "Acme",
            "Zoë & Söhne",
            "株式会社",
            "שלום",
            "مرحبا",
            "नमस्ते",
            "🙂",
        ] {
            assert_eq!(invisible_in_code(plain), None, "{plain}");
            assert_eq!(invisible_in_prose(plain), None, "{plain}");
        }
    }

    #[test]
    fn scripts_and_emoji_keep_the_joiners_that_they_are_written_with() {
        for written in [
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "👩\u{200d}👩\u{200d}👧",
            "👩\u{1f3fd}\u{200d}🚀",
            "❤\u{fe0f}\u{200d}🔥",
            "葛\u{e0100}城",
            "1\u{fe0f}\u{20e3}",
        ] {
            assert_eq!(invisible_in_prose(written), None, "{written:?}");
            assert!(invisible_in_code(written).is_some(), "{written:?}");
        }
        for idle in [
            "a\u{200d}b",
            "می\u{200c}",
            "می\u{200c} b",
            "a\u{fe0f}",
            "👩\u{200c}👩",
            "\u{200d}",
        ] {
            assert!(invisible_in_prose(idle).is_some(), "{idle:?}");
        }
    }

    #[test]
    fn one_text_has_one_form() {
        assert_eq!(nfc("e\u{301}"), "é");
        assert_eq!(nfc("ＡＢ"), "ＡＢ");
        assert_eq!(nfkc("ＡＢ１"), "AB1");
    }
}
