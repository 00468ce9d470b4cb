//! What a batch reads: its rows, locked, and what is to be known beside them.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use entity::{BusinessId, CustomerId, Money, OrderId, ProductId, Tenant, TimeZone, orders};
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, Statement,
};
use uuid::Uuid;

use super::command::{Command, Work, distinct};
use super::decision::{BatchState, Buyer, CatalogueItem, Holds, OverdueOrder, Selling};
use super::pipeline::{Assumed, Predictions, Version};
use super::{holds, purchase_history};
use crate::catalogue::sales;
use crate::foundation::database::Session;
use crate::foundation::dates::past_due_bound;
use crate::receivables::allocations::on_account;
use crate::receivables::ledger;
use crate::stock::locked_stock::{self, LockedStock, StockLevel, Wanted};
use crate::{Error, Transaction};

/// How the desk's statements are planned: without sequential scans, and once for all values. On tables that were empty
/// when they were last analysed the foreign-key checks would otherwise scan them whole, at a sixth of the speed, until
/// the next analyse.
const PLANNING: [&str; 3] = [
    "enable_seqscan = off",
    "plan_cache_mode = force_generic_plan",
    "jit = off",
];

/// Begins a selling transaction.
pub(super) async fn begin(
    session: &mut Session,
    business: BusinessId,
) -> Result<Transaction, Error> {
    let whose = format!("app.business_id = '{business}'");
    session.begin_with(&whose, &PLANNING).await
}

/// The rows of a batch, locked, with the database's time after the locks.
pub(super) struct LockedBatch {
    pub(super) books: BatchState,
    pub(super) terms: HashMap<CustomerId, i32>,
    /// That of the business, by which what is sold is due.
    pub(super) time_zone: TimeZone,
    /// The stock as it was read or promised.
    pub(super) assumed: Assumed,
    /// The rows say that nothing of this stock is held or waited for, not even by reservations that have expired.
    pub(super) has_no_holds: bool,
}

/// Locks and reads, in one round trip: customers by id, then inventory rows by product id, the one order of every path.
/// The count of the customers makes the stock wait for them. The catalogue is only read: its editors do not wait for
/// sales. The clock is read as each row of stock is had: the latest is the time after all locks. The settings of the
/// business come along with the customers.
macro_rules! read {
    ($stock:literal) => {
        concat!(
            "
WITH account AS MATERIALIZED (
    SELECT id, credit_limit, balance, on_hold, payment_terms_days, entry_count, on_account
      FROM customers
     WHERE business_id = $1 AND id = ANY ($2)
     ORDER BY id
       FOR UPDATE
), stock AS MATERIALIZED (
    SELECT product_id, on_hand, reserved, waiting, places_given, xmin::text::bigint AS version
      FROM inventory
     WHERE business_id = $1 AND product_id = ANY ($3) AND (SELECT count(*) FROM account) >= 0
     ORDER BY product_id
       ",
            $stock,
            "
)
SELECT true AS is_account, id, credit_limit, balance, on_hold, payment_terms_days, now(),
       entry_count, on_account, business.block_after_days,
       NULL AS on_hand, NULL AS reserved, NULL AS sku, NULL AS name, NULL AS price, NULL AS active, NULL AS most,
       NULL AS waiting, NULL AS places_given, NULL AS in_sale, NULL AS version, business.time_zone
  FROM account, (SELECT block_after_days, time_zone FROM businesses WHERE id = $1) AS business
 UNION ALL
SELECT false, product_id, NULL, NULL, NULL, NULL, clock_timestamp(),
       NULL, NULL, NULL,
       on_hand, reserved, sku, name, price, active, limit_per_customer, waiting, places_given, in_sale, version, NULL
  FROM stock JOIN products ON products.business_id = $1 AND products.id = stock.product_id"
        )
    };
}

/// As most batches begin.
const LOCK: &str = read!("FOR NO KEY UPDATE");

/// As those begin that follow others: their stock is locked at their end.
const FOLLOW: &str = read!("");

/// Locks what a batch needs. Of a batch that follows others the customers alone: what was promised of its stock counts as if
/// it were there, and the rest is as it is at this moment. Of reservations it knows nothing.
pub(super) async fn lock(
    transaction: &Transaction,
    business: BusinessId,
    jobs: &[Command],
    predicted: &Predictions,
) -> Result<LockedBatch, Error> {
    let customers = distinct(jobs.iter().map(|job| job.customer().0));
    let products = distinct(
        jobs.iter()
            .flat_map(|job| job.products().map(|(id, _)| id.0)),
    );
    let values = [business.0.into(), customers.into(), products.into()];
    let sql = if predicted.is_empty() { LOCK } else { FOLLOW };
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);

    let mut books = BatchState {
        accounts: HashMap::new(),
        catalogue: HashMap::new(),
        shelf: LockedStock::new(DateTime::UNIX_EPOCH, HashMap::new()),
    };
    let mut terms = HashMap::new();
    let mut with_credit = Vec::new();
    let mut block_after_days: Option<i32> = None;
    let mut time_zone = TimeZone::UTC;
    let mut in_sale = Vec::new();
    let mut assumed = Assumed::new();
    for row in transaction.query_all_raw(statement).await? {
        let at: DateTime<Utc> = row.try_get_by_index(6)?;
        books.shelf.now = Ord::max(books.shelf.now, at);
        if row.try_get_by_index(0)? {
            let id: CustomerId = row.try_get_by_index(1)?;
            books.accounts.insert(id, account(&row)?);
            terms.insert(id, row.try_get_by_index(5)?);
            if row.try_get_by_index::<Money>(8)? > Money::ZERO {
                with_credit.push(id.0);
            }
            block_after_days = row.try_get_by_index(9)?;
            time_zone = row.try_get("", "time_zone")?;
        } else {
            let id: ProductId = row.try_get_by_index(1)?;
            books.catalogue.insert(id, article(&row)?);
            let mut counts = counts(&row)?;
            counts.inactive = !books.catalogue[&id].active;
            if let Some(predict) = predicted.get(&id) {
                counts.on_hand = predict.on_hand;
            }
            let version = Version::of_row(row.try_get_by_index(20)?);
            assumed.insert(id, (counts.on_hand, version));
            books.shelf.counts.insert(id, counts);
            if row.try_get_by_index(19)? {
                in_sale.push(id);
            }
        }
    }
    // None of these in most batches: few products are in a sale, limited or held, few customers pay ahead, few businesses
    // block.
    if !in_sale.is_empty() {
        read_sales(transaction, business, &mut books, in_sale).await?;
    }
    purchase_history::read(transaction, business, &mut books).await?;
    if !with_credit.is_empty() {
        read_credit(transaction, business, &mut books, with_credit).await?;
    }
    if let Some(days) = block_after_days {
        let today = time_zone.day_of(books.shelf.now);
        let bound = past_due_bound(time_zone, today, u32::try_from(days).unwrap_or(0));
        read_overdue(transaction, business, &mut books, bound).await?;
    }
    let has_no_holds = books.shelf.counts.values().all(StockLevel::has_no_holds);
    // What has expired is freed by the reader, who must have the stock locked.
    if predicted.is_empty()
        && let Some(wanted) = wanted(&books, jobs, has_no_holds)
    {
        locked_stock::read(transaction, business, &mut books.shelf, &wanted).await?;
    }
    holds::read(transaction, business, &mut books, jobs).await?;
    Ok(LockedBatch {
        books,
        terms,
        time_zone,
        assumed,
        has_no_holds,
    })
}

/// What is to be known of reservations, if anything.
fn wanted(books: &BatchState, jobs: &[Command], has_no_holds: bool) -> Option<Wanted> {
    // Whoever buys, on credit or by card, has to know of its own reservations of the same products alone.
    let only_purchases = jobs
        .iter()
        .all(|job| matches!(job.work, Work::Purchase(..) | Work::Checkout(..)));
    if only_purchases && has_no_holds {
        return None;
    }
    let mut wanted = Wanted {
        reservations: Vec::new(),
        customers: books.accounts.keys().copied().collect(),
        change: HashMap::new(),
    };
    for job in jobs {
        if let Work::Confirm(target, _)
        | Work::ConfirmByCard(target, ..)
        | Work::Cancel(target, _) = &job.work
        {
            wanted.reservations.push(target.id);
        }
        for (product, quantity) in job.products() {
            // More than is there cannot be taken.
            let on_hand = books.shelf.counts.get(&product);
            if on_hand.is_some_and(|counts| quantity <= counts.on_hand) {
                wanted.change.entry(product).or_default().taken += quantity;
            }
        }
    }
    Some(wanted)
}

fn account(row: &QueryResult) -> Result<Buyer, DbErr> {
    Ok(Buyer {
        credit_limit: row.try_get_by_index(2)?,
        ledger: ledger::Account {
            balance: row.try_get_by_index(3)?,
            entry_count: row.try_get_by_index(7)?,
            on_account: BTreeMap::new(),
        },
        on_hold: row.try_get_by_index(4)?,
        overdue: None,
        bought: HashMap::new(),
        holds: Holds::default(),
    })
}

fn article(row: &QueryResult) -> Result<CatalogueItem, DbErr> {
    let (sku, name): (String, String) = (row.try_get_by_index(12)?, row.try_get_by_index(13)?);
    let limit: Option<i32> = row.try_get_by_index(16)?;
    Ok(CatalogueItem {
        sku: sku.into(),
        name: name.into(),
        price: row.try_get_by_index(14)?,
        active: row.try_get_by_index(15)?,
        limit_per_customer: limit.map(i64::from),
        selling: Selling::Always,
    })
}

fn counts(row: &QueryResult) -> Result<StockLevel, DbErr> {
    Ok(StockLevel::new(
        row.try_get_by_index(10)?,
        row.try_get_by_index(11)?,
        row.try_get_by_index(17)?,
        row.try_get_by_index(18)?,
    ))
}

/// What the sales of products mean now.
async fn read_sales(
    transaction: &Transaction,
    business: BusinessId,
    books: &mut BatchState,
    products: Vec<ProductId>,
) -> Result<(), Error> {
    let offers = sales::of_products(transaction, business, products).await?;
    for (product, offers) in &offers {
        let Some(article) = books.catalogue.get_mut(product) else {
            continue;
        };
        article.selling = Selling::at(offers, article.price, books.shelf.now);
    }
    Ok(())
}

/// What customers have paid ahead.
async fn read_credit(
    transaction: &Transaction,
    business: BusinessId,
    books: &mut BatchState,
    customers: Vec<Uuid>,
) -> Result<(), Error> {
    for (customer, credits) in on_account(transaction, business, customers).await? {
        if let Some(account) = books.accounts.get_mut(&customer) {
            account.ledger.on_account.extend(credits);
        }
    }
    Ok(())
}

/// The order that stops a customer's purchases: of those that were due before this moment, the one that is due for longest.
async fn read_overdue(
    transaction: &Transaction,
    business: BusinessId,
    books: &mut BatchState,
    bound: DateTime<Utc>,
) -> Result<(), Error> {
    use orders::Column;

    #[derive(FromQueryResult)]
    struct Oldest {
        customer_id: CustomerId,
        id: OrderId,
        due_at: DateTime<Utc>,
    }

    let buyers = books.accounts.keys().map(|id| id.0).collect();
    let overdue = orders::Entity::of(business)
        .select_only()
        .columns([Column::CustomerId, Column::Id, Column::DueAt])
        .distinct_on([Column::CustomerId])
        .filter(is_any(Column::CustomerId, buyers))
        // In words and not as parameters: the plan of any parameters could not use the index of what is unpaid.
        .filter(Expr::cust("amount_due > 0 AND payment_method = 'credit'"))
        .filter(Column::DueAt.lt(bound))
        .order_by_asc(Column::CustomerId)
        .order_by_asc(Column::DueAt)
        .order_by_asc(Column::Id)
        .into_model::<Oldest>()
        .all(transaction)
        .await?;
    for order in overdue {
        if let Some(account) = books.accounts.get_mut(&order.customer_id) {
            account.overdue = Some(OverdueOrder {
                id: order.id,
                due_at: order.due_at,
            });
        }
    }
    Ok(())
}

/// `column = ANY($n)`: an array, so that a batch of 7 and one of 60 are the same prepared statement.
pub(super) fn is_any(column: impl ColumnTrait, ids: Vec<Uuid>) -> Expr {
    Expr::col(column.as_column_ref()).eq(PgFunc::any(ids))
}
