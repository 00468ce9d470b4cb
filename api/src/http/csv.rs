//! CSV responses: tables for spreadsheets.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use domain::{Page, Paging};
use futures_util::stream;

use crate::http::connection_progress::Watched;
use crate::schema::content_negotiation::Form;
use crate::schema::csv_dialect::{Dialect, Separator};
use crate::schema::problem::Problem;

/// One page of a list that is read completely: 1000 rows.
#[must_use]
pub fn page<K>(after: Option<K>) -> Paging<K> {
    Paging { limit: 1000, after }
}

/// The lines of a table, in memory.
#[derive(Debug)]
pub struct Lines(csv::Writer<Vec<u8>>);

/// A table could not be written. This is a bug: every line has the same columns, and writing to memory does not fail.
#[derive(Debug, thiserror::Error)]
#[error("a table is not CSV: {0}")]
pub struct NotCsv(String);

impl Lines {
    /// The start of a table, with the byte order mark if the dialect asks for one.
    #[must_use]
    pub fn first(dialect: Dialect) -> Self {
        let mark = if dialect.bom { "\u{feff}" } else { "" };
        Self::after(dialect, mark.as_bytes())
    }

    /// Further lines of a table.
    fn further(dialect: Dialect) -> Self {
        Self::after(dialect, b"")
    }

    fn after(dialect: Dialect, start: &[u8]) -> Self {
        let separator = match dialect.separator {
            Separator::Comma => b',',
            Separator::Semicolon => b';',
        };
        let mut writer = csv::WriterBuilder::new();
        Self(writer.delimiter(separator).from_writer(start.to_vec()))
    }

    /// Adds a line. The cells are written unchanged: headers, amounts, ids and times.
    ///
    /// # Errors
    /// See [`NotCsv`].
    pub fn add<T: AsRef<str>>(&mut self, cells: &[T]) -> Result<(), NotCsv> {
        let cells = cells.iter().map(AsRef::as_ref);
        self.0
            .write_record(cells)
            .map_err(|error| NotCsv(error.to_string()))
    }

    /// The lines as bytes.
    ///
    /// # Errors
    /// See [`NotCsv`].
    pub fn finish(self) -> Result<Bytes, NotCsv> {
        let bytes = self.0.into_inner();
        bytes
            .map(Bytes::from)
            .map_err(|error| NotCsv(error.to_string()))
    }
}

/// A complete table as a response. `name` is the file's name without its extension.
#[must_use]
pub fn response(name: &str, lines: Result<Bytes, NotCsv>) -> HttpResponse {
    match lines {
        Ok(bytes) => head(name).body(bytes),
        Err(error) => {
            tracing::error!(%error, "bug");
            actix_web::ResponseError::error_response(&Problem::internal())
        }
    }
}

fn head(name: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, "text/csv; charset=utf-8"))
        .insert_header((
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.csv\""),
        ))
        .insert_header(Form::VARY);
    response
}

/// Why a table ends early. The client gets a broken response, never one that looks complete.
#[derive(Debug, thiserror::Error)]
#[error("the list could not be read to its end")]
struct Broken;

/// The columns of a list's table.
#[derive(Debug, Clone)]
pub struct Columns<L> {
    /// The CSV dialect.
    pub dialect: Dialect,
    /// The header line.
    pub heads: Vec<String>,
    /// Makes the cells of a row.
    pub line: L,
}

/// The progress of reading a list.
enum Step<T, K> {
    First(Page<T, K>),
    After(K),
    End,
}

/// A complete list as a streamed response: the first page, then the pages that `next` reads.
///
/// Each page is a transaction of its own. It is read when the client has received the previous page, so a slow client
/// holds no transaction open. [`crate::http::connection_progress`] closes the connection of a client that receives
/// nothing for too long.
pub fn streamed<T, K, F>(
    name: &str,
    watched: Watched,
    columns: Columns<impl Fn(T) -> Vec<String> + 'static>,
    first: Page<T, K>,
    next: impl Fn(K) -> F + 'static,
) -> HttpResponse
where
    T: 'static,
    K: 'static,
    F: Future<Output = Result<Page<T, K>, domain::Error>> + 'static,
{
    let state = (Step::First(first), columns, next, watched);
    let pages = stream::try_unfold(state, |(step, columns, next, watched)| async move {
        // The connection counts as busy while a page is read and written.
        let busy = watched.busy();
        let (mut lines, page) = match step {
            Step::First(page) => {
                let mut lines = Lines::first(columns.dialect);
                lines.add(&columns.heads).map_err(broken)?;
                (lines, page)
            }
            Step::After(key) => {
                let page = next(key).await.map_err(broken)?;
                (Lines::further(columns.dialect), page)
            }
            Step::End => return Ok(None),
        };
        for row in page.rows {
            lines.add(&(columns.line)(row)).map_err(broken)?;
        }
        let bytes = lines.finish().map_err(broken)?;
        drop(busy);
        let step = page.next.map_or(Step::End, Step::After);
        Ok::<_, Broken>(Some((bytes, (step, columns, next, watched))))
    });
    head(name).streaming(pages)
}

fn broken(error: impl std::fmt::Display) -> Broken {
    tracing::warn!(%error, "a list ended early");
    Broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_separators_quotes_and_line_breaks_are_quoted() {
        let semicolon = Dialect {
            separator: Separator::Semicolon,
            bom: true,
        };
        for (dialect, expected) in [
            (
                Dialect::default(),
                "name,amount\n\"Acme, \"\"the\"\" company\nof old\",-30.00\na;b,1\n",
            ),
            (
                semicolon,
                "\u{feff}name;amount\n\"Acme, \"\"the\"\" company\nof old\";-30.00\n\"a;b\";1\n",
            ),
        ] {
            let mut lines = Lines::first(dialect);
            lines.add(&["name", "amount"]).unwrap();
            lines
                .add(&["Acme, \"the\" company\nof old", "-30.00"])
                .unwrap();
            lines.add(&["a;b", "1"]).unwrap();
            assert_eq!(lines.finish().unwrap(), expected.as_bytes());
        }
    }
}
