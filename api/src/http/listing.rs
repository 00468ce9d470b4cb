//! Lists: a page as JSON, or all rows that the filters select as CSV.
//!
//! The columns of a CSV table are the members of the list's row that have one value, in the order of their declaration,
//! flattened parts first. So a list declares nothing for its table. Objects and lists of objects are left out. A list of words is one cell.
//! A table is read by pages of [`csv::page`], each in a transaction of its own, so its length costs no memory.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::future::{Ready, ready};
use std::rc::Rc;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderValue, VARY};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use domain::audit::changes::{Changes, Following};
use domain::{Database, Paging};
use entity::Currency;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::http::connection_progress::Watched;
use crate::http::csv::{self, Columns};
use crate::http::entity_tag::KnownTags;
use crate::schema::content_negotiation::{CSV_SUFFIX, Form, JSON};
use crate::schema::csv_dialect::Dialect;
use crate::schema::csv_text;
use crate::schema::cursor_seal::CursorSeal;
use crate::schema::problem::Problem;
use crate::schema::query::{CountedPage, Page, Query};
use crate::schema::response::{Response, View, json};

/// The parameters that order the rows of a list.
const ORDERING: [&str; 2] = ["sort", "by"];

/// The reading of a list by one request.
#[derive(Debug)]
pub struct Listing {
    database: web::Data<Database>,
    form: Form,
    watched: Watched,
    /// The name of the list: the last segment of its path.
    name: String,
    /// The seal of the cursors of its pages.
    seal: CursorSeal,
    /// The seal of the cursors of its changes.
    seal_of_changes: CursorSeal,
    /// Counts all rows; `None` for a list whose rows are not counted.
    count: Option<Count>,
    /// The tags of the pages that the client has; `None` for a list whose pages have no tag.
    known: Option<KnownTags>,
}

/// A count that begins when it is first polled.
struct Count(LocalBoxFuture<'static, Result<u64, domain::Error>>);

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Count")
    }
}

impl Listing {
    /// With `count=true` the page has the number of all rows too, as `count` finds it.
    #[must_use]
    pub fn counted(
        mut self,
        count: impl AsyncFnOnce(&Database) -> Result<u64, domain::Error> + 'static,
    ) -> Self {
        let database = self.database.clone();
        self.count = Some(Count(Box::pin(async move { count(&database).await })));
        self
    }

    /// Each page has a tag, by which a client asks for it again.
    #[must_use]
    pub fn tagged(mut self, known: KnownTags) -> Self {
        self.known = Some(known);
        self
    }

    /// Whether the answer is a page as JSON, and not all rows as CSV.
    #[must_use]
    pub fn is_page(&self) -> bool {
        self.form == Form::Json
    }

    /// Reads the requested page, or with CSV all pages, and answers with a view of each row. Ends the reading of the
    /// query. The view decides the columns.
    ///
    /// # Errors
    /// `validation_failed` with every fault of the query; the error of the count or the first page. A later page that
    /// fails ends the connection, so that a table never looks complete.
    pub async fn answer<T, K, V>(
        self,
        mut query: Query,
        currency: Currency,
        read: impl AsyncFn(&Database, &Paging<K>) -> Result<domain::Page<T, K>, domain::Error> + 'static,
        view: impl Fn(T) -> V + 'static,
    ) -> Response
    where
        T: 'static,
        K: FromStr + Display + 'static,
        V: Serialize + ToSchema,
    {
        if self.form == Form::Csv {
            return self.table(query, currency, read, view).await;
        }
        Dialect::take(&mut query);
        query.unseal(&self.seal);
        let paging = query.paging();
        let count = self.count.filter(|_| query.count());
        query.finish()?;
        let problem = |error| Problem::of(error, currency);
        let counted = match count {
            Some(count) => Some(count.0.await.map_err(problem)?),
            None => None,
        };
        let page = read(&self.database, &paging).await.map_err(problem)?;
        let page = CountedPage::of(Page::of(page, view).sealed(&self.seal), counted);
        let mut response = match self.known {
            Some(known) => known.answer(JSON, json(&page)),
            None => HttpResponse::Ok().json(page),
        };
        let vary = HeaderValue::from_static(Form::VARY.1);
        response.headers_mut().insert(VARY, vary);
        Ok(response)
    }

    /// The requested page of changes, if the query asks for one. Changes are JSON only: in a request for CSV,
    /// `updated_since` stays an unknown parameter.
    pub fn following(&self, query: &mut Query) -> Option<Following> {
        match self.form {
            Form::Json => {
                query.unseal_if_of(&self.seal_of_changes);
                query.following()
            }
            Form::Csv => None,
        }
    }

    /// A page of changes with a view of each row.
    pub fn changes<R, V>(&self, changes: Changes<R>, view: impl FnMut(R) -> V) -> View<Page<V>> {
        View(Page::of_changes(changes, view).sealed(&self.seal_of_changes))
    }

    /// The database of the list.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// All rows as CSV.
    async fn table<T, K, V>(
        self,
        mut query: Query,
        currency: Currency,
        read: impl AsyncFn(&Database, &Paging<K>) -> Result<domain::Page<T, K>, domain::Error> + 'static,
        view: impl Fn(T) -> V + 'static,
    ) -> Response
    where
        T: 'static,
        K: FromStr + Display + 'static,
        V: Serialize + ToSchema,
    {
        let dialect = Dialect::take(&mut query);
        query.refuse_paging();
        query.finish()?;
        let first = read(&self.database, &csv::page(None)).await;
        let first = first.map_err(|error| Problem::of(error, currency))?;
        let heads = columns::<V>();
        let names = heads.clone();
        let columns = Columns {
            dialect,
            heads,
            line: move |row| cells(&names, &view(row)),
        };
        let (read, database) = (Rc::new(read), self.database);
        let next = move |key| {
            let (read, database) = (Rc::clone(&read), database.clone());
            async move { read(&database, &csv::page(Some(key))).await }
        };
        Ok(csv::streamed(
            &self.name,
            self.watched,
            columns,
            first,
            next,
        ))
    }
}

impl FromRequest for Listing {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Self::of(req, payload))
    }
}

impl Listing {
    fn of(req: &HttpRequest, payload: &mut Payload) -> Result<Self, Problem> {
        let form = Form::from_request(req, payload).into_inner()?;
        let Ok::<_, Infallible>(watched) = Watched::from_request(req, payload).into_inner();
        let database = req.app_data::<web::Data<Database>>().ok_or_else(|| {
            tracing::error!("the app lacks its database");
            Problem::internal()
        })?;
        let path = req.path().strip_suffix(CSV_SUFFIX);
        let path = path.unwrap_or_else(|| req.path());
        let name = path.rsplit('/').next().unwrap_or_default();
        let mut query = Query::of(req.query_string());
        let order = ORDERING.map(|parameter| query.take_text(parameter));
        // The name is a literal of the endpoint table. The filter keeps any other text out of the header.
        let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
        Ok(Self {
            database: database.clone(),
            form,
            watched,
            name: name.chars().filter(is_plain).collect(),
            seal: CursorSeal::of(path, &order),
            seal_of_changes: CursorSeal::of(&format!("changes of {path}"), &[]),
            count: None,
            known: None,
        })
    }
}

/// The form of a row's member in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// One value, or a list of words.
    Written,
    /// An object or a list of objects.
    LeftOut,
}

/// The schemas that a row's schema refers to, by name.
type Components = Vec<(String, RefOr<Schema>)>;

/// The columns of a table of these rows.
#[must_use]
pub fn columns<V: ToSchema>() -> Vec<String> {
    let mut components = Components::new();
    V::schemas(&mut components);
    let mut names = Vec::new();
    add_columns(&V::schema(), &components, &mut names);
    names
}

/// Adds the columns of an object, or of the parts of a flattened one.
fn add_columns(schema: &RefOr<Schema>, components: &Components, names: &mut Vec<String>) {
    match resolved(schema, components) {
        Some(Schema::Object(object)) => {
            let written = object
                .properties
                .iter()
                .filter(|(_, member)| cell(member, components) == Cell::Written);
            names.extend(written.map(|(name, _)| name.clone()));
        }
        Some(Schema::AllOf(all)) => {
            for part in &all.items {
                add_columns(part, components, names);
            }
        }
        _ => {}
    }
}

fn resolved<'a>(schema: &'a RefOr<Schema>, components: &'a Components) -> Option<&'a Schema> {
    match schema {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next()?;
            let (_, schema) = components.iter().find(|(known, _)| known == name)?;
            resolved(schema, components)
        }
    }
}

fn cell(member: &RefOr<Schema>, components: &Components) -> Cell {
    let Some(schema) = resolved(member, components) else {
        // A type of another crate, such as an id, is text.
        return Cell::Written;
    };
    match schema {
        Schema::Object(object) if has_type(&object.schema_type, &Type::Object) => Cell::LeftOut,
        Schema::Object(object) if object.schema_type == SchemaType::AnyValue => Cell::LeftOut,
        Schema::Object(_) => Cell::Written,
        Schema::Array(array) => match &array.items {
            utoipa::openapi::schema::ArrayItems::RefOrSchema(items) => cell(items, components),
            utoipa::openapi::schema::ArrayItems::False => Cell::LeftOut,
        },
        // An optional value: null, or the value.
        Schema::OneOf(one) => {
            let is_left_out = |part| cell(part, components) == Cell::LeftOut;
            match one.items.iter().any(is_left_out) {
                true => Cell::LeftOut,
                false => Cell::Written,
            }
        }
        _ => Cell::LeftOut,
    }
}

fn has_type(schema_type: &SchemaType, wanted: &Type) -> bool {
    match schema_type {
        SchemaType::Type(one) => one == wanted,
        SchemaType::Array(several) => several.contains(wanted),
        SchemaType::AnyValue => false,
    }
}

/// The cells of a row, one for each column.
#[must_use]
pub fn cells(columns: &[String], view: &impl Serialize) -> Vec<String> {
    let row = match serde_json::to_value(view) {
        Ok(Value::Object(row)) => row,
        other => {
            tracing::error!(?other, "the row of a list is not an object");
            Map::new()
        }
    };
    let cells = columns.iter().map(|name| row.get(name).map(written));
    cells.map(Option::unwrap_or_default).collect()
}

fn written(value: &Value) -> String {
    match value {
        Value::Null | Value::Object(_) => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if is_negative_number(text) => text.clone(),
        Value::String(text) => csv_text::protected(text),
        Value::Array(words) => {
            let words: Vec<String> = words.iter().map(written).collect();
            words.join(" ")
        }
    }
}

/// Whether the text is a minus and digits, with or without a decimal point. Spreadsheets read it as a number, so it needs
/// no protection, and an amount with an apostrophe could not be added up.
fn is_negative_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix('-').is_some_and(|rest| {
        let (whole, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
        digits(whole) && digits(fraction)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::CustomerId;
    use entity::orders::{Attention, Status};

    /// A row with a member of every kind.
    #[derive(Serialize, ToSchema)]
    struct RowView {
        zone: String,
        customer_id: CustomerId,
        status: Status,
        amount: crate::schema::text::Amount,
        note: Option<String>,
        was: Option<Status>,
        attention: Vec<Attention>,
        count: i64,
        active: bool,
        part: PartView,
        maybe: Option<PartView>,
        parts: Vec<PartView>,
        before: Value,
        #[serde(flatten)]
        more: PartView,
    }

    #[derive(Serialize, ToSchema, Clone)]
    struct PartView {
        x: i64,
    }

    #[test]
    fn the_columns_are_the_members_with_one_value_in_declared_order() {
        assert_eq!(
            columns::<RowView>().join(","),
            "x,zone,customer_id,status,amount,note,was,attention,count,active"
        );
    }

    #[test]
    fn cells_are_numbers_and_protected_text() {
        let part = PartView { x: -3 };
        let row = RowView {
            zone: "=1+1".to_owned(),
            customer_id: CustomerId(uuid::Uuid::nil()),
            status: Status::PaymentPending,
            amount: crate::schema::text::Amount::of(entity::Money::ZERO, Currency::USD),
            note: None,
            was: Some(Status::Paid),
            attention: vec![Attention::DisputeOpen, Attention::RefundFailed],
            count: -7,
            active: true,
            part: part.clone(),
            maybe: None,
            parts: vec![part.clone()],
            before: Value::Null,
            more: part,
        };
        let columns = columns::<RowView>();
        assert_eq!(
            cells(&columns, &row).join("|"),
            "-3|'=1+1|00000000-0000-0000-0000-000000000000|payment_pending|0.00||paid|dispute_open refund_failed|-7|true"
        );
    }

    #[test]
    fn a_negative_amount_stays_a_number_and_a_formula_does_not() {
        for amount in ["-30.00", "-1", "-0.5"] {
            assert_eq!(written(&Value::from(amount)), amount);
        }
        for formula in [
            "-1+1", "-", "-.5", "-1.", "--1", "-1 ", "-1.0.0", "+1+1", "=-1",
        ] {
            assert!(
                written(&Value::from(formula)).starts_with('\''),
                "{formula}"
            );
        }
    }
}
