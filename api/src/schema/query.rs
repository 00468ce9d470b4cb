//! Parser of query strings, which reports all faults at once, and pages of lists.
//!
//! ```ignore
//! async fn list(caller: Authenticated, mut query: Query) -> Result<HttpResponse, Problem> {
//!     let status = query.take::<orders::Status>("status");
//!     let paging = query.paging();
//!     query.finish()?;
//! ```

use std::borrow::Cow;
use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Display;
use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::Paging;
use domain::audit::changes::{Changes, Following, Position, Start};
use domain::foundation::dates::When;
use entity::{Currency, Money};
use serde::Serialize;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::schema::cursor_seal::CursorSeal;
use crate::schema::faults::{At, MAX_FAULTS};
use crate::schema::problem::Problem;
use crate::schema::text::{AmountText, FromText, Whole};

/// The query parameters that have not been read yet, and the faults of those that have.
#[derive(Debug)]
pub struct Query {
    pairs: Vec<(String, String)>,
    at: At,
    /// What [`Query::finish`] reports about the parameters that are left.
    unread: &'static str,
}

impl Query {
    /// Decodes a query string.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut at = At::new(None);
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text).map_or_else(
            |_undecodable| {
                at.fault_at("?", "cannot be decoded");
                Vec::new()
            },
            web::Query::into_inner,
        );
        let unread = "is not a known parameter";
        Self { pairs, at, unread }
    }

    /// Reads a parameter; `None` if it is absent or faulty. [`Query::finish`] reports the fault.
    pub fn take<T: FromText>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        T::from_text(&text)
            .map_err(|message| self.fault(name, message))
            .ok()
    }

    /// Parses the text of a parameter that was read as it was sent; `None` after a fault.
    pub fn parse<T: FromText>(&mut self, name: &str, text: &str) -> Option<T> {
        T::from_text(text)
            .map_err(|message| self.fault(name, message))
            .ok()
    }

    /// Reads a parameter as it was sent; `None` if it is absent or repeated.
    pub fn take_text(&mut self, name: &str) -> Option<String> {
        self.text(name)
    }

    /// Whether a parameter is present and not read yet.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(other, _)| other == name)
    }

    /// Reads the requested page from `limit` and `cursor`. `K` is the key of the list's rows.
    pub fn paging<K: FromStr>(&mut self) -> Paging<K> {
        Paging {
            limit: self.limit(),
            after: self.take::<Cursor<K>>("cursor").map(|cursor| cursor.0),
        }
    }

    /// Reads an amount in the currency of the business.
    pub fn amount(&mut self, name: &str, currency: Currency) -> Option<Money> {
        let AmountText(text) = self.take(name)?;
        let amount = Money::parse(&text, currency);
        amount
            .map_err(|invalid| self.fault(name, invalid.to_string()))
            .ok()
    }

    /// Reads two amounts, the least and the greatest.
    pub fn amounts(
        &mut self,
        (min, max): (&str, &str),
        currency: Currency,
    ) -> (Option<Money>, Option<Money>) {
        let span = (self.amount(min, currency), self.amount(max, currency));
        if let (Some(least), Some(greatest)) = span
            && least > greatest
        {
            self.fault(max, format!("must not be less than {min}"));
        }
        span
    }

    /// Reads two times, the first and the last.
    pub fn span(&mut self, (from, to): (&str, &str)) -> (Option<When>, Option<When>) {
        let span = (self.take::<When>(from), self.take::<When>(to));
        if let (Some(first), Some(last)) = span
            && first.is_after(last)
        {
            self.fault(to, format!("must not be before {from}"));
        }
        span
    }

    /// Reads whether the rows of the whole list are to be counted.
    pub fn count(&mut self) -> bool {
        self.take("count").unwrap_or(false)
    }

    /// Takes the seal off the cursor. A cursor without this seal is a fault.
    pub fn unseal(&mut self, seal: &CursorSeal) {
        if !self.unseal_if_of(seal) && self.has(CURSOR) {
            self.pairs.retain(|(name, _)| name != CURSOR);
            self.fault(CURSOR, NOT_OF_LIST);
        }
    }

    /// Takes the seal off the cursor if it has this one, and returns whether it had.
    pub fn unseal_if_of(&mut self, seal: &CursorSeal) -> bool {
        let cursor = self.pairs.iter_mut().find(|(name, _)| name == CURSOR);
        let Some((_, text)) = cursor else {
            return false;
        };
        let opened = seal.take_off(text).map(str::to_owned);
        let is_of = opened.is_some();
        if let Some(opened) = opened {
            *text = opened;
        }
        is_of
    }

    /// Rejects a cursor of a list in another order. Leaves the cursor unread.
    pub fn expect_cursor<K: FromStr>(&mut self, is_of_list: impl Fn(&K) -> bool) {
        let mut cursors = self.pairs.iter().filter(|(name, _)| name == CURSOR);
        let cursor = cursors.next().map(|(_, text)| Cursor::<K>::from_text(text));
        if let Some(Ok(Cursor(key))) = cursor
            && !is_of_list(&key)
        {
            self.fault(CURSOR, NOT_OF_LIST);
        }
    }

    fn limit(&mut self) -> u64 {
        let limit = self.take::<Limit>("limit");
        limit.map_or(DEFAULT_LIMIT, |limit| limit.get().unsigned_abs())
    }

    /// Reads the requested page of changes, if `updated_since` or a cursor of changes asks for one. The list's filters
    /// are faults then, so this comes before them.
    pub fn following(&mut self) -> Option<Following> {
        let is_cursor = |(name, text): &(String, String)| {
            name == CURSOR && Cursor::<Position>::from_text(text).is_ok()
        };
        let continues = self.pairs.iter().any(is_cursor);
        let since = self.take::<When>("updated_since").map(Start::Since);
        if since.is_none() && !continues {
            return None;
        }
        self.unread = "is not a parameter of changes: it cannot be used with updated_since";
        // A client may repeat `updated_since` beside the cursor, as it repeats the filters of a list.
        let cursor = self.take::<Cursor<Position>>("cursor");
        let start = cursor.map(|cursor| Start::After(cursor.0)).or(since)?;
        Some(Following {
            limit: self.limit(),
            start,
        })
    }

    /// Refuses `limit` and `cursor` for a table with all rows.
    pub fn refuse_paging(&mut self) {
        for name in ["limit", "cursor"] {
            if self.text(name).is_some() {
                self.fault(name, "must be left out with CSV, which has all rows");
            }
        }
    }

    /// Reports a fault of a parameter, for example of a rule that concerns several.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.at.fault_at(format!("?{name}"), message);
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `validation_failed` with every fault. An unknown parameter is a fault.
    pub fn finish(mut self) -> Result<(), Problem> {
        // Each pair is examined once: a caller without a credential may send tens of thousands.
        let mut seen = HashSet::new();
        for (name, _) in std::mem::take(&mut self.pairs) {
            if seen.len() == MAX_FAULTS {
                break;
            }
            if !seen.contains(&name) {
                self.fault(&name, self.unread);
                seen.insert(name);
            }
        }
        self.at.finish(Some(()))
    }

    /// Drops empty parameters: the fields of a search form that were left empty.
    #[must_use]
    pub fn without_empty(mut self) -> Self {
        self.pairs.retain(|(_, text)| !text.is_empty());
        self
    }

    /// Ends the reading of a page's address. An unknown parameter is ignored: links from elsewhere have their own.
    /// Returns a sentence about the first fault, if there is one.
    #[must_use]
    pub fn fault_of_page(self) -> Option<String> {
        let faults = self.at.problem().faults_by_field();
        let (name, message) = faults.first()?;
        Some(format!("{} {message}.", name.trim_start_matches('?')))
    }

    /// Ends the reading of the address of a page that shows each fault beside its field. As [`Query::fault_of_page`].
    #[must_use]
    pub fn faults_of_page(self) -> Vec<(String, String)> {
        let faults = self.at.problem().faults_by_field().into_iter();
        faults
            .map(|(name, message)| (name.trim_start_matches('?').to_owned(), message))
            .collect()
    }

    /// Joins the values of a repeated parameter with commas: the ticked boxes of one name in a form.
    #[must_use]
    pub fn joined(mut self, name: &str) -> Self {
        let found = self.pairs.extract_if(.., |(other, _)| other == name);
        let values: Vec<String> = found.map(|(_, text)| text).collect();
        if !values.is_empty() {
            self.pairs.push((name.to_owned(), values.join(",")));
        }
        self
    }

    /// The text of a parameter, which stays unread; empty if it is absent.
    #[must_use]
    pub fn peek(&self, name: &str) -> &str {
        let found = self.pairs.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, text)| text)
    }

    /// Drops a parameter that was read elsewhere.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.pairs.retain(|(other, _)| other != name);
        self
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let mut found = self.pairs.extract_if(.., |(other, _)| other == name);
        let (_, text) = found.next()?;
        let repeated = found.count() > 0;
        if repeated {
            self.fault(name, "must not be repeated");
            return None;
        }
        Some(text)
    }
}

/// Marks a request whose `business` parameter was read by the access check. It is stored in the request's extensions.
#[derive(Debug)]
pub struct BusinessIsRead;

impl FromRequest for Query {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let query = Self::of(req.query_string());
        let is_read = req.extensions().contains::<BusinessIsRead>();
        // The access check has read it.
        let query = if is_read {
            query.without("business")
        } else {
            query
        };
        ready(Ok(query))
    }
}

/// The rows per page if the client does not set `limit`.
const DEFAULT_LIMIT: u64 = 50;

/// The rows per page that a client may ask for.
pub type Limit = Whole<1, 200>;

/// The parameter with the end of the previous page.
const CURSOR: &str = "cursor";

/// The fault of a cursor that another list returned.
const NOT_OF_LIST: &str =
    "must be the next_cursor of an earlier page of this list, in the same order";

/// The end of a page: the key of its last row. It is encoded so that clients do not rely on its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor<K>(pub K);

impl<K: Display> Cursor<K> {
    /// The form that clients see.
    #[must_use]
    pub fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.to_string())
    }
}

impl<K: FromStr> FromText for Cursor<K> {
    fn from_text(text: &str) -> Result<Self, String> {
        BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| text.parse().ok())
            .map(Self)
            .ok_or_else(|| "must be the next_cursor of an earlier page".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .into()
    }
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// The value of `cursor` for the next page; null on the last page of a list, never of changes.
    pub next_cursor: Option<String>,
    /// Of a page of changes, whether the next one may have rows now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_more: Option<bool>,
}

impl<T> Page<T> {
    /// The page with a sealed cursor.
    #[must_use]
    pub fn sealed(mut self, seal: &CursorSeal) -> Self {
        self.next_cursor = self.next_cursor.map(|cursor| seal.put_on(&cursor));
        self
    }

    /// A page with a view of each row.
    #[must_use]
    pub fn of<R, K: Display>(page: domain::Page<R, K>, view: impl FnMut(R) -> T) -> Self {
        Self {
            data: page.rows.into_iter().map(view).collect(),
            next_cursor: page.next.map(|key| Cursor(key).encode()),
            has_more: None,
        }
    }

    /// A page of changes with a view of each row.
    #[must_use]
    pub fn of_changes<R>(changes: Changes<R>, view: impl FnMut(R) -> T) -> Self {
        Self {
            data: changes.rows.into_iter().map(view).collect(),
            next_cursor: Some(Cursor(changes.next).encode()),
            has_more: Some(changes.has_more),
        }
    }
}

// Written by hand: the derived name is `Page` for every row type, so that all lists would share one schema.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let next_cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some(
                "The `cursor` of the next page; null on the last page of a list, never of changes.",
            ));
        let has_more = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Boolean))
            .description(Some(
                "Only with `updated_since` or its cursor: whether the next page may have rows now.",
            ));
        let rows = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
        ObjectBuilder::new()
            .description(Some("A page of a list."))
            .property("data", rows)
            .property("next_cursor", next_cursor)
            .property("has_more", has_more)
            .required("data")
            .required("next_cursor")
            .into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("PageOf{}", T::name()))
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

/// Rows are counted up to this number.
const MAX_COUNT: u64 = 10_000;

/// The number of rows that a list reads to count up to [`MAX_COUNT`] exactly.
pub const ROWS_TO_COUNT: u64 = MAX_COUNT + 1;

/// A page of a list whose rows can be counted.
#[derive(Debug, Serialize)]
pub struct CountedPage<T> {
    #[serde(flatten)]
    page: Page<T>,
    #[serde(flatten)]
    count: Option<RowCount>,
}

/// The number of rows of a whole list.
#[derive(Debug, Serialize)]
struct RowCount {
    count: u64,
    count_is_exact: bool,
}

impl<T> CountedPage<T> {
    /// The page with the number of rows, of which at most [`ROWS_TO_COUNT`] were counted.
    #[must_use]
    pub fn of(page: Page<T>, counted: Option<u64>) -> Self {
        let count = counted.map(|rows| RowCount {
            count: rows.min(MAX_COUNT),
            count_is_exact: rows <= MAX_COUNT,
        });
        Self { page, count }
    }
}

impl<T: ToSchema> PartialSchema for CountedPage<T> {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut page)) = Page::<T>::schema() else {
            return Page::<T>::schema();
        };
        let count = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Integer))
            .minimum(Some(0_i64))
            .maximum(Some(10_000_i64))
            .description(Some(
                "The rows of all pages, up to 10,000. Only with `count=true`.",
            ));
        let is_exact = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Boolean))
            .description(Some(
                "False if there are more rows. Only with `count=true`.",
            ));
        page.properties.insert("count".to_owned(), count.into());
        page.properties
            .insert("count_is_exact".to_owned(), is_exact.into());
        Schema::Object(page).into()
    }
}

impl<T: ToSchema> ToSchema for CountedPage<T> {
    fn name() -> Cow<'static, str> {
        Page::<T>::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Page::<T>::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::CustomerId;
    use entity::orders::Status;
    use serde_json::{Value, json};

    fn faults(query: Query) -> Value {
        match query.finish() {
            Ok(()) => json!([]),
            Err(problem) => {
                let body: Value = serde_json::from_str(&problem.body("", "")).unwrap();
                body["errors"].clone()
            }
        }
    }

    #[test]
    fn parameters_are_read_by_their_types() {
        let id = CustomerId::new();
        let mut query = Query::of(&format!("customer_id={id}&status=payment_pending&limit=7"));
        assert_eq!(query.take("customer_id"), Some(id));
        assert_eq!(query.take("status"), Some(Status::PaymentPending));
        assert_eq!(query.take::<CustomerId>("other"), None);
        assert_eq!(
            query.paging::<CustomerId>(),
            Paging {
                limit: 7,
                after: None
            }
        );
        assert_eq!(faults(query), json!([]));
    }

    #[test]
    fn a_cursor_survives_the_round_trip() {
        let id = CustomerId::new();
        let mut query = Query::of(&format!("cursor={}", Cursor(id).encode()));
        assert_eq!(
            query.paging(),
            Paging {
                limit: 50,
                after: Some(id)
            }
        );
        assert_eq!(faults(query), json!([]));
    }

    #[test]
    fn changes_begin_with_a_time_and_go_on_with_a_cursor_of_changes() {
        let id = CustomerId::new();
        let position: Position = format!("7 {id} {id}").parse().unwrap();
        let cursor = Cursor(position).encode();
        let since = "updated_since=2026-11-29T12:00:00Z";
        let start = |text: &str| {
            let mut query = Query::of(text);
            let start = query.following().map(|following| following.start);
            (start, faults(query))
        };
        assert_eq!(start("limit=7").0, None);
        assert_eq!(start(&format!("cursor={}", Cursor(id).encode())).0, None);
        assert!(matches!(start(since), (Some(Start::Since(_)), none) if none == json!([])));
        for text in [
            format!("cursor={cursor}"),
            format!("{since}&cursor={cursor}"),
        ] {
            assert_eq!(start(&text), (Some(Start::After(position)), json!([])));
        }
        assert_eq!(
            start(&format!(
                "{since}&cursor={}&status=paid",
                Cursor(id).encode()
            ))
            .1,
            json!([
                {"pointer": "?cursor", "message": "must be the next_cursor of an earlier page"},
                {"pointer": "?status", "message":
                    "is not a parameter of changes: it cannot be used with updated_since"},
            ])
        );
    }

    /// The number of names is the most that a request's head can hold. A comparison of each with each takes 20 seconds.
    #[test]
    fn unknown_parameters_cost_no_more_than_reading_them() {
        let names: Vec<String> = (0..60_000).map(|name| format!("{name:x}")).collect();
        let query = Query::of(&names.join("&"));
        let started = std::time::Instant::now();
        let faults = faults(query);
        assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
        let faults = faults.as_array().unwrap();
        assert_eq!(faults.len(), MAX_FAULTS);
        assert_eq!(faults[0]["pointer"], "?0");
    }

    #[test]
    fn every_fault_is_reported() {
        let mut query = Query::of("limit=201&cursor=%00&status=lost&from=a&from=b&typo=1&typo=2");
        query.paging::<CustomerId>();
        query.take::<Status>("status");
        query.take::<bool>("from");
        assert_eq!(
            faults(query),
            json!([
                {"pointer": "?limit", "message": "must be a whole number from 1 to 200"},
                {"pointer": "?cursor", "message": "must be the next_cursor of an earlier page"},
                {"pointer": "?status", "message":
                    "must be one of created, payment_pending, approved, paid, fulfilled, cancelled"},
                {"pointer": "?from", "message": "must not be repeated"},
                {"pointer": "?typo", "message": "is not a known parameter"},
            ])
        );
    }
}
