//! Reading of CSV bodies. All faults are reported at once, each with its row and column.
//!
//! A table is UTF-8, with or without a byte order mark. The header line names the columns, in any order, and shows
//! whether `,` or `;` separates the cells. The rows are parsed into types that can only hold valid values, by the
//! rules of the same fields in JSON ([`FromText`](crate::schema::text::FromText)). The [`row!`](crate::row!) macro
//! makes the parser and the description of a row from one declaration.

mod cells;
mod lines;
mod table;

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest, mime, web};
use domain::foundation::imports::ImportRow;
use domain::{Caller, IdempotencyKey};
use entity::Currency;

pub use cells::{Cells, DecimalMark, Flag, FromCell, RowFaults, SignedMoney};

use crate::schema::body::{self, Accepted, CODINGS};
use crate::schema::content_negotiation::CSV;
use crate::schema::faults::At;
use crate::schema::idempotency;
use crate::schema::problem::{Code, Problem};

/// The common start of the paths that take a CSV body.
pub const PATHS: &str = "/api/imports/";

/// The largest CSV body, in bytes, both as sent and after decompression.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The most rows of a table, without the header line.
pub const MAX_ROWS: usize = 10_000;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name in the header line.
    pub name: &'static str,
    /// Whether every table must have it, with a value in every row.
    pub required: bool,
    /// Its description.
    pub about: &'static str,
}

/// A type that a row of a table is parsed into. Declared with [`row!`](crate::row!).
pub trait Record: Sized + Send + 'static {
    /// The columns in the order in which they are parsed.
    const COLUMNS: &'static [Column];

    /// A table with one row.
    const EXAMPLE: &'static str;

    /// Parses a row. `None` after a fault, which is reported to `cells`.
    fn read(cells: &mut Cells<'_>) -> Option<Self>;
}

/// A request's CSV body, as declared in the endpoint table.
#[derive(Debug, Clone, Copy)]
pub struct CsvBody {
    /// The columns.
    pub columns: &'static [Column],
    /// A table with one row.
    pub example: &'static str,
    /// Parses a table as the handler does. Returns false after a fault, and reports all faults to `At`.
    pub reads: fn(&[u8], Currency, &mut At) -> bool,
}

impl CsvBody {
    /// The body of a table of these rows.
    #[must_use]
    pub fn of<R: Record>() -> Self {
        Self {
            columns: R::COLUMNS,
            example: R::EXAMPLE,
            reads: |bytes, currency, at| {
                let rules = Rules {
                    currency,
                    decimal: DecimalMark::Point,
                };
                table::read::<R>(bytes, rules, |_, _| {}, at).is_some()
            },
        }
    }

    /// The description of the columns, one a line.
    #[must_use]
    pub fn about(&self) -> String {
        let mut about = "Columns, in any order:\n".to_owned();
        for column in self.columns {
            let required = if column.required { " (required)" } else { "" };
            let (name, text) = (column.name, column.about.trim());
            about.push_str(&format!("\n- `{name}`{required}: {text}"));
        }
        about
    }
}

/// The conditions beside its type on which the text of a cell depends.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The currency of amounts.
    pub currency: Currency,
    /// The decimal mark of amounts.
    pub decimal: DecimalMark,
}

/// A request with a CSV body, before its rows are parsed.
#[derive(Debug)]
pub struct Csv {
    bytes: Vec<u8>,
    key: Option<IdempotencyKey>,
    currency: Currency,
    at: At,
}

impl FromRequest for Csv {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        let accepted = Accepted {
            codings: CODINGS,
            max_bytes: MAX_BYTES,
        };
        Box::pin(async move {
            let bytes = body::read_in_time(&req, payload, accepted).await?;
            check_media_type(req.headers())?;
            let currency = req.extensions().get::<Caller>().map(|one| one.currency);
            let mut at = At::new(currency);
            let key = idempotency::key_of_bytes(&req, &bytes, &mut at)?;
            let currency = currency.ok_or_else(|| {
                tracing::error!("a table was sent by nobody");
                Problem::internal()
            })?;
            Ok(Self {
                bytes,
                key,
                currency,
                at,
            })
        })
    }
}

/// The rows of a request, and its idempotency key.
pub type Parsed<R> = (Vec<ImportRow<R>>, Option<IdempotencyKey>);

impl Csv {
    /// Parses the rows on a thread that serves no requests. `check` reports the faults of a row whose cells are valid
    /// one by one.
    ///
    /// # Errors
    /// `validation_failed` with every fault.
    pub async fn parse<R: Record>(
        self,
        decimal: DecimalMark,
        check: impl Fn(&R, &mut RowFaults<'_>) + Send + 'static,
    ) -> Result<Parsed<R>, Problem> {
        let rules = Rules {
            currency: self.currency,
            decimal,
        };
        let (bytes, mut at, key) = (self.bytes, self.at, self.key);
        let parsed = web::block(move || {
            let rows = table::read::<R>(&bytes, rules, check, &mut at);
            at.finish(rows)
        });
        let parsed = parsed.await.map_err(|error| {
            tracing::error!(%error, "a table was not parsed");
            Problem::internal()
        })?;
        Ok((parsed?, key))
    }
}

/// Rejects every media type but `text/csv`, and every character set but UTF-8.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers
        .get(CONTENT_TYPE)
        .and_then(|text| text.to_str().ok());
    let found = named.and_then(|text| text.parse::<mime::Mime>().ok());
    let is_csv = found.is_some_and(|found| {
        let charset = found.get_param(mime::CHARSET);
        found.essence_str() == CSV && charset.is_none_or(|charset| charset == mime::UTF_8)
    });
    if is_csv {
        return Ok(());
    }
    let detail = "The Content-Type must be text/csv, and the text UTF-8.";
    Err(Problem::new(Code::UnsupportedMediaType, detail).with("media_types", vec![CSV]))
}

/// Declares a row of a table: the struct, its parser and the description of its columns.
///
/// Each field is a column of the same name. `#[example("…")]` is a table with one row.
///
/// ```
/// use entity::Money;
/// use tradeline::schema::text::{Sku, Text};
///
/// tradeline::row! {
///     /// A price.
///     #[example("sku,price\nHP-200,180.00\n")]
///     pub struct PriceRow {
///         /// The product.
///         pub sku: Sku,
///         /// The new price.
///         pub price: Money,
///         /// A remark.
///         pub note: Option<Text<1, 500>>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! row {
    (
        $(#[doc = $about:literal])*
        #[example($example:literal)]
        $vis:vis struct $name:ident {
            $($(#[doc = $doc:literal])* $field_vis:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        $vis struct $name {
            $($(#[doc = $doc])* $field_vis $field: $type,)*
        }

        impl $crate::schema::csv_body::Record for $name {
            const COLUMNS: &'static [$crate::schema::csv_body::Column] = &[
                $($crate::schema::csv_body::Column {
                    name: stringify!($field),
                    required: <$type as $crate::schema::csv_body::FromCell>::REQUIRED,
                    about: concat!($($doc),*),
                },)*
            ];

            const EXAMPLE: &'static str = $example;

            fn read(cells: &mut $crate::schema::csv_body::Cells<'_>) -> Option<Self> {
                $(let $field = cells.take();)*
                Some(Self { $($field: $field?,)* })
            }
        }
    };
}
