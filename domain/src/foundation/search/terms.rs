//! Terms: the forms of a text by which it is found, whatever its case, accents and punctuation. Pure functions.
//!
//! Fields and searches are made into terms by the same functions. A term has letters and digits only.

use std::collections::BTreeSet;

use icu_properties::CodePointMapData;
use icu_properties::props::CanonicalCombiningClass;

use crate::foundation::unicode;

/// The most characters of a term. Longer words are cut, in fields as in searches.
const MAX_LENGTH: usize = 64;

/// The most digits of a country code.
const COUNTRY_CODE_DIGITS: usize = 3;

/// The fewest digits by which a telephone number is found.
const MIN_PHONE_DIGITS: usize = 3;

/// The terms of one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms(BTreeSet<String>);

impl Terms {
    /// The terms in the order of their characters.
    pub(crate) fn into_sorted(self) -> impl Iterator<Item = String> {
        self.0.into_iter()
    }

    fn add(&mut self, term: &str) {
        if !term.is_empty() {
            self.0.insert(cut(term));
        }
    }

    /// Adds the words of a text. A word with punctuation is found by its parts too: `O'Brien` by `obrien` and `brien`.
    pub(super) fn add_words(&mut self, text: &str) {
        let folded = fold(text);
        for word in folded.split_whitespace() {
            self.add(&joined(word));
            for part in parts(word) {
                self.add(part);
            }
        }
    }

    /// Adds the words of a reference or a number, and all of it in one: `K-000 123` is also found by `k000123`.
    pub(super) fn add_code(&mut self, text: &str) {
        self.add_words(text);
        self.add(&joined(&fold(text)));
    }

    /// Adds an email address: all of it, the words of its local part, its domain, and the labels of the domain but the
    /// last, which too many addresses share.
    pub(super) fn add_email(&mut self, text: &str) {
        let folded = fold(text);
        self.add(&joined(&folded));
        let Some((local, domain)) = folded.rsplit_once('@') else {
            return;
        };
        self.add_words(local);
        self.add(&joined(domain));
        let mut labels: Vec<&str> = domain.split('.').collect();
        labels.pop();
        for label in labels {
            self.add_words(label);
        }
    }

    /// Adds a telephone number: its digits, and if it begins with a country code, the digits after it. The length of
    /// the code is not known, so all lengths are taken.
    pub(super) fn add_phone(&mut self, text: &str) {
        let digits = digits(&fold(text));
        self.add(&digits);
        if !text.trim_start().starts_with('+') {
            return;
        }
        for code in 1..=COUNTRY_CODE_DIGITS {
            if let Some(national) = digits.get(code..)
                && national.len() >= MIN_PHONE_DIGITS
            {
                self.add(national.trim_start_matches('0'));
            }
        }
    }
}

/// The text without case, accents and compatibility forms. Letters that Unicode does not decompose lose their strokes
/// as people write them without: `ø` is `o`, `æ` is `ae`.
pub(super) fn fold(text: &str) -> String {
    let classes = CodePointMapData::<CanonicalCombiningClass>::new();
    let mut folded = String::with_capacity(text.len());
    // To upper case first: it makes the two forms of sigma one, and the two kinds of i.
    let letters = unicode::nfkd(text);
    let letters = letters.chars().flat_map(char::to_uppercase);
    for letter in letters.flat_map(char::to_lowercase) {
        match letter {
            'ß' => folded.push_str("ss"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            _ if classes.get(letter) == CanonicalCombiningClass::NotReordered => {
                folded.push(letter);
            }
            _accent => {}
        }
    }
    folded
}

/// The letters and digits of a folded text, without what separates them.
pub(super) fn joined(folded: &str) -> String {
    folded
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .collect()
}

/// The parts of a folded text between its punctuation.
pub(super) fn parts(folded: &str) -> impl Iterator<Item = &str> {
    folded
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|part| !part.is_empty())
}

/// The digits of a telephone number without the zeros that begin it, which stand for a prefix.
fn digits(folded: &str) -> String {
    let digits: String = folded
        .chars()
        .filter(|letter| letter.is_ascii_digit())
        .collect();
    digits.trim_start_matches('0').to_owned()
}

/// The digits of a folded text that can be a telephone number or the beginning of one.
pub(super) fn phone(folded: &str) -> Option<String> {
    let may_be = |letter: char| {
        letter.is_ascii_digit()
            || letter.is_whitespace()
            || matches!(letter, '+' | '-' | '/' | '.' | '(' | ')')
    };
    let digits = digits(folded);
    (folded.chars().all(may_be) && digits.len() >= MIN_PHONE_DIGITS).then_some(digits)
}

/// The first characters of a term.
pub(super) fn cut(term: &str) -> String {
    term.chars().take(MAX_LENGTH).collect()
}

/// The form of a name by which names are sorted: without case and accents, its words one space apart. A name without
/// letters and digits sorts as it is written.
pub(crate) fn sort_key(name: &str) -> String {
    let folded = fold(name);
    let words: Vec<&str> = parts(&folded).collect();
    let key = words.join(" ");
    cut(if key.is_empty() { name } else { &key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(add: impl FnOnce(&mut Terms)) -> Vec<String> {
        let mut terms = Terms::default();
        add(&mut terms);
        terms.into_sorted().collect()
    }

    #[test]
    fn case_accents_and_compatibility_forms_are_lost() {
        for (text, folded) in [
            ("Müller", "muller"),
            ("mu\u{308}ller", "muller"),
            ("STRAẞE Straße", "strasse strasse"),
            ("ŁÓDŹ Østergård Ærø", "lodz ostergard aero"),
            ("İstanbul ısparta", "istanbul isparta"),
            ("ΟΔΥΣΣΕΥΣ Οδυσσεύς", "οδυσσευσ οδυσσευσ"),
            ("ＡＢ１", "ab1"),
            ("株式会社", "株式会社"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn a_name_is_found_by_its_words_and_their_parts() {
        assert_eq!(
            made(|terms| terms.add_words("Seán O'Brien-Smith & Co.")),
            ["brien", "co", "o", "obriensmith", "sean", "smith"]
        );
    }

    #[test]
    fn a_code_is_found_with_and_without_its_separators() {
        assert_eq!(
            made(|terms| terms.add_code("K-000 123")),
            ["000", "123", "k", "k000", "k000123"]
        );
    }

    #[test]
    fn an_email_address_is_found_whole_and_by_both_sides() {
        assert_eq!(
            made(|terms| terms.add_email("Ada.L@mail.example.com")),
            [
                "ada",
                "adal",
                "adalmailexamplecom",
                "example",
                "l",
                "mail",
                "mailexamplecom"
            ]
        );
    }

    #[test]
    fn a_phone_number_is_found_with_and_without_its_country_code() {
        let found = made(|terms| terms.add_phone("+49 (30) 123-456"));
        // The code has 1, 2 or 3 digits; a zero that begins the rest is a prefix.
        assert_eq!(found, ["123456", "30123456", "4930123456", "930123456"]);
        assert_eq!(made(|terms| terms.add_phone("030/123456")), ["30123456"]);
        assert_eq!(phone("0049 30 1").as_deref(), Some("49301"));
        assert_eq!(phone("03"), None);
        assert_eq!(phone("k030123"), None);
    }

    #[test]
    fn long_words_are_cut_by_characters() {
        let long = "é".repeat(200);
        assert_eq!(
            made(|terms| terms.add_words(&long)),
            ["e".repeat(MAX_LENGTH)]
        );
        // One character that decomposes into eighteen.
        let long = "\u{fdfa}".repeat(200);
        for term in made(|terms| terms.add_code(&long)) {
            assert!(term.chars().count() <= MAX_LENGTH, "{term}");
        }
    }

    #[test]
    fn names_sort_without_case_and_accents() {
        let mut names = ["Zoë", "adam", "Ada Lovelace", "Änne", "!?"];
        names.sort_by_key(|name| sort_key(name));
        assert_eq!(names, ["!?", "Ada Lovelace", "adam", "Änne", "Zoë"]);
    }
}
