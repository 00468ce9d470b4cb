//! Parser of tables.

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord};
use domain::foundation::imports::ImportRow;

use super::lines::{LineCounter, open_quote, separator};
use super::{Cells, Column, MAX_ROWS, Record, RowFaults, Rules};
use crate::schema::faults::At;

/// The line of the header.
const HEADER: u64 = 1;

/// Each declared column with its place in the file.
type Places = Vec<(Column, Option<usize>)>;

/// Parses a table. Reports all its faults to `at`; `None` if there is no table at all.
pub(super) fn read<R: Record>(
    bytes: &[u8],
    rules: Rules,
    check: impl Fn(&R, &mut RowFaults<'_>),
    at: &mut At,
) -> Option<Vec<ImportRow<R>>> {
    let text = text(bytes, at)?;
    let separator = separator(text);
    if let Some(line) = open_quote(text, separator) {
        at.fault_in_row(line, None, "has a quoted cell without an end");
        return None;
    }
    let mut records = Records::new(text, separator);
    let Some((header_line, header)) = records.next() else {
        let names = names(R::COLUMNS);
        let message = format!("must be a header line; the columns are {names}");
        at.fault_in_row(HEADER, None, message);
        return None;
    };
    let places = places(R::COLUMNS, header_line, &header, at);
    let mut rows = Vec::new();
    let mut count = 0;
    for (line, record) in records {
        count += 1;
        if count > MAX_ROWS {
            let message = format!("is beyond the {MAX_ROWS} rows that a table may have");
            at.fault_in_row(line, None, message);
            break;
        }
        if record.len() != header.len() {
            let (cells, columns) = (record.len(), header.len());
            let message = format!("must have {columns} cells, as the header has, and has {cells}");
            at.fault_in_row(line, None, message);
            continue;
        }
        let mut cells = Cells {
            record: &record,
            line,
            columns: places.iter(),
            rules,
            at,
        };
        if let Some(value) = R::read(&mut cells) {
            check(&value, &mut RowFaults { line, at });
            rows.push(ImportRow { line, value });
        }
    }
    if count == 0 {
        at.fault_in_row(header_line, None, "must be followed by at least one row");
    }
    Some(rows)
}

/// The text without a byte order mark.
fn text<'a>(bytes: &'a [u8], at: &mut At) -> Option<&'a str> {
    match str::from_utf8(bytes) {
        Ok(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let good = String::from_utf8_lossy(good);
            let line = LineCounter::new(&good).line_at(good.len());
            at.fault_in_row(line, None, "is not UTF-8: save the file as \"CSV UTF-8\"");
            None
        }
    }
}

fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    names.join(", ")
}

/// Finds the columns. Reports columns that are unknown, repeated, or required and missing.
fn places(columns: &[Column], line: u64, header: &StringRecord, at: &mut At) -> Places {
    let mut found: HashMap<&str, usize> = HashMap::new();
    for (place, name) in header.iter().map(str::trim).enumerate() {
        if !columns.iter().any(|column| column.name == name) {
            let message = format!("is not a known column; the columns are {}", names(columns));
            at.fault_in_row(line, Some(name), message);
        } else if found.contains_key(name) {
            at.fault_in_row(line, Some(name), "must not be repeated");
        } else {
            found.insert(name, place);
        }
    }
    let places = columns.iter().map(|column| {
        let place = found.get(column.name).copied();
        if place.is_none() && column.required {
            at.fault_in_row(line, Some(column.name), "is required");
        }
        (*column, place)
    });
    places.collect()
}

/// The records of a text with their lines. Records whose cells are all blank are skipped: spreadsheets write them below
/// a table.
struct Records<'a> {
    reader: csv::Reader<&'a [u8]>,
    lines: LineCounter<'a>,
}

impl<'a> Records<'a> {
    fn new(text: &'a str, separator: u8) -> Self {
        let mut builder = ReaderBuilder::new();
        builder
            .delimiter(separator)
            .has_headers(false)
            .flexible(true);
        Self {
            reader: builder.from_reader(text.as_bytes()),
            lines: LineCounter::new(text),
        }
    }
}

impl Iterator for Records<'_> {
    type Item = (u64, StringRecord);

    fn next(&mut self) -> Option<(u64, StringRecord)> {
        loop {
            let mut record = StringRecord::new();
            // Text in memory that is UTF-8 always parses.
            if !self.reader.read_record(&mut record).unwrap_or(false) {
                return None;
            }
            let place = record.position().map_or(0, csv::Position::byte);
            let line = self.lines.line_at(usize::try_from(place).unwrap_or(0));
            if record.iter().any(|cell| !cell.trim().is_empty()) {
                return Some((line, record));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use entity::{Currency, Money};
    use serde_json::{Value, json};

    use super::super::{DecimalMark, Flag};
    use super::*;
    use crate::schema::text::{Prose, Sku, Whole};

    crate::row! {
        /// A row.
        #[example("sku,price\nA,1\n")]
        struct Line {
            /// A number.
            sku: Sku,
            /// An amount.
            price: Money,
            /// A text.
            description: Option<Prose<0, 100>>,
            /// Units.
            units: Option<Whole<0, 9>>,
            /// A choice.
            active: Option<Flag>,
        }
    }

    /// The rows, or the faults without their pointers.
    fn parsed(bytes: &[u8], decimal: DecimalMark) -> Result<Vec<ImportRow<Line>>, Value> {
        let mut at = At::new(Some(Currency::USD));
        let rules = Rules {
            currency: Currency::USD,
            decimal,
        };
        let rows = read::<Line>(bytes, rules, |_, _| {}, &mut at);
        at.finish(rows).map_err(|problem| {
            let mut body: Value = serde_json::from_str(&problem.body("", "")).unwrap();
            body["errors"].take()
        })
    }

    fn rows(text: &str) -> Vec<ImportRow<Line>> {
        parsed(text.as_bytes(), DecimalMark::Point).unwrap()
    }

    fn faults(text: &str) -> Vec<(u64, Value, String)> {
        let faults = parsed(text.as_bytes(), DecimalMark::Point).unwrap_err();
        let faults = faults.as_array().unwrap().iter().map(|fault| {
            let row = fault["row"].as_u64().unwrap();
            let message = fault["message"].as_str().unwrap().to_owned();
            (row, fault["column"].clone(), message)
        });
        faults.collect()
    }

    #[test]
    fn columns_are_found_by_name_whatever_the_order_the_separator_the_mark_and_the_line_ends() {
        for text in [
            "sku,price,units\nA-1,12.50,3\n",
            "units;sku;price\r\n3;A-1;12.50\r\n",
            "\u{feff}price,units,sku\r12.50,3,A-1",
            " sku , price , units \n A-1 , 12.50 , 3 \n\n,,\n",
            "\"sku\",\"price\",\"units\"\n\"A-1\",\"12.50\",\"3\"",
        ] {
            let rows = rows(text);
            assert_eq!(rows.len(), 1, "{text:?}");
            let row = &rows[0].value;
            assert_eq!((row.sku.0.as_str(), rows[0].line), ("A-1", 2));
            assert_eq!(row.price.to_text(Currency::USD), "12.50");
            assert_eq!(row.units.map(Whole::get), Some(3));
            assert!(row.description.is_none() && row.active.is_none());
        }
    }

    #[test]
    fn quoted_cells_have_separators_quotes_and_line_breaks_and_rows_keep_their_lines() {
        let text = "sku,price,description\r\nA,1,\"one, \"\"two\"\"\r\nthree\"\r\n\r\nB,2,=1+1\r\nC,3,\"\"\r\n";
        let rows = rows(text);
        let text = |row: &ImportRow<Line>| row.value.description.clone().map(|text| text.0);
        assert_eq!(text(&rows[0]).unwrap(), "one, \"two\"\r\nthree");
        assert_eq!(text(&rows[1]).unwrap(), "=1+1");
        assert_eq!(text(&rows[2]), None);
        let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [2, 5, 6]);
    }

    #[test]
    fn amounts_have_the_decimal_mark_that_was_asked_for_and_no_other() {
        let amount = |text: &str, mark| {
            let text = format!("sku;price\nA;{text}\n");
            let rows = parsed(text.as_bytes(), mark);
            rows.map(|rows| rows[0].value.price.to_text(Currency::USD))
        };
        assert_eq!(amount("1234,5", DecimalMark::Comma).unwrap(), "1234.50");
        assert_eq!(amount("1234", DecimalMark::Comma).unwrap(), "1234.00");
        assert_eq!(amount("1234.5", DecimalMark::Point).unwrap(), "1234.50");
        for (text, mark) in [
            ("1.234,50", DecimalMark::Comma),
            ("1234.50", DecimalMark::Comma),
            ("1,2,3", DecimalMark::Comma),
            ("1,234.50", DecimalMark::Point),
            ("1234,50", DecimalMark::Point),
        ] {
            let faults = amount(text, mark).unwrap_err();
            let message = faults[0]["message"].as_str().unwrap();
            let example = match mark {
                DecimalMark::Point => "12.50",
                DecimalMark::Comma => "12,50",
            };
            assert!(message.contains(example), "{text}: {message}");
        }
    }

    #[test]
    fn flags_are_read_in_any_case() {
        let rows = rows("sku,price,active\nA,1,TRUE\nB,1,false\n");
        let flags: Vec<Option<Flag>> = rows.iter().map(|row| row.value.active).collect();
        assert_eq!(flags, [Some(Flag(true)), Some(Flag(false))]);
    }

    #[test]
    fn every_fault_is_reported_with_its_row_and_column() {
        let text = "sku,price,units,sku,colour\n,x,10,A,red\nB,-1,1,B,\nC,1\nD,,1.5,D,\n";
        let found = faults(text);
        let places: Vec<(u64, &str)> = found
            .iter()
            .map(|(row, column, _)| (*row, column.as_str().unwrap_or("")))
            .collect();
        let expected = [
            (1, "sku"),
            (1, "colour"),
            (2, "sku"),
            (2, "price"),
            (2, "units"),
            (3, "price"),
            (4, ""),
            (5, "price"),
            (5, "units"),
        ];
        assert_eq!(places, expected, "{found:#?}");
        let faults = parsed(text.as_bytes(), DecimalMark::Point).unwrap_err();
        assert_eq!(faults[2]["pointer"], "/2/sku");
        assert_eq!(faults[6]["pointer"], "/4");
        assert_eq!(faults[2]["message"], "is required");
    }

    #[test]
    fn a_column_that_every_row_lacks_is_one_fault() {
        let found = faults("sku\nA\nB\n");
        assert_eq!(found, [(1, json!("price"), "is required".to_owned())]);
    }

    #[test]
    fn a_file_that_is_no_table_says_why() {
        for (text, row, message) in [
            ("", 1, "must be a header line"),
            ("\n\r\n", 1, "must be a header line"),
            ("sku,price\n", 1, "must be followed by at least one row"),
            ("sku,price\nA,\"1\n", 2, "has a quoted cell without an end"),
        ] {
            let found = faults(text);
            assert_eq!(found.len(), 1, "{text:?}: {found:?}");
            assert_eq!(found[0].0, row, "{text:?}");
            assert!(found[0].2.starts_with(message), "{text:?}: {found:?}");
        }
        let latin = b"sku,price\nA,1\nB\xe9,2\n";
        let found = parsed(latin, DecimalMark::Point).unwrap_err();
        assert_eq!(found[0]["row"], 3);
        assert!(found[0]["message"].as_str().unwrap().contains("UTF-8"));
    }

    #[test]
    fn a_table_has_at_most_10_000_rows() {
        let table = |count: usize| {
            let mut text = "sku,price\n".to_owned();
            (0..count).for_each(|number| text.push_str(&format!("{number},1\n")));
            text
        };
        assert_eq!(rows(&table(MAX_ROWS)).len(), MAX_ROWS);
        let found = faults(&table(MAX_ROWS + 1));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 10_002);
    }
}
