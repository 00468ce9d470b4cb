//! `/api/imports`: customers, products, stock and opening balances as CSV tables. All rows are written, or none.

mod customer_row;
mod opening_item_row;

use actix_web::web::Data;
use domain::catalogue::products::{self, Details, NewProduct};
use domain::foundation::imports::{Import, Imported};
use domain::identity::customers;
use domain::receivables::opening_items;
use domain::stock::inventory::{self, Mode, StockRow};
use domain::{IdempotencyKey, StoredResponse};
use entity::Money;
use entity::inventory::MAX_ON_HAND;
use entity::users::Role;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use self::customer_row::CustomerRow;
use self::opening_item_row::OpeningItemRow;
use super::products::{PurchaseLimit, limit};
use crate::access::Authenticated;
use crate::schema::csv_body::{Csv, DecimalMark, Flag, Record, RowFaults};
use crate::schema::endpoint::Endpoint;
use crate::schema::image_url::ImageUrl;
use crate::schema::problem::Problem;
use crate::schema::query::Query;
use crate::schema::response::{Response, done};
use crate::schema::text::{FromText, Prose, Sku, Text, Whole};
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
        .changes_catalogue()
        .csv_body::<ProductRow>();
    let stock = Endpoint::post("importStock", "/api/imports/stock", stock)
        .summary("Set or add to the stock of the products of a CSV table, all or none")
        .query::<MovementMode>(
            MODE,
            "`counted` sets the units on hand, `received` adds to them; counted if left out.",
        )
        .changes_catalogue()
        .csv_body::<StockLine>();
    let balances = Endpoint::post("importBalances", "/api/imports/balances", balances)
        .summary("Add what customers owed or had paid ahead before, of a CSV table, all or none")
        .csv_body::<OpeningItemRow>();
    vec![
        import(decimal(customers)),
        import(decimal(products)),
        import(stock),
        import(decimal(balances)),
    ]
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
        /// A picture at another server.
        image_url: Option<ImageUrl>,
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
                image_url: row.image_url.map(|url| url.0),
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

/// Reads the parameters that all imports have, and the rows. A dry run stores nothing, so its key is dropped.
async fn read<R: Record, T: From<R>>(
    mut query: Query,
    table: Csv,
    decimal: DecimalMark,
    check: impl Fn(&R, &mut RowFaults<'_>) + Send + 'static,
) -> Result<(Import<T>, Option<IdempotencyKey>), Problem> {
    let dry_run = query.take(DRY_RUN).unwrap_or_default();
    query.finish()?;
    let (rows, key) = table.parse(decimal, check).await?;
    let rows = rows.into_iter().map(|row| row.map(T::from));
    let import = Import {
        rows: rows.collect(),
        dry_run,
    };
    Ok((import, key.filter(|_| !dry_run)))
}

/// Reads the decimal mark of amounts.
fn decimal(query: &mut Query) -> DecimalMark {
    query.take(DecimalMark::PARAMETER).unwrap_or_default()
}

async fn customers(
    state: Data<State>,
    caller: Authenticated,
    mut query: Query,
    table: Csv,
) -> Response {
    let decimal = decimal(&mut query);
    let (import, key) = read(query, table, decimal, CustomerRow::check).await?;
    let write = caller.write(key.as_ref(), &render);
    caller.answer(customers::import(&state.database, &write, &import).await)
}

async fn products(
    state: Data<State>,
    caller: Authenticated,
    mut query: Query,
    table: Csv,
) -> Response {
    let decimal = decimal(&mut query);
    let is_https = state.site.is_https();
    let check = move |row: &ProductRow, faults: &mut RowFaults<'_>| {
        let url = row.image_url.as_ref();
        if let Some(fault) = url.and_then(|url| url.fault_at(is_https)) {
            faults.add("image_url", fault);
        }
    };
    let (import, key) = read(query, table, decimal, check).await?;
    let write = caller.write(key.as_ref(), &render);
    caller.answer(products::import(&state.database, &write, &import).await)
}

async fn stock(
    state: Data<State>,
    caller: Authenticated,
    mut query: Query,
    table: Csv,
) -> Response {
    let MovementMode(mode) = query.take(MODE).unwrap_or_default();
    let check = move |row: &StockLine, faults: &mut RowFaults<'_>| {
        if mode == Mode::Received && row.quantity.get() == 0 {
            faults.add("quantity", "must not be 0");
        }
    };
    let (import, key) = read(query, table, DecimalMark::default(), check).await?;
    let write = caller.write(key.as_ref(), &render);
    caller.answer(inventory::import(&state.database, &write, mode, &import).await)
}

async fn balances(
    state: Data<State>,
    caller: Authenticated,
    mut query: Query,
    table: Csv,
) -> Response {
    let decimal = decimal(&mut query);
    let (import, key) = read(query, table, decimal, OpeningItemRow::check).await?;
    let write = caller.write(key.as_ref(), &render);
    caller.answer(opening_items::import(&state.database, &write, &import).await)
}
