//! Answers as CSV: tables that people open in a spreadsheet.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use domain::{Page, Paging};
use futures_util::stream;

use crate::accept::Form;
use crate::idle::Watched;
use crate::problem::Problem;

/// One page of a whole list.
#[must_use]
pub fn page<K>(after: Option<K>) -> Paging<K> {
    Paging { limit: 1000, after }
}

/// Lines of a table, in memory.
#[derive(Debug)]
pub struct Lines(csv::Writer<Vec<u8>>);

/// A table could not be written: a bug, since memory is there and every line has its columns.
#[derive(Debug, thiserror::Error)]
#[error("a table is not CSV: {0}")]
pub struct NotCsv(String);

impl Default for Lines {
    fn default() -> Self {
        Self(csv::Writer::from_writer(Vec::new()))
    }
}

impl Lines {
    /// Adds a line of cells that are as they are to be read: the heads of columns, amounts, ids, times.
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

/// A cell with text that someone wrote. Spreadsheets take what begins like a formula for one and run it, with whatever
/// the writer had in mind; an apostrophe makes it text.
#[must_use]
pub fn text(written: &str) -> String {
    if written.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{written}")
    } else {
        written.to_owned()
    }
}

/// A whole table as an answer, to be kept under this name.
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

/// Why a table ends before its end. Its client sees a broken answer, never one that looks whole.
#[derive(Debug, thiserror::Error)]
#[error("the list could not be read to its end")]
struct Broken;

/// What a list's table has: the heads of its columns, and the line of a row.
#[derive(Debug, Clone, Copy)]
pub struct Columns<L> {
    /// The first line.
    pub heads: &'static [&'static str],
    /// The cells of a row.
    pub line: L,
}

/// Where the reading of a list stands.
enum Step<T, K> {
    First(Page<T, K>),
    After(K),
    End,
}

/// A whole list as an answer: the first page, and those that `next` reads after it.
///
/// Each page is a transaction of its own, read when the client has taken what was before it: a slow client holds no
/// transaction open. One that takes nothing for longer than connections may rest is cut off by [`crate::idle`].
pub fn streamed<T, K, F>(
    name: &str,
    watched: Watched,
    columns: Columns<impl Fn(&T) -> Vec<String> + 'static>,
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
        // While a page is read and written the connection is busy.
        let busy = watched.busy();
        let mut lines = Lines::default();
        let page = match step {
            Step::First(page) => {
                lines.add(columns.heads).map_err(broken)?;
                page
            }
            Step::After(key) => next(key).await.map_err(broken)?,
            Step::End => return Ok(None),
        };
        for row in &page.rows {
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
    tracing::warn!(%error, "a list breaks off");
    Broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(text(formula), format!("'{formula}"));
        }
        for plain in ["", "Acme", "1-2", "a=b", "'=1"] {
            assert_eq!(text(plain), plain);
        }
    }

    #[test]
    fn cells_with_commas_quotes_and_line_breaks_are_quoted() {
        let mut lines = Lines::default();
        lines.add(&["name", "amount"]).unwrap();
        lines
            .add(&["Acme, \"the\" company\nof old", "-30.00"])
            .unwrap();
        let bytes = lines.finish().unwrap();
        let expected = "name,amount\n\"Acme, \"\"the\"\" company\nof old\",-30.00\n";
        assert_eq!(bytes, expected.as_bytes());
    }
}
