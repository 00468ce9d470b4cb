//! `GET /api/customers/{customer_id}/ledger` and `/statement`: a customer's account, read only.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::foundation::dates::{self, When};
use domain::receivables::statements::{self, Entry, Statement, Totals};
use domain::{Database, Paging};
use entity::ledger_entries::Kind;
use entity::users::Role;
use entity::{
    CreditNoteId, Currency, CustomerId, LedgerEntryId, Money, OrderId, OrderNumber, PaymentId,
    PayoutId, WriteOffId,
};
use sea_orm::ActiveEnum;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Authenticated;
use crate::http::csv::{self, Lines, NotCsv};
use crate::http::listing::Listing;
use crate::schema::content_negotiation::Form;
use crate::schema::csv_dialect::Dialect;
use crate::schema::csv_text;
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::Code;
use crate::schema::query::{Page, Query};
use crate::schema::response::Response;
use crate::schema::text::{self, Amount};
use crate::state::State;

const EVERYONE: &[Role] = &[Role::Admin, Role::Staff, Role::Customer];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listLedgerEntries", "/api/customers/{customer_id}/ledger", ledger)
            .summary("List every entry of a customer's account, the newest first; a customer may read their own")
            .for_roles(EVERYONE)
            .paged()
            .ok::<Page<EntryView>>()
            .codes(&[Code::CustomerNotFound]),
        Endpoint::get("getStatement", "/api/customers/{customer_id}/statement", statement)
            .summary("Read the statement of a customer's account for a period; a customer may read their own")
            .for_roles(EVERYONE)
            .query::<When>(
                "from",
                "From the start of this day of the business, or from this moment on; from the beginning if left out.",
            )
            .query::<When>(
                "to",
                "To the end of this day of the business, or up to this moment, which is not in it; to now if left out.",
            )
            .ok::<StatementView>()
            .or_csv()
            .codes(&[Code::CustomerNotFound]),
    ]
}

/// An entry of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"kind": "charge", "order_id": "0190a5d4-7b1c-7000-8000-000000000002"}))]
pub(super) struct EntryView {
    id: LedgerEntryId,
    kind: Kind,
    /// The change of the balance; negative for an entry that lowers it.
    amount: Amount,
    currency: Currency,
    /// The balance after the entry: in the ledger by order of entering, in a statement by order of effect.
    balance_after: Amount,
    /// The order that the entry charges, credits or writes off.
    order_id: Option<OrderId>,
    /// The number of that order.
    order_number: Option<OrderNumber>,
    /// The buyer's own number of that order.
    order_reference: Option<String>,
    payment_id: Option<PaymentId>,
    payout_id: Option<PayoutId>,
    /// The method of the payment or payout.
    method: Option<String>,
    /// The external reference of the payment or payout.
    reference: Option<String>,
    credit_note_id: Option<CreditNoteId>,
    write_off_id: Option<WriteOffId>,
    /// The entry that this one reverses.
    reverses: Option<LedgerEntryId>,
    reason: Option<String>,
    /// When the entry takes effect. A payment or payout may have been made before it was entered.
    #[serde(serialize_with = "text::time")]
    effective_at: DateTime<Utc>,
    /// When the entry was entered.
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
}

/// The entries of an account in a span of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "customer_name": "Ada Lovelace", "from": "2026-01-01", "to": "2026-01-31", "opening_balance": "0.00",
    "closing_balance": "600.00",
}))]
pub(super) struct StatementView {
    customer_id: CustomerId,
    customer_name: String,
    currency: Currency,
    /// The first day or moment of the span; null if it starts with the account.
    from: Option<String>,
    /// The last day of the span, or the moment that ends it, exclusive.
    to: String,
    /// The balance at the start of the span.
    opening_balance: Amount,
    /// The entries by the time of effect, each with the balance after it.
    entries: Vec<EntryView>,
    totals: TotalsView,
    /// The balance at the end of the span, which is the opening balance of the next statement.
    closing_balance: Amount,
}

/// The sum of each kind of entry. With the opening balance they add up to the closing balance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "charges": "600.00", "payments": "0.00", "credit_notes": "0.00", "write_offs": "0.00", "payouts": "0.00", "reversals": "0.00",
}))]
pub(super) struct TotalsView {
    charges: Amount,
    payments: Amount,
    credit_notes: Amount,
    write_offs: Amount,
    payouts: Amount,
    reversals: Amount,
}

impl EntryView {
    fn of(entry: Entry, currency: Currency) -> Self {
        Self {
            id: entry.id,
            kind: entry.kind,
            amount: Amount::of(entry.amount, currency),
            currency,
            balance_after: Amount::of(entry.balance_after, currency),
            order_id: entry.order_id,
            order_number: entry.order_id.map(OrderNumber::of),
            order_reference: entry.order_reference,
            payment_id: entry.payment_id,
            payout_id: entry.payout_id,
            method: entry.method,
            reference: entry.reference,
            credit_note_id: entry.credit_note_id,
            write_off_id: entry.write_off_id,
            reverses: entry.reverses,
            reason: entry.reason,
            effective_at: entry.effective_at,
            created_at: entry.created_at,
        }
    }
}

impl TotalsView {
    fn of(totals: Totals, currency: Currency) -> Self {
        let amount = |money| Amount::of(money, currency);
        Self {
            charges: amount(totals.charges),
            payments: amount(totals.payments),
            credit_notes: amount(totals.credit_notes),
            write_offs: amount(totals.write_offs),
            payouts: amount(totals.payouts),
            reversals: amount(totals.reversals),
        }
    }
}

async fn ledger(
    lists: Listing,
    caller: Authenticated,
    id: Id<CustomerId>,
    query: Query,
) -> Response {
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<i64>| {
        statements::ledger(database, &caller, id.0, paging).await
    };
    let view = move |entry| EntryView::of(entry, currency);
    lists.answer(query, currency, read, view).await
}

async fn statement(
    state: Data<State>,
    caller: Authenticated,
    id: Id<CustomerId>,
    form: Form,
    mut query: Query,
) -> Response {
    let from = query.take::<When>("from");
    let to = query.take::<When>("to");
    let dialect = Dialect::take(&mut query);
    query.finish()?;
    let statement = statements::statement(&state.database, &caller, id.0, from, to)
        .await
        .map_err(|error| caller.problem(error))?;
    if form == Form::Csv {
        return Ok(as_csv(statement, (from, to), dialect, caller.currency));
    }
    let bounds = bounds(&statement, (from, to));
    let view = view(statement, bounds, caller.currency);
    Ok(HttpResponse::Ok().insert_header(Form::VARY).json(view))
}

/// The statement as a CSV table.
pub(crate) fn as_csv(
    statement: Statement,
    span: (Option<When>, Option<When>),
    dialect: Dialect,
    currency: Currency,
) -> HttpResponse {
    let name = format!("statement-{}", statement.last_day);
    let bounds = bounds(&statement, span);
    let lines = lines(Lines::first(dialect), statement, bounds, currency);
    csv::response(&name, lines.and_then(Lines::finish))
}

/// The first and the last day or moment of a span.
fn bounds(
    statement: &Statement,
    (from, to): (Option<When>, Option<When>),
) -> (Option<String>, String) {
    (
        from.map(written),
        to.map_or_else(|| text::rfc3339(&statement.until), written),
    )
}

/// The time in the form of the request: a day as a day, a moment as a moment.
fn written(when: When) -> String {
    match when {
        When::Day(day) => day.to_string(),
        When::Moment(moment) => text::rfc3339(&dates::exact(moment)),
    }
}

fn view(
    statement: Statement,
    (from, to): (Option<String>, String),
    currency: Currency,
) -> StatementView {
    let entries = statement.entries.into_iter();
    StatementView {
        customer_id: statement.customer.id,
        customer_name: statement.customer.name,
        currency,
        from,
        to,
        opening_balance: Amount::of(statement.opening_balance, currency),
        entries: entries
            .map(|entry| EntryView::of(entry, currency))
            .collect(),
        totals: TotalsView::of(statement.totals, currency),
        closing_balance: Amount::of(statement.closing_balance, currency),
    }
}

/// The rows of the CSV: the opening balance, the entries, the closing balance.
fn lines(
    mut lines: Lines,
    statement: Statement,
    (from, to): (Option<String>, String),
    currency: Currency,
) -> Result<Lines, NotCsv> {
    lines.add(&[
        "effective_at",
        "kind",
        "amount",
        "balance_after",
        "currency",
        "order_id",
        "method",
        "reference",
        "reason",
        "entry_id",
        "reverses",
        "order_number",
        "order_reference",
    ])?;
    let figure = |at: String, kind: &str, balance: Money| {
        let mut cells = vec![at, kind.to_owned(), String::new()];
        cells.push(balance.to_text(currency));
        cells.push(currency.to_string());
        cells.resize(13, String::new());
        cells
    };
    lines.add(&figure(
        from.unwrap_or_default(),
        "opening_balance",
        statement.opening_balance,
    ))?;
    let id = |id: Option<String>| id.unwrap_or_default();
    for entry in statement.entries {
        let note = |note: Option<String>| {
            note.as_deref()
                .map_or_else(String::new, csv_text::protected)
        };
        lines.add(&[
            text::rfc3339(&entry.effective_at),
            entry.kind.to_value(),
            entry.amount.to_text(currency),
            entry.balance_after.to_text(currency),
            currency.to_string(),
            id(entry.order_id.map(|id| id.to_string())),
            note(entry.method),
            note(entry.reference),
            note(entry.reason),
            entry.id.to_string(),
            id(entry.reverses.map(|id| id.to_string())),
            id(entry.order_id.map(|id| OrderNumber::of(id).to_string())),
            note(entry.order_reference),
        ])?;
    }
    lines.add(&figure(to, "closing_balance", statement.closing_balance))?;
    Ok(lines)
}
