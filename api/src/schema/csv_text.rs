//! Text of people in cells of CSV tables.
//!
//! Spreadsheets run a cell that begins like a formula, whatever its author intended. An apostrophe makes it text. A
//! program that reads another separator than the table's splits cells at it. Every part that it could see as a cell is
//! therefore treated as a beginning.

/// A cell with this text, protected against formula injection.
#[must_use]
pub fn protected(written: &str) -> String {
    if is_phone(written) {
        return written.to_owned();
    }
    let mut cell = String::with_capacity(written.len());
    let mut begins = true;
    for (index, letter) in written.char_indices() {
        let first = index == 0 && matches!(letter, '\t' | '\r' | '\n');
        if first || (begins && starts_formula(letter)) {
            cell.push('\'');
        }
        cell.push(letter);
        begins = is_separator(letter) || (begins && is_skipped(letter));
    }
    cell
}

/// The text of a cell that [`protected`] may have written: without the apostrophe in front of a formula.
#[must_use]
pub fn unprotected(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if protected(text) == cell => text,
        _ => cell,
    }
}

/// Whether the text is a plus with digits and spaces only, such as `+49 89 1234`: a number to every program.
fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+');
    digits.is_some_and(|digits| {
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b' ')
    })
}

/// The characters with which spreadsheets begin formulas, in all widths.
fn starts_formula(letter: char) -> bool {
    matches!(letter, '=' | '+' | '-' | '@')
        || matches!(letter, '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}')
        || matches!(letter, '\u{fe66}' | '\u{fe62}' | '\u{fe63}' | '\u{fe6b}')
        // The mathematical minus sign.
        || letter == '\u{2212}'
}

fn is_separator(letter: char) -> bool {
    matches!(letter, ',' | ';' | '|' | '\t' | '\r' | '\n')
}

/// Characters that a program may drop at the start of a cell.
fn is_skipped(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || letter == '"'
        || domain::foundation::unicode::is_invisible(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_begins_like_a_formula_stays_protected() {
        for formula in [
            "=1+1", "+1-1", "+a", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\tx", "＝1", "＋1",
            "－1", "＠A", "−1",
        ] {
            assert!(protected(formula).starts_with('\''), "{formula:?}");
        }
        for (hidden, neutral) in [
            (" =1", " '=1"),
            ("\u{a0}=1", "\u{a0}'=1"),
            ("\u{200b}=1", "\u{200b}'=1"),
            ("\u{feff}＝1", "\u{feff}'＝1"),
            ("\"=1", "\"'=1"),
            ("a;=1", "a;'=1"),
            ("a, +1", "a, '+1"),
            ("a|@b", "a|'@b"),
            ("a;\u{200b}\"-1", "a;\u{200b}\"'-1"),
        ] {
            assert_eq!(protected(hidden), neutral);
        }
        for plain in [
            "",
            "+49 89 1234",
            "Acme",
            "1-2",
            "a=b",
            "'=1",
            "a @ b",
            "x - y",
            "a, b; c",
        ] {
            assert_eq!(protected(plain), plain);
        }
    }

    #[test]
    fn an_import_reads_what_an_export_wrote() {
        for text in [
            "=1+1",
            "@home",
            "-5 % agreed",
            "+49 89 1234",
            "'=1",
            "Acme",
            "",
        ] {
            let cell = protected(text);
            let is_ambiguous = text.starts_with('\'');
            assert_eq!(unprotected(&cell) == text, !is_ambiguous, "{text}");
        }
        // An apostrophe of the text itself stays.
        assert_eq!(unprotected("'t Hooft"), "'t Hooft");
    }
}
