//! `/api/imports`: customers, products and stock as CSV tables. All rows are written, or none.

use actix_web::web::Data;
use domain::StoredResponse;
use domain::catalogue::products::{self, Details, NewProduct};
use domain::foundation::imports::{Import, ImportRow, Imported};
use domain::identity::customers::{self, CreditTerms, CustomerDetails, NewCustomer};
use domain::stock::inventory::{self, Mode, StockRow};
use entity::inventory::MAX_ON_HAND;
use entity::users::Role;
use entity::{Address, AddressKind, CustomerAddress, CustomerAddresses, Money};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::products::{PurchaseLimit, limit};
use crate::access::Authenticated;
use crate::schema::contact::{Country, Phone, VatNumber};
use crate::schema::csv_body::{Csv, DecimalMark, Flag, RowFaults};
use crate::schema::endpoint::Endpoint;
use crate::schema::query::Query;
use crate::schema::response::{Response, done};
use crate::schema::text::{Email, FromText, Prose, Reference, Sku, Text, Whole};
use crate::state::State;

const ADMIN: &[Role] = &[Role::Admin];

/// The query parameter that asks for the checks alone.
const DRY_RUN: &str = "dry_run";

/// The query parameter that gives the quantities their meaning.
const MODE: &str = "mode";

/// Units of a product.
type Count = Whole<0, MAX_ON_HAND>;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let import = |endpoint: Endpoint| {
        endpoint
            .for_roles(ADMIN)
            .query::<bool>(
                DRY_RUN,
                "`true` checks the table and writes nothing; false if left out.",
            )
            .ok::<ImportView>()
            .idempotent()
    };
    let decimal = |endpoint: Endpoint| {
        endpoint.query::<DecimalMark>(
            DecimalMark::PARAMETER,
            "The decimal mark of amounts; a point if left out.",
        )
    };
    let customers = Endpoint::post("importCustomers", "/api/imports/customers", customers)
        .summary("Add customers of a CSV table, all or none")
        .csv_body::<CustomerRow>();
    let products = Endpoint::post("importProducts", "/api/imports/products", products)
        .summary("Add products of a CSV table with their first stock, all or none")
        .csv_body::<ProductRow>();
    let stock = Endpoint::post("importStock", "/api/imports/stock", stock)
        .summary("Set or add to the stock of the products of a CSV table, all or none")
        .query::<MovementMode>(
            MODE,
            "`counted` sets the units on hand, `received` adds to them; counted if left out.",
        )
        .csv_body::<StockLine>();
    vec![
        import(decimal(customers)),
        import(decimal(products)),
        import(stock),
    ]
}

crate::row! {
    /// A customer of a table.
    #[example("reference,name,email,credit_limit\nC-1001,Ada Lovelace,ada@example.com,1000.00\n")]
    struct CustomerRow {
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
        /// The most that the customer may owe; 0 if empty.
        credit_limit: Option<Money>,
        /// Days from a purchase until it is due; 30 if empty.
        payment_terms_days: Option<Whole<0, 365>>,
        /// Whether purchases are blocked; false if empty.
        on_hold: Option<Flag>,
        /// The name on the billing address; the customer's own name if empty.
        billing_name: Option<Text<1, 200>>,
        /// Street and house number of the billing address. Required if it has any other cell.
        billing_line1: Option<Text<1, 200>>,
        /// More of the billing address.
        billing_line2: Option<Text<1, 200>>,
        /// The postal code of the billing address.
        billing_postal_code: Option<Text<1, 20>>,
        /// The town or city of the billing address.
        billing_city: Option<Text<1, 100>>,
        /// The state, province or prefecture of the billing address.
        billing_region: Option<Text<1, 100>>,
        /// The two letters of the country of the billing address. Required if it has any other cell.
        billing_country: Option<Country>,
        /// The name on the delivery address; the customer's own name if empty.
        delivery_name: Option<Text<1, 200>>,
        /// Street and house number of the delivery address. Required if it has any other cell.
        delivery_line1: Option<Text<1, 200>>,
        /// More of the delivery address.
        delivery_line2: Option<Text<1, 200>>,
        /// The postal code of the delivery address.
        delivery_postal_code: Option<Text<1, 20>>,
        /// The town or city of the delivery address.
        delivery_city: Option<Text<1, 100>>,
        /// The state, province or prefecture of the delivery address.
        delivery_region: Option<Text<1, 100>>,
        /// The two letters of the country of the delivery address. Required if it has any other cell.
        delivery_country: Option<Country>,
    }
}

crate::row! {
    /// A product of a table.
    #[example("sku,name,price,on_hand\nHP-300,Headphones,300.00,40\n")]
    struct ProductRow {
        /// The SKU, unique in the business. Case and character width are ignored.
        sku: Sku,
        /// The product's name.
        name: Text<1, 200>,
        /// A longer description.
        description: Option<Prose<0, 5000>>,
        /// The price of one unit.
        price: Money,
        /// The most units that one customer may ever buy; no limit if empty.
        limit_per_customer: Option<PurchaseLimit>,
        /// Whether the product is on sale; true if empty.
        active: Option<Flag>,
        /// The first units on hand; 0 if empty.
        on_hand: Option<Count>,
    }
}

crate::row! {
    /// The stock of a product in a table.
    #[example("sku,quantity\nHDP-001,40\n")]
    struct StockLine {
        /// The SKU of the product, in any case and width.
        sku: Sku,
        /// The units that were counted, or that were received.
        quantity: Count,
        /// A remark.
        note: Option<Text<1, 500>>,
    }
}

/// The cells of an address.
struct AddressCells<'a> {
    kind: AddressKind,
    /// The start of the columns' names.
    prefix: &'static str,
    name: Option<&'a Text<1, 200>>,
    line1: Option<&'a Text<1, 200>>,
    line2: Option<&'a Text<1, 200>>,
    postal_code: Option<&'a Text<1, 20>>,
    city: Option<&'a Text<1, 100>>,
    region: Option<&'a Text<1, 100>>,
    country: Option<&'a Country>,
}

impl AddressCells<'_> {
    fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.line1.is_none()
            && self.line2.is_none()
            && self.postal_code.is_none()
            && self.city.is_none()
            && self.region.is_none()
            && self.country.is_none()
    }

    /// Reports the required cells that an address lacks.
    fn check(&self, faults: &mut RowFaults<'_>) {
        let required = [
            ("line1", self.line1.is_some()),
            ("country", self.country.is_some()),
        ];
        for (part, _) in required.iter().filter(|(_, is_given)| !is_given) {
            let column = format!("{}_{part}", self.prefix);
            faults.add(&column, "is required with the other cells of the address");
        }
    }

    /// The address; `None` if its cells are empty.
    fn address(&self) -> Option<CustomerAddress> {
        Some(CustomerAddress {
            kind: self.kind,
            address: Address {
                name: self.name.map(|text| text.0.clone()),
                line1: self.line1?.0.clone(),
                line2: self.line2.map(|text| text.0.clone()),
                postal_code: self.postal_code.map(|text| text.0.clone()),
                city: self.city.map(|text| text.0.clone()),
                region: self.region.map(|text| text.0.clone()),
                country: self.country?.0.clone(),
            },
        })
    }
}

impl CustomerRow {
    fn addresses(&self) -> [AddressCells<'_>; 2] {
        let billing = AddressCells {
            kind: AddressKind::Billing,
            prefix: "billing",
            name: self.billing_name.as_ref(),
            line1: self.billing_line1.as_ref(),
            line2: self.billing_line2.as_ref(),
            postal_code: self.billing_postal_code.as_ref(),
            city: self.billing_city.as_ref(),
            region: self.billing_region.as_ref(),
            country: self.billing_country.as_ref(),
        };
        let delivery = AddressCells {
            kind: AddressKind::Delivery,
            prefix: "delivery",
            name: self.delivery_name.as_ref(),
            line1: self.delivery_line1.as_ref(),
            line2: self.delivery_line2.as_ref(),
            postal_code: self.delivery_postal_code.as_ref(),
            city: self.delivery_city.as_ref(),
            region: self.delivery_region.as_ref(),
            country: self.delivery_country.as_ref(),
        };
        [billing, delivery]
    }

    fn check(&self, faults: &mut RowFaults<'_>) {
        let addresses = self.addresses();
        let given = addresses.iter().filter(|address| !address.is_empty());
        given.for_each(|address| address.check(faults));
    }
}

impl From<CustomerRow> for NewCustomer {
    fn from(row: CustomerRow) -> Self {
        let addresses = row.addresses();
        let addresses = addresses.iter().filter_map(AddressCells::address);
        let addresses = CustomerAddresses(addresses.collect());
        Self {
            name: row.name.0,
            email: row.email.map(Email::into_string),
            details: CustomerDetails {
                reference: row.reference.map(|text| text.0),
                contact: row.contact.map(|text| text.0),
                phone: row.phone.map(|phone| phone.0),
                vat_number: row.vat_number.map(|number| number.0),
                addresses: Some(addresses).filter(|addresses| !addresses.0.is_empty()),
                metadata: None,
            },
            credit: CreditTerms {
                credit_limit: row.credit_limit,
                on_hold: row.on_hold.map(|flag| flag.0),
                payment_terms_days: row
                    .payment_terms_days
                    .and_then(|days| days.get().try_into().ok()),
            },
            self_registered: false,
        }
    }
}

impl From<ProductRow> for NewProduct {
    fn from(row: ProductRow) -> Self {
        Self {
            details: Details {
                sku: row.sku.0,
                name: row.name.0,
                description: row.description.map(|text| text.0),
                price: row.price,
                limit_per_customer: row.limit_per_customer.and_then(limit),
                active: row.active.is_none_or(|flag| flag.0),
                metadata: None,
            },
            stock: row.on_hand.map_or(0, Whole::get),
        }
    }
}

impl From<StockLine> for StockRow {
    fn from(row: StockLine) -> Self {
        Self {
            sku: row.sku.0,
            quantity: row.quantity.get(),
            note: row.note.map(|note| note.0),
        }
    }
}

/// The meaning of the quantities in a table of stock.
#[derive(Debug, Clone, Copy, Default)]
struct MovementMode(Mode);

impl MovementMode {
    const ALL: [(&str, Mode); 2] = [("counted", Mode::Counted), ("received", Mode::Received)];
}

impl FromText for MovementMode {
    fn from_text(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found
            .map(|(_, mode)| Self(mode))
            .ok_or_else(|| "must be counted or received".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(Self::ALL.map(|(name, _)| name)))
            .into()
    }
}

/// The outcome of an import.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"dry_run": false, "rows": 250}))]
struct ImportView {
    /// True if the rows were only checked.
    dry_run: bool,
    /// The rows that were written; in a dry run, that would be written.
    rows: usize,
}

fn render(imported: &Imported) -> StoredResponse {
    done(&ImportView {
        dry_run: imported.dry_run,
        rows: imported.rows,
    })
}

/// The import of these rows.
fn import<R, T: From<R>>(rows: Vec<ImportRow<R>>, dry_run: bool) -> Import<T> {
    let rows = rows.into_iter().map(|row| row.map(T::from));
    Import {
        rows: rows.collect(),
        dry_run,
    }
}

async fn customers(
    state: Data<State>,
    caller: Authenticated,
    mut query: Query,
    table: Csv,
) -> Response {
    let dry_run = query.take(DRY_RUN).unwrap_or_default();
    let decimal = query.take(DecimalMark::PARAMETER).unwrap_or_default();
    query.finish()?;
    let (rows, key) = table.parse(decimal, CustomerRow::check).await?;
    let import = import::<_, NewCustomer>(rows, dry_run);
    // A dry run stores nothing, its response neither.
    let write = caller.write(key.as_ref().filter(|_| !dry_run), &render);
    caller.answer(customers::import(&state.database, &write, &import).await)
}

async fn products(
    state: Data<State>,
    caller: Authenticated,
    mut query: Query,
    table: Csv,
) -> Response {
    let dry_run = query.take(DRY_RUN).unwrap_or_default();
    let decimal = query.take(DecimalMark::PARAMETER).unwrap_or_default();
    query.finish()?;
    let (rows, key) = table.parse::<ProductRow>(decimal, |_, _| {}).await?;
    let import = import::<_, NewProduct>(rows, dry_run);
    let write = caller.write(key.as_ref().filter(|_| !dry_run), &render);
    caller.answer(products::import(&state.database, &write, &import).await)
}

async fn stock(
    state: Data<State>,
    caller: Authenticated,
    mut query: Query,
    table: Csv,
) -> Response {
    let dry_run = query.take(DRY_RUN).unwrap_or_default();
    let MovementMode(mode) = query.take(MODE).unwrap_or_default();
    query.finish()?;
    let check = move |row: &StockLine, faults: &mut RowFaults<'_>| {
        if mode == Mode::Received && row.quantity.get() == 0 {
            faults.add("quantity", "must not be 0");
        }
    };
    let (rows, key) = table.parse(DecimalMark::default(), check).await?;
    let import = import::<_, StockRow>(rows, dry_run);
    let write = caller.write(key.as_ref().filter(|_| !dry_run), &render);
    caller.answer(inventory::import(&state.database, &write, mode, &import).await)
}
