//! `/api/orders/{order_id}/credit-notes` and `/api/credit-notes`: credit notes on orders.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::receivables::credit_notes::{self, CreditNote, NewCreditNote, What};
use domain::stock::MAX_LINES;
use domain::{Database, Paging};
use entity::users::Role;
use entity::{
    CreditNoteId, Currency, CustomerId, OrderId, OrderNumber, ProductId, Quantity, UserId,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::documents::{self, DocumentView, ReversalRequest, WithBalance};
use super::orders::about;
use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::body::{Json, List, Positive};
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, View};
use crate::schema::text::{self, Amount, Text};
use crate::state::State;

const ADMIN: &[Role] = &[Role::Admin];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(
            "createCreditNote",
            "/api/orders/{order_id}/credit-notes",
            create,
        )
        .summary("Credit a part of an order, by amount or by returned items")
        .for_roles(ADMIN)
        .body::<CreditNoteRequest>()
        .created::<WithBalance<CreditNoteView>>()
        .codes(&[
            Code::OrderNotFound,
            Code::NothingToCredit,
            Code::CreditableQuantityExceeded,
            Code::CreditableAmountExceeded,
            Code::OrderCancelled,
            Code::AmountTooLarge,
        ])
        .idempotent(),
        Endpoint::get("listCreditNotes", "/api/credit-notes", list)
            .summary("List credit notes, the newest first")
            .for_roles(&[Role::Admin, Role::Staff])
            .about_orders()
            .paged()
            .ok::<Page<CreditNoteView>>(),
        Endpoint::get("getCreditNote", "/api/credit-notes/{credit_note_id}", read)
            .summary("Read a credit note")
            .for_roles(&[Role::Admin, Role::Staff])
            .ok::<CreditNoteView>()
            .codes(&[Code::NotFound]),
        Endpoint::post(
            "reverseCreditNote",
            "/api/credit-notes/{credit_note_id}/reverse",
            reverse,
        )
        .summary("Reverse a credit note: the amount that it settled is due again")
        .for_roles(ADMIN)
        .body::<ReversalRequest>()
        .created::<WithBalance<CreditNoteView>>()
        .codes(&[
            Code::NotFound,
            Code::AlreadyReversed,
            Code::CreditPaidOut,
            Code::InsufficientStock,
            Code::OrderCancelled,
            Code::AmountTooLarge,
        ])
        .idempotent(),
    ]
}

crate::body! {
    /// A new credit note, with either `amount` or `items`.
    #[example({"amount": "25.00", "reason": "scratched"})]
    pub(crate) struct CreditNoteRequest {
        /// The amount to credit.
        amount: Option<Positive>,
        /// Items to credit, at the price of their sale. Quantities of one product are added up. Units credited before
        /// are worth 0. With `restock` the note is limited to what is left of the order, which may be 0.
        items: Option<List<ItemRequest, 1, MAX_LINES>>,
        /// The reason, as shown on statements.
        reason: Text<1, 500>,
        /// Whether the items are restocked, as far as they have not come back yet; false if left out.
        restock: Option<bool>,
    }
}

crate::body! {
    /// One product of a credit note.
    pub(super) struct ItemRequest {
        /// The product.
        product_id: ProductId,
        /// The units to credit.
        quantity: Quantity,
    }
}

/// A credit note.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "amount": "25.00", "items": [], "reason": "scratched", "allocated": "25.00", "unallocated": "0.00",
    "paid_out": "0.00",
}))]
pub(super) struct CreditNoteView {
    credit_note_id: CreditNoteId,
    order_id: OrderId,
    order_number: OrderNumber,
    customer_id: CustomerId,
    amount: Amount,
    currency: Currency,
    /// Products with the units credited; empty if the note is by amount.
    items: Vec<ItemView>,
    reason: String,
    /// Whether the items were restocked.
    restock: bool,
    /// The part that settles its order, and others that its rest was allocated to.
    allocated: Amount,
    /// The part that settles no order: credit on account.
    unallocated: Amount,
    /// The part that was paid out to the customer.
    paid_out: Amount,
    /// The user or API key that entered it.
    created_by: UserId,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    /// When it was reversed; null if it is not.
    #[serde(serialize_with = "text::optional_time")]
    reversed_at: Option<DateTime<Utc>>,
    reversal_reason: Option<String>,
}

/// One product of a credit note.
#[derive(Debug, Serialize, ToSchema)]
struct ItemView {
    product_id: ProductId,
    quantity: i64,
}

impl DocumentView for CreditNoteView {
    type Document = CreditNote;

    fn of(view: &CreditNote, currency: Currency) -> Self {
        let note = &view.note;
        let reversal = view.reversal.as_ref();
        let items = view.items.iter().map(|(product_id, quantity)| ItemView {
            product_id: *product_id,
            quantity: *quantity,
        });
        Self {
            credit_note_id: note.id,
            order_id: note.order_id,
            order_number: OrderNumber::of(note.order_id),
            customer_id: note.customer_id,
            amount: Amount::of(note.amount, currency),
            currency,
            items: items.collect(),
            reason: note.reason.clone(),
            restock: note.restock,
            allocated: Amount::of(view.allocated(), currency),
            unallocated: Amount::of(view.unallocated(), currency),
            paid_out: Amount::of(view.paid_out, currency),
            created_by: note.created_by,
            created_at: note.created_at,
            reversed_at: reversal.map(|reversal| reversal.at),
            reversal_reason: reversal.map(|reversal| reversal.reason.clone()),
        }
    }

    fn location(document: &CreditNote) -> String {
        format!("/api/credit-notes/{}", document.note.id)
    }
}

fn what(body: &mut CreditNoteRequest) -> Result<What, Problem> {
    let restock = body.restock.unwrap_or(false);
    match (body.amount.take(), body.items.take()) {
        (Some(_), None) if restock => Err(Problem::fault(
            "/restock",
            "needs items: an amount cannot be restocked",
        )),
        (Some(amount), None) => Ok(What::Amount(amount.0)),
        (None, Some(items)) => {
            let items = items.into_iter();
            Ok(What::Items {
                items: items.map(|item| (item.product_id, item.quantity)).collect(),
                restock,
            })
        }
        _ => Err(Problem::fault("", "must have either amount or items")),
    }
}

impl CreditNoteRequest {
    /// The input of the domain.
    pub(crate) fn credit_note(mut self, order_id: OrderId) -> Result<NewCreditNote, Problem> {
        Ok(NewCreditNote {
            order_id,
            credited: what(&mut self)?,
            reason: self.reason.0,
        })
    }
}

async fn create(
    state: Data<State>,
    caller: Authenticated,
    id: Id<OrderId>,
    request: Json<CreditNoteRequest>,
) -> Response {
    let new = request.body.credit_note(id.0)?;
    let render = documents::render::<CreditNoteView>(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(credit_notes::create(&state.database, &write, &new).await)
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let filter = about(&mut query);
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<CreditNoteId>| {
        credit_notes::list(database, &caller, &filter, paging).await
    };
    let view = move |row| CreditNoteView::of(&row, currency);
    lists.answer(query, currency, read, view).await
}

async fn read(state: Data<State>, caller: Authenticated, id: Id<CreditNoteId>) -> Response {
    let note = credit_notes::read(&state.database, &caller, id.0).await;
    caller.answer(note.map(|note| View(CreditNoteView::of(&note, caller.currency))))
}

async fn reverse(
    state: Data<State>,
    caller: Authenticated,
    id: Id<CreditNoteId>,
    request: Json<ReversalRequest>,
) -> Response {
    let render = documents::render::<CreditNoteView>(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller
        .answer(credit_notes::reverse(&state.database, &write, id.0, &request.body.reason.0).await)
}
