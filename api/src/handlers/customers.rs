//! `/api/customers`: customers' records with their credit terms.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::foundation::search::Search;
use domain::identity::customer_changes;
use domain::identity::customers::{
    self, CreditTerms, CustomerChange, CustomerDetails, CustomerDetailsChange, CustomerKey, Filter,
    NewCustomer, Sort,
};
use domain::{Caller, Database, Paging};
use entity::users::Role;
use entity::{Currency, CustomerAddress, CustomerAddresses, CustomerId, Metadata, Money};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::body::{Change, Json, List, Replace};
use crate::schema::contact::{CustomerAddressRequest, Phone, VatNumber};
use crate::schema::endpoint::Endpoint;
use crate::schema::metadata::{self, MetadataPatch, NewMetadata};
use crate::schema::path::Id;
use crate::schema::problem::Code;
use crate::schema::query::{CountedPage, Query, ROWS_TO_COUNT};
use crate::schema::response::{Response, View, created};
use crate::schema::text::{self, Amount, Email, FromText, Reference, Text, Whole};
use crate::state::State;

const STAFF: &[Role] = &[Role::Admin, Role::Staff];

/// The addresses of a customer.
pub(crate) type Addresses = List<CustomerAddressRequest, 0, { CustomerAddresses::MAX }>;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listCustomers", "/api/customers", list)
            .summary("List customers, in the order in which they were added or by name")
            .for_roles(STAFF)
            .query::<Search>(
                "q",
                "Words of the name, email address, reference, VAT number or telephone number.",
            )
            .query::<bool>(
                "on_hold",
                "Only customers whose purchases are blocked, or are not.",
            )
            .query::<Sort>("sort", "The order of the list; `created_at` if left out.")
            .paged()
            .followed()
            .counted()
            .ok::<CountedPage<CustomerView>>(),
        Endpoint::post("createCustomer", "/api/customers", create)
            .summary("Add a customer; only an admin may set a credit limit or a hold")
            .for_roles(STAFF)
            .body::<CustomerRequest>()
            .created::<CustomerView>()
            .codes(&[Code::AlreadyExists])
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
            .codes(&[Code::CustomerNotFound, Code::AlreadyExists]),
        Endpoint::put(
            "replaceAddresses",
            "/api/customers/{customer_id}/addresses",
            replace_addresses,
        )
        .summary("Replace the addresses of a customer; a customer may replace their own")
        .for_roles(&[Role::Admin, Role::Staff, Role::Customer])
        .body::<AddressesRequest>()
        .ok::<CustomerView>()
        .codes(&[Code::CustomerNotFound, Code::AddressesChanged]),
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
        /// The customer's number in the books of the business. Unique in the business.
        reference: Option<Reference>,
        /// The person to talk to.
        contact: Option<Text<1, 200>>,
        /// The telephone number.
        phone: Option<Phone>,
        /// The VAT number. Spaces, dots and hyphens are ignored, as is the case of letters.
        vat_number: Option<VatNumber>,
        /// The addresses.
        addresses: Option<Addresses>,
        /// Keys of the business's programs.
        metadata: Option<NewMetadata>,
        /// The most that the customer may owe; 0 if left out.
        credit_limit: Option<Money>,
        /// Days from a purchase until it is due; 30 if left out.
        payment_terms_days: Option<Whole<0, 365>>,
        /// Whether purchases, card orders and reservations are refused; false if left out.
        on_hold: Option<bool>,
    }
}

crate::body! {
    /// Changes to a customer. Members that are left out keep their value.
    #[example({"credit_limit": "1500.00", "reason": "pays on time"})]
    pub(super) struct CustomerPatch {
        /// The name on documents.
        name: Replace<Text<1, 200>>,
        /// The email address for documents; null removes it.
        email: Change<Email>,
        /// The customer's number in the books of the business. Unique in the business; null removes it.
        reference: Change<Reference>,
        /// The person to talk to; null removes it.
        contact: Change<Text<1, 200>>,
        /// The telephone number; null removes it.
        phone: Change<Phone>,
        /// The VAT number. Spaces, dots and hyphens are ignored, as is the case of letters; null removes it.
        vat_number: Change<VatNumber>,
        /// The addresses. They replace the earlier ones; null removes all.
        addresses: Change<Addresses>,
        /// Keys that change. Null or an empty text removes a key; null in place of the object removes all.
        metadata: Change<MetadataPatch>,
        /// The most that the customer may owe. A limit below the balance blocks further purchases on credit.
        credit_limit: Replace<Money>,
        /// Days from a purchase until it is due, for purchases from now on.
        payment_terms_days: Replace<Whole<0, 365>>,
        /// Whether purchases, card orders and reservations are refused.
        on_hold: Replace<bool>,
        /// The reason, for the audit entry.
        reason: Option<Text<1, 500>>,
    }
}

crate::body! {
    /// The addresses of a customer.
    #[example({
        "addresses": [{
            "kind": "delivery", "line1": "12 St James's Square", "postal_code": "SW1Y 4JH", "city": "London",
            "country": "GB",
        }],
        "replaces": [],
    })]
    pub(super) struct AddressesRequest {
        /// All addresses that the customer is to have. The first of a kind is its default.
        addresses: Addresses,
        /// The addresses as they were read. If the customer has others by now, nothing is changed. If left out, any
        /// addresses are replaced.
        replaces: Option<Addresses>,
    }
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "Ada Lovelace", "email": "ada@example.com", "credit_limit": "1000.00", "balance": "600.00",
    "available_credit": "400.00", "credit_on_account": "0.00", "payment_terms_days": 30,
    "reference": "C-1001", "phone": "+44 20 7946 0000", "metadata": {},
}))]
pub(super) struct CustomerView {
    id: CustomerId,
    name: String,
    email: Option<String>,
    /// The customer's number in the books of the business.
    reference: Option<String>,
    /// The person to talk to.
    contact: Option<String>,
    phone: Option<String>,
    vat_number: Option<String>,
    /// The addresses. The first of a kind is its default.
    addresses: Vec<CustomerAddress>,
    /// Keys of the business's programs.
    metadata: Metadata,
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
            reference: customer.reference.clone(),
            contact: customer.contact.clone(),
            phone: customer.phone.clone(),
            vat_number: customer.vat_number.clone(),
            addresses: customer.addresses.clone().unwrap_or_default().0,
            metadata: metadata::shown(customer.metadata.as_ref(), Some(caller)),
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

impl FromText for Sort {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "created_at" => Ok(Self::CreatedAt),
            "name" => Ok(Self::Name),
            _ => Err("must be one of created_at, name".to_owned()),
        }
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(["created_at", "name"]))
            .into()
    }
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    if let Some(following) = lists.following(&mut query) {
        query.finish()?;
        let changes = customer_changes::list_changes(lists.database(), &caller, &following).await;
        return caller.answer(
            changes.map(|page| lists.changes(page, |row| CustomerView::of(&row, &caller))),
        );
    }
    let filter = Filter {
        search: query.take("q"),
        on_hold: query.take("on_hold"),
        sort: query.take("sort").unwrap_or_default(),
    };
    let (currency, own) = (caller.currency, caller.clone());
    let (counter, counted) = (caller.clone(), filter.clone());
    let count = async move |database: &Database| {
        customers::count(database, &counter, &counted, ROWS_TO_COUNT).await
    };
    let read = async move |database: &Database, paging: &Paging<CustomerKey>| {
        customers::list(database, &caller, &filter, paging).await
    };
    let view = move |row| CustomerView::of(&row, &own);
    lists
        .counted(count)
        .answer(query, currency, read, view)
        .await
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
        details: CustomerDetails {
            reference: body.reference.map(|text| text.0),
            contact: body.contact.map(|text| text.0),
            phone: body.phone.map(|text| text.0),
            vat_number: body.vat_number.map(|text| text.0),
            addresses: body.addresses.and_then(addresses),
            metadata: NewMetadata::stored(body.metadata),
        },
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
        name: body.name.value().map(|name| name.0),
        email: body.email.changed(Email::into_string),
        details: CustomerDetailsChange {
            reference: body.reference.changed(|text| text.0),
            contact: body.contact.changed(|text| text.0),
            phone: body.phone.changed(|text| text.0),
            vat_number: body.vat_number.changed(|text| text.0),
            addresses: body.addresses.changed(addresses).map(Option::flatten),
            metadata: body.metadata.into(),
        },
        credit: terms(
            body.credit_limit.value(),
            body.on_hold.value(),
            body.payment_terms_days.value(),
        ),
        reason: body.reason.map(|reason| reason.0),
    };
    let customer = customers::change(&state.database, &caller, id.0, &change).await;
    caller.answer(customer.map(|customer| View(CustomerView::of(&customer, &caller))))
}

async fn replace_addresses(
    state: Data<State>,
    caller: Authenticated,
    id: Id<CustomerId>,
    request: Json<AddressesRequest>,
) -> Response {
    let AddressesRequest {
        addresses: wished,
        replaces,
    } = request.body;
    let (wished, read) = (list_of(wished), replaces.map(list_of));
    let database = &state.database;
    let customer =
        customers::replace_addresses(database, &caller, id.0, &wished, read.as_ref()).await;
    caller.answer(customer.map(|customer| View(CustomerView::of(&customer, &caller))))
}

/// The addresses to store; `None` for an empty list.
fn addresses(list: Addresses) -> Option<CustomerAddresses> {
    Some(list_of(list)).filter(|addresses| !addresses.0.is_empty())
}

/// The addresses of a list.
pub(crate) fn list_of(list: Addresses) -> CustomerAddresses {
    CustomerAddresses(list.into_iter().map(CustomerAddress::from).collect())
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
