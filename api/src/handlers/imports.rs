//! `/api/imports`: customers, products and stock as CSV tables. All rows are written, or none.

use actix_web::web::Data;
use domain::StoredResponse;
use domain::catalogue::products::{self, Details, NewProduct};
use domain::foundation::imports::{Import, ImportRow, Imported};
use domain::identity::customers::{self, CreditTerms, NewCustomer};
use domain::stock::inventory::{self, Mode, StockRow};
use entity::Money;
use entity::inventory::MAX_ON_HAND;
use entity::users::Role;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::products::{PurchaseLimit, limit};
use crate::access::Authenticated;
use crate::schema::csv_body::{Csv, DecimalMark, Flag};
use crate::schema::endpoint::Endpoint;
use crate::schema::problem::{Fault, Problem};
use crate::schema::query::Query;
use crate::schema::response::{Response, done};
use crate::schema::text::{Email, FromText, Prose, Sku, Text, Whole};
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
    #[example("name,email,credit_limit\nAda Lovelace,ada@example.com,1000.00\n")]
    struct CustomerRow {
        /// The name on documents.
        name: Text<1, 200>,
        /// The email address for documents.
        email: Option<Email>,
        /// The most that the customer may owe; 0 if empty.
        credit_limit: Option<Money>,
        /// Days from a purchase until it is due; 30 if empty.
        payment_terms_days: Option<Whole<0, 365>>,
        /// Whether purchases are blocked; false if empty.
        on_hold: Option<Flag>,
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

/// The import of these rows, each as `into` makes it.
fn import<R, T>(rows: Vec<ImportRow<R>>, dry_run: bool, into: impl Fn(R) -> T) -> Import<T> {
    let rows = rows.into_iter().map(|row| row.map(&into));
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
    let (rows, key) = table.parse::<CustomerRow>(decimal).await?;
    let import = import(rows, dry_run, |row| NewCustomer {
        name: row.name.0,
        email: row.email.map(Email::into_string),
        credit: CreditTerms {
            credit_limit: row.credit_limit,
            on_hold: row.on_hold.map(|flag| flag.0),
            payment_terms_days: row
                .payment_terms_days
                .and_then(|days| days.get().try_into().ok()),
        },
        self_registered: false,
    });
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
    let (rows, key) = table.parse::<ProductRow>(decimal).await?;
    let import = import(rows, dry_run, |row| NewProduct {
        details: Details {
            sku: row.sku.0,
            name: row.name.0,
            description: row.description.map(|text| text.0),
            price: row.price,
            limit_per_customer: row.limit_per_customer.and_then(limit),
            active: row.active.is_none_or(|flag| flag.0),
        },
        stock: row.on_hand.map_or(0, Whole::get),
    });
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
    let (rows, key) = table.parse::<StockLine>(DecimalMark::default()).await?;
    if mode == Mode::Received {
        refuse_nothing(&rows)?;
    }
    let import = import(rows, dry_run, |row| StockRow {
        sku: row.sku.0,
        quantity: row.quantity.get(),
        note: row.note.map(|note| note.0),
    });
    let write = caller.write(key.as_ref().filter(|_| !dry_run), &render);
    caller.answer(inventory::import(&state.database, &write, mode, &import).await)
}

/// Rejects rows without units: nothing was received.
fn refuse_nothing(rows: &[ImportRow<StockLine>]) -> Result<(), Problem> {
    let empty = rows.iter().filter(|row| row.value.quantity.get() == 0);
    let faults = empty.map(|row| Fault::in_row(row.line, Some("quantity"), "must not be 0"));
    let faults: Vec<Fault> = faults.collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::of_faults(faults))
    }
}
