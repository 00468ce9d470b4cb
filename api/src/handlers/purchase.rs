//! `POST /api/purchase`: an order on credit, which takes stock and credit in one transaction.

use std::sync::Arc;

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::StoredResponse;
use domain::desk::purchase::{Purchase, Receipt};
use domain::desk::{Command, Work};
use domain::orders::OrderDetails;
use domain::stock::{Line, MAX_LINES};
use entity::orders::{PaymentMethod, Status};
use entity::users::Role;
use entity::{
    Address, Currency, CustomerId, Metadata, Money, OrderId, OrderNumber, ProductId, Quantity,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Authenticated;
use crate::schema::body::{Json, List};
use crate::schema::contact::AddressRequest;
use crate::schema::endpoint::Endpoint;
use crate::schema::metadata::NewMetadata;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::{Response, created};
use crate::schema::text::{self, Amount, Prose, Reference};
use crate::state::State;

/// A note for people.
pub(super) type Note = Prose<1, 2000>;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("createPurchase", "/api/purchase", purchase)
            .summary("Buy on credit, all or nothing")
            .for_roles(&[Role::Admin, Role::Staff, Role::Customer])
            .body::<PurchaseRequest>()
            .created::<ReceiptView>()
            .codes(&[
                Code::CustomerNotFound,
                Code::ProductNotFound,
                Code::CustomerOnHold,
                Code::CustomerOverdue,
                Code::SaleNotOpen,
                Code::PriceChanged,
                Code::PricesDiffer,
                Code::PurchaseLimitReached,
                Code::InsufficientStock,
                Code::CreditLimitExceeded,
            ])
            .idempotent(),
    ]
}

crate::body! {
    /// A purchase on credit.
    pub(crate) struct PurchaseRequest {
        /// The customer who buys. Callers with the role `customer` buy for themselves and may leave it out.
        customer_id: Option<CustomerId>,
        /// The products bought. Quantities of one product are added up.
        items: List<LineRequest, 1, MAX_LINES>,
        /// The buyer's own order number, as printed on documents.
        reference: Option<Reference>,
        /// A note for people, of several lines.
        note: Option<Note>,
        /// The address for the goods.
        delivery_address: Option<AddressRequest>,
        /// Keys of the business's programs.
        metadata: Option<NewMetadata>,
    }
}

crate::body! {
    /// One product of a purchase.
    #[example({"quantity": 3})]
    pub(crate) struct LineRequest {
        /// The product.
        product_id: ProductId,
        /// The units to buy.
        quantity: Quantity,
        /// The price that the buyer saw. The product's current price is charged: if it differs, the purchase is
        /// rejected.
        unit_price: Option<Money>,
    }
}

impl From<LineRequest> for Line {
    fn from(line: LineRequest) -> Self {
        Self {
            product_id: line.product_id,
            quantity: line.quantity,
            quoted: line.unit_price,
        }
    }
}

/// A purchase that was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "approved", "payment_method": "credit", "total_amount": "600.00", "amount_paid": "0.00",
    "amount_credited": "0.00", "amount_due": "600.00", "customer_balance": "600.00",
    "available_credit": "400.00", "reference": "PO-1234",
}))]
pub(super) struct ReceiptView {
    order_id: OrderId,
    number: OrderNumber,
    status: Status,
    payment_method: PaymentMethod,
    currency: Currency,
    customer_id: CustomerId,
    total_amount: Amount,
    amount_paid: Amount,
    amount_credited: Amount,
    amount_due: Amount,
    /// The customer's current debt.
    customer_balance: Amount,
    /// The remaining credit.
    available_credit: Amount,
    /// The buyer's own order number.
    reference: Option<String>,
    /// A note for people.
    note: Option<String>,
    /// The address for the goods.
    delivery_address: Option<Address>,
    /// Keys of the business's programs.
    metadata: Metadata,
    #[serde(serialize_with = "text::time")]
    due_at: DateTime<Utc>,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    items: Vec<SoldView>,
}

/// One item of an order, as it was at the time of the sale.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "sku": "HP-200", "name": "Headphones", "quantity": 3, "unit_price": "200.00", "line_total": "600.00",
}))]
pub(super) struct SoldView {
    pub(super) product_id: ProductId,
    pub(super) sku: String,
    pub(super) name: String,
    pub(super) quantity: i64,
    pub(super) unit_price: Amount,
    pub(super) line_total: Amount,
}

/// The details of a new order; `None` if the request has none.
pub(super) fn details(
    reference: Option<Reference>,
    note: Option<Note>,
    delivery_address: Option<AddressRequest>,
    metadata: Option<NewMetadata>,
) -> Option<Arc<OrderDetails>> {
    let details = OrderDetails {
        reference: reference.map(|text| text.0),
        note: note.map(|text| text.0),
        delivery_address: delivery_address.map(Address::from),
        metadata: NewMetadata::stored(metadata),
    };
    (!details.is_empty()).then(|| Arc::new(details))
}

async fn purchase(
    state: Data<State>,
    caller: Authenticated,
    request: Json<PurchaseRequest>,
) -> Response {
    let purchase = purchase_of(&caller, request.body)?;
    let command = Command {
        work: Work::Purchase(purchase, receipt),
        key: request.key,
        caller: caller.0.clone(),
    };
    caller.answer(state.desk.execute(command).await)
}

/// The purchase that a request asks for.
pub(crate) fn purchase_of(
    caller: &Authenticated,
    body: PurchaseRequest,
) -> Result<Purchase, Problem> {
    Ok(Purchase {
        customer_id: buyer(caller, body.customer_id)?,
        lines: body.items.0.into_iter().map(Line::from).collect(),
        details: details(
            body.reference,
            body.note,
            body.delivery_address,
            body.metadata,
        ),
    })
}

/// The customer who buys: the one named, or the caller themselves. To a caller with the role `customer`, other
/// customers do not exist.
pub(super) fn buyer(
    caller: &Authenticated,
    named: Option<CustomerId>,
) -> Result<CustomerId, Problem> {
    match named.or(caller.confined_to()) {
        Some(customer) if caller.may_act_for(customer) => Ok(customer),
        Some(other) => Err(caller.problem(domain::Error::CustomerNotFound(other))),
        None => Err(Problem::fault("/customer_id", "is required")),
    }
}

pub(super) fn receipt(receipt: &Receipt) -> StoredResponse {
    let amount = |money: Money| Amount::of(money, receipt.currency);
    let details = receipt.details.as_deref().cloned().unwrap_or_default();
    let view = ReceiptView {
        order_id: receipt.order_id,
        number: OrderNumber::of(receipt.order_id),
        status: Status::Approved,
        payment_method: PaymentMethod::Credit,
        currency: receipt.currency,
        customer_id: receipt.customer_id,
        total_amount: amount(receipt.total),
        amount_paid: amount(receipt.amount_paid()),
        amount_credited: amount(receipt.amount_credited()),
        amount_due: amount(receipt.total - receipt.amount_paid() - receipt.amount_credited()),
        customer_balance: amount(receipt.charge.balance_after),
        available_credit: amount(receipt.available_credit),
        reference: details.reference,
        note: details.note,
        delivery_address: details.delivery_address,
        metadata: details.metadata.unwrap_or_default(),
        due_at: receipt.due_at,
        created_at: receipt.created_at,
        items: receipt
            .lines
            .iter()
            .map(|line| SoldView {
                product_id: line.product_id,
                sku: line.sku.to_string(),
                name: line.name.to_string(),
                quantity: line.quantity,
                unit_price: amount(line.unit_price),
                line_total: amount(line.line_total),
            })
            .collect(),
    };
    created(&format!("/api/orders/{}", receipt.order_id), &view)
}
