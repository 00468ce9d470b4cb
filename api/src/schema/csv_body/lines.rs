//! Lines of a CSV text: their separator and their numbers.

/// The separator that occurs more often in the header line, outside quotes: a comma or a semicolon.
pub(super) fn separator(text: &str) -> u8 {
    let (mut commas, mut semicolons, mut quoted) = (0_usize, 0_usize, false);
    for byte in text.trim_start_matches(['\r', '\n']).bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => commas += 1,
            b';' if !quoted => semicolons += 1,
            b'\r' | b'\n' if !quoted => break,
            _ => {}
        }
    }
    if semicolons > commas { b';' } else { b',' }
}

/// The line on which a quoted cell begins that has no end; `None` if every quoted cell has one. The parser would read
/// the rest of the file as its text.
pub(super) fn open_quote(text: &str, separator: u8) -> Option<u64> {
    let mut opened = None;
    let (mut line, mut at_start) = (1, true);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let next = bytes.peek().copied();
        match byte {
            b'"' if opened.is_some() && next == Some(b'"') => {
                bytes.next();
            }
            b'"' if opened.is_some() => opened = None,
            b'"' if at_start => opened = Some(line),
            _ => {}
        }
        at_start = opened.is_none() && (byte == separator || matches!(byte, b'\r' | b'\n'));
        line += u64::from(ends_line(byte, next));
    }
    opened
}

/// Whether a line ends with this byte. `\r\n` is one end, at its second byte.
fn ends_line(byte: u8, next: Option<u8>) -> bool {
    byte == b'\n' || (byte == b'\r' && next != Some(b'\n'))
}

/// Counts lines in one walk over a text.
#[derive(Debug)]
pub(super) struct LineCounter<'a> {
    text: &'a [u8],
    place: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            place: 0,
            line: 1,
        }
    }

    /// The line of the record that the parser found at this place, or after empty lines there. Places must not
    /// decrease.
    pub(super) fn line_at(&mut self, place: usize) -> u64 {
        while let Some(byte) = self.text.get(self.place).copied() {
            if self.place >= place && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            self.place += 1;
            let next = self.text.get(self.place).copied();
            self.line += u64::from(ends_line(byte, next));
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_line_shows_the_separator() {
        for (text, expected) in [
            ("a,b\n1;2;3", b','),
            ("a;b\n1,2,3", b';'),
            ("a", b','),
            ("", b','),
            ("\"a;b;c\",d\n", b','),
            ("\r\n\na;b", b';'),
        ] {
            assert_eq!(separator(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_quoted_cell_without_an_end_is_found_on_its_line() {
        for (text, expected) in [
            ("a,b\n1,\"x\ny\"\n", None),
            ("a\n5\" pipe\n", None),
            ("a\n\"5\"\" pipe\"\n", None),
            ("a\r\n\"x\r\ny\r\n", Some(2)),
            ("a\n1\n\"x\"\"\n2\n", Some(3)),
            ("a\r1\r\"x", Some(3)),
        ] {
            assert_eq!(open_quote(text, b','), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        for text in ["a\nb\n\nc", "a\r\nb\r\n\r\nc", "a\rb\r\rc"] {
            let mut lines = LineCounter::new(text);
            let found: Vec<u64> = ["a", "b"]
                .iter()
                .map(|letter| lines.line_at(text.find(letter).unwrap()))
                .collect();
            assert_eq!(found, [1, 2], "{text:?}");
            // The parser's place may be before the empty lines.
            let after_b = text.find('b').unwrap() + 1;
            assert_eq!(lines.line_at(after_b), 4, "{text:?}");
        }
    }
}
