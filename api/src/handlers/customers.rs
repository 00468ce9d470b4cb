//! `/api/customers`: customers' records with their credit terms.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::identity::customers::{self, CreditTerms, CustomerChange, NewCustomer};
use domain::{Caller, Database, Paging};
use entity::users::Role;
use entity::{Currency, CustomerId, Money};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::body::{Change, Json};
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::Code;
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, View, created};
use crate::schema::text::{self, Amount, Email, Text, Whole};
use crate::state::State;

const STAFF: &[Role] = &[Role::Admin, Role::Staff];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listCustomers", "/api/customers", list)
            .summary("List customers in the order in which they were added")
            .for_roles(STAFF)
            .paged()
            .ok::<Page<CustomerView>>(),
        Endpoint::post("createCustomer", "/api/customers", create)
            .summary("Add a customer; only an admin may set a credit limit or a hold")
            .for_roles(STAFF)
            .body::<CustomerRequest>()
            .created::<CustomerView>()
            .idempotent(),
        Endpoint::get("getCustomer", "/api/customers/{customer_id}", read)
            .summary("Read a customer with its balance; a customer may read their own record")
            .for_roles(&[Role::Admin, Role::Staff, Role::Customer])
            .ok::<CustomerView>()
            .codes(&[Code::CustomerNotFound]),
        Endpoint::patch("updateCustomer", "/api/customers/{customer_id}", change)
            .summary("Change a customer; only an admin may set a credit limit or a hold")
            .for_roles(STAFF)
            .body::<CustomerPatch>()
            .ok::<CustomerView>()
            .codes(&[Code::CustomerNotFound]),
    ]
}

crate::body! {
    /// A new customer.
    #[example({"name": "Ada Lovelace", "credit_limit": "1000.00"})]
    pub(super) struct CustomerRequest {
        /// The name on documents.
        name: Text<1, 200>,
        /// The email address for documents.
        email: Option<Email>,
        /// The most that the customer may owe; 0 if left out.
        credit_limit: Option<Money>,
        /// Days from a purchase until it is due; 30 if left out.
        payment_terms_days: Option<Whole<0, 365>>,
        /// Whether purchases are blocked; false if left out.
        on_hold: Option<bool>,
    }
}

crate::body! {
    /// Changes to a customer. Members that are left out keep their value.
    #[example({"credit_limit": "1500.00", "reason": "pays on time"})]
    pub(super) struct CustomerPatch {
        /// The name on documents.
        name: Option<Text<1, 200>>,
        /// The email address for documents; null removes it.
        email: Change<Email>,
        /// The most that the customer may owe. A limit below the balance blocks new purchases.
        credit_limit: Option<Money>,
        /// Days from a purchase until it is due, for purchases from now on.
        payment_terms_days: Option<Whole<0, 365>>,
        /// Whether purchases are blocked.
        on_hold: Option<bool>,
        /// The reason, for the audit entry.
        reason: Option<Text<1, 500>>,
    }
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "Ada Lovelace", "email": "ada@example.com", "credit_limit": "1000.00", "balance": "600.00",
    "available_credit": "400.00", "credit_on_account": "0.00", "payment_terms_days": 30,
}))]
pub(super) struct CustomerView {
    id: CustomerId,
    name: String,
    email: Option<String>,
    currency: Currency,
    credit_limit: Amount,
    /// The customer's debt; negative when they paid ahead.
    balance: Amount,
    /// The remaining credit; negative when the balance exceeds the limit.
    available_credit: Amount,
    /// The credit on account: amounts paid or credited that settle no order. The balance is the amounts due less this.
    credit_on_account: Amount,
    on_hold: bool,
    payment_terms_days: i32,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "text::time")]
    updated_at: DateTime<Utc>,
}

impl CustomerView {
    fn of(customer: &entity::customers::Model, caller: &Caller) -> Self {
        let amount = |money| Amount::of(money, caller.currency);
        Self {
            id: customer.id,
            name: customer.name.clone(),
            email: customer.email.clone(),
            currency: caller.currency,
            credit_limit: amount(customer.credit_limit),
            balance: amount(customer.balance),
            available_credit: amount(customer.available_credit()),
            credit_on_account: amount(customer.on_account),
            on_hold: customer.on_hold,
            payment_terms_days: customer.payment_terms_days,
            created_at: customer.created_at,
            updated_at: customer.updated_at,
        }
    }
}

async fn list(lists: Listing, caller: Authenticated, query: Query) -> Response {
    let (currency, own) = (caller.currency, caller.clone());
    let read = async move |database: &Database, paging: &Paging<CustomerId>| {
        customers::list(database, &caller, paging).await
    };
    let view = move |row| CustomerView::of(&row, &own);
    lists.answer(query, currency, read, view).await
}

async fn create(
    state: Data<State>,
    caller: Authenticated,
    request: Json<CustomerRequest>,
) -> Response {
    let body = request.body;
    let new = NewCustomer {
        name: body.name.0,
        email: body.email.map(Email::into_string),
        credit: terms(body.credit_limit, body.on_hold, body.payment_terms_days),
        self_registered: false,
    };
    let render = |customer: &entity::customers::Model| {
        created(
            &format!("/api/customers/{}", customer.id),
            &CustomerView::of(customer, &caller),
        )
    };
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(customers::create(&state.database, &write, &new).await)
}

async fn read(state: Data<State>, caller: Authenticated, id: Id<CustomerId>) -> Response {
    let customer = customers::read(&state.database, &caller, id.0).await;
    caller.answer(customer.map(|customer| View(CustomerView::of(&customer, &caller))))
}

async fn change(
    state: Data<State>,
    caller: Authenticated,
    id: Id<CustomerId>,
    request: Json<CustomerPatch>,
) -> Response {
    let body = request.body;
    let change = CustomerChange {
        name: body.name.map(|name| name.0),
        email: body.email.changed(Email::into_string),
        credit: terms(body.credit_limit, body.on_hold, body.payment_terms_days),
        reason: body.reason.map(|reason| reason.0),
    };
    let customer = customers::change(&state.database, &caller, id.0, &change).await;
    caller.answer(customer.map(|customer| View(CustomerView::of(&customer, &caller))))
}

fn terms(
    credit_limit: Option<Money>,
    on_hold: Option<bool>,
    days: Option<Whole<0, 365>>,
) -> CreditTerms {
    CreditTerms {
        credit_limit,
        on_hold,
        payment_terms_days: days.and_then(|days| days.get().try_into().ok()),
    }
}
