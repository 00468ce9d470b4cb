//! What a batch reads: its rows, locked, and what is to be known beside them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::{
    BusinessId, CustomerId, Money, ProductId, Tenant, customers, inventory, order_items, orders,
    products,
};
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{Expr, ExprTrait, LockType};
use sea_orm::{
    ColumnTrait, FromQueryResult, IntoSimpleExpr, JoinType, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, RelationTrait,
};
use uuid::Uuid;

use super::Command;
use super::decision::{Account, Books, Stock};
use crate::{Database, Error, Transaction};

/// How the desk's statements are planned: without sequential scans, and once for all values. On tables that were empty
/// when they were last analysed the foreign-key checks would otherwise scan them whole, at a sixth of the speed, until
/// the next analyse.
const PLANNING: [&str; 3] = [
    "enable_seqscan = off",
    "plan_cache_mode = force_generic_plan",
    "jit = off",
];

/// Begins a selling transaction.
pub(super) async fn begin(database: &Database, business: BusinessId) -> Result<Transaction, Error> {
    let whose = format!("app.business_id = '{business}'");
    database.begin_with(&whose, &PLANNING).await
}

/// The rows of a batch, locked, and the database's time.
pub(super) struct Locked {
    pub(super) books: Books,
    pub(super) terms: HashMap<CustomerId, i32>,
    pub(super) now: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct CustomerRow {
    id: CustomerId,
    credit_limit: Money,
    balance: Money,
    on_hold: bool,
    payment_terms_days: i32,
    now: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct StockRow {
    product_id: ProductId,
    on_hand: i64,
    reserved: i64,
    sku: String,
    name: String,
    price: Money,
    active: bool,
    limit_per_customer: Option<i32>,
}

/// Locks customers by id, then inventory rows by product id: the one order of every path.
pub(super) async fn lock(
    transaction: &Transaction,
    business: BusinessId,
    jobs: &[Command],
) -> Result<Locked, Error> {
    let customer_ids = distinct(jobs.iter().map(|job| job.purchase.customer_id.0));
    let customers = customers::Entity::of(business)
        .select_only()
        .columns([
            customers::Column::Id,
            customers::Column::CreditLimit,
            customers::Column::Balance,
            customers::Column::OnHold,
            customers::Column::PaymentTermsDays,
        ])
        .expr_as(Expr::current_timestamp(), "now")
        .filter(is_any(customers::Column::Id, customer_ids))
        .order_by_asc(customers::Column::Id)
        .lock_exclusive()
        .into_model::<CustomerRow>()
        .all(transaction)
        .await?;

    let product_ids = distinct(jobs.iter().flat_map(|job| {
        let lines = job.purchase.lines.iter();
        lines.map(|line| line.product_id.0)
    }));
    let mut stock = inventory::Entity::of(business)
        .select_only()
        .columns([
            inventory::Column::ProductId,
            inventory::Column::OnHand,
            inventory::Column::Reserved,
        ])
        .columns([
            products::Column::Sku,
            products::Column::Name,
            products::Column::Price,
            products::Column::Active,
            products::Column::LimitPerCustomer,
        ])
        .join(JoinType::InnerJoin, inventory::Relation::Products.def())
        .filter(is_any(inventory::Column::ProductId, product_ids))
        .order_by_asc(inventory::Column::ProductId);
    // The catalogue is only read: its editors do not wait for sales.
    QueryTrait::query(&mut stock).lock_with_tables(LockType::Update, [inventory::Entity]);
    let stock = stock.into_model::<StockRow>().all(transaction).await?;

    let now = customers
        .first()
        .map_or(DateTime::UNIX_EPOCH, |row| row.now);
    let terms = customers
        .iter()
        .map(|row| (row.id, row.payment_terms_days))
        .collect();
    let mut books = books_of(customers, stock);
    read_bought(transaction, business, &mut books).await?;
    Ok(Locked { books, terms, now })
}

fn books_of(customers: Vec<CustomerRow>, stock: Vec<StockRow>) -> Books {
    let accounts = customers.into_iter().map(|row| {
        let account = Account {
            credit_limit: row.credit_limit,
            balance: row.balance,
            on_hold: row.on_hold,
            bought: HashMap::new(),
        };
        (row.id, account)
    });
    let shelf = stock.into_iter().map(|row| {
        let stock = Stock {
            sku: row.sku.into(),
            name: row.name.into(),
            price: row.price,
            active: row.active,
            limit_per_customer: row.limit_per_customer.map(i64::from),
            on_hand: row.on_hand,
            reserved: row.reserved,
        };
        (row.product_id, stock)
    });
    Books {
        accounts: accounts.collect(),
        shelf: shelf.collect(),
    }
}

/// For limited products, which are few: what each locked customer has bought of them and not given back.
async fn read_bought(
    transaction: &Transaction,
    business: BusinessId,
    books: &mut Books,
) -> Result<(), Error> {
    #[derive(FromQueryResult)]
    struct Bought {
        customer_id: CustomerId,
        product_id: ProductId,
        quantity: i64,
    }

    let limited: Vec<Uuid> = books
        .shelf
        .iter()
        .filter(|(_, stock)| stock.limit_per_customer.is_some())
        .map(|(id, _)| id.0)
        .collect();
    if limited.is_empty() {
        return Ok(());
    }
    let buyers = books.accounts.keys().map(|id| id.0).collect();
    let bought = orders::Entity::of(business)
        .select_only()
        .column(orders::Column::CustomerId)
        .column(order_items::Column::ProductId)
        .expr_as(
            order_items::Column::Quantity
                .into_simple_expr()
                .sum()
                .cast_as("bigint"),
            "quantity",
        )
        .join(JoinType::InnerJoin, orders::Relation::OrderItems.def())
        .filter(is_any(orders::Column::CustomerId, buyers))
        .filter(is_any(order_items::Column::ProductId, limited))
        .filter(orders::Column::Status.ne(orders::Status::Cancelled))
        .group_by(orders::Column::CustomerId)
        .group_by(order_items::Column::ProductId)
        .into_model::<Bought>()
        .all(transaction)
        .await?;
    for row in bought {
        if let Some(account) = books.accounts.get_mut(&row.customer_id) {
            account.bought.insert(row.product_id, row.quantity);
        }
    }
    Ok(())
}

/// Sorted, each once: one statement serves a batch of any size, and twins do not ask twice.
fn distinct(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// `column = ANY($n)`: an array, so that a batch of 7 and one of 60 are the same prepared statement.
pub(super) fn is_any(column: impl ColumnTrait, ids: Vec<Uuid>) -> Expr {
    Expr::col(column.as_column_ref()).eq(PgFunc::any(ids))
}
