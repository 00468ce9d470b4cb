//! The reads of a batch: its locked rows, and what else its decisions need.
//!
//! A batch costs one round trip here, and at least one more for each of: timed sales, purchase history, credit on
//! account, overdue orders, reservations and hold limits. Most batches need none of these.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use entity::{
    BusinessId, CustomerId, Money, OrderId, ProductId, Tenant, TimeZone, customers, inventory,
    orders,
};
use sea_orm::sea_query::{
    Expr, JoinType, PostgresQueryBuilder, Query, SelectStatement, UnionType, WithClause,
};
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
use crate::foundation::locks;
use crate::receivables::allocations::on_account;
use crate::receivables::ledger;
use crate::stock::locked_stock::{self, LockedStock, StockLevel, Wanted};
use crate::{Error, Transaction};

/// Planner settings of the desk's statements: no sequential scans, and one generic plan for all values. On tables
/// that were empty when last analysed, foreign-key checks would otherwise scan the whole table. Throughput would then
/// be a sixth until the next analyse.
const PLANNING: [&str; 3] = [
    "enable_seqscan = off",
    "plan_cache_mode = force_generic_plan",
    "jit = off",
];

/// Begins a transaction of the desk, with its planner settings.
pub(super) async fn begin(
    session: &mut Session,
    business: BusinessId,
) -> Result<Transaction, Error> {
    let whose = format!("app.business_id = '{business}'");
    session.begin_with(&whose, &PLANNING).await
}

/// The locked rows of a batch.
pub(super) struct LockedBatch {
    pub(super) state: BatchState,
    pub(super) terms: HashMap<CustomerId, i32>,
    /// The business's time zone, which determines due dates.
    pub(super) time_zone: TimeZone,
    /// The stock as it was read or predicted.
    pub(super) assumed: Assumed,
    /// True if no product has a hold or a waitlist, not even an expired one, by the counters of the rows.
    pub(super) has_no_holds: bool,
}

/// The columns of [`read`]: name, value for a customer, value for a product.
const COLUMNS: [(&str, &str, &str); 22] = [
    ("is_account", "true", "false"),
    ("id", "account.id", "stock.product_id"),
    ("at", "now()", "clock_timestamp()"),
    ("credit_limit", "credit_limit", "NULL"),
    ("balance", "balance", "NULL"),
    ("on_hold", "on_hold", "NULL"),
    ("payment_terms_days", "payment_terms_days", "NULL"),
    ("entry_count", "entry_count", "NULL"),
    ("on_account", "on_account", "NULL"),
    ("block_after_days", "block_after_days", "NULL"),
    ("time_zone", "time_zone", "NULL"),
    ("on_hand", "NULL", "on_hand"),
    ("reserved", "NULL", "reserved"),
    ("waiting", "NULL", "waiting"),
    ("places_given", "NULL", "places_given"),
    ("version", "NULL", "version"),
    ("sku", "NULL", "sku"),
    ("name", "NULL", "name"),
    ("price", "NULL", "price"),
    ("active", "NULL", "active"),
    ("limit_per_customer", "NULL", "limit_per_customer"),
    ("in_sale", "NULL", "in_sale"),
];

/// Locks and reads in one round trip: customers by id, then inventory rows by product id, the lock order of every
/// path. `$1` is the business, `$2` are the customers, `$3` the products.
///
/// - The count of the customers makes the locks of the stock wait for those of the customers.
/// - Products are read without a lock, so that their editors do not wait for sales.
/// - The clock is read as each inventory row is locked; the latest value is the time after all locks.
/// - The settings of the business come with the customers.
fn read(mut stock: SelectStatement) -> String {
    let account = {
        use customers::Column;

        let mut account = locks::customers([
            Column::Id,
            Column::CreditLimit,
            Column::Balance,
            Column::OnHold,
            Column::PaymentTermsDays,
            Column::EntryCount,
            Column::OnAccount,
        ]);
        account.and_where(locks::is_any(Column::Id, "$2"));
        account
    };
    stock
        .expr_as(Expr::cust("xmin::text::bigint"), "version")
        .and_where(locks::is_any(inventory::Column::ProductId, "$3"))
        .and_where(Expr::cust("(SELECT count(*) FROM account) >= 0"));
    let (mut of_account, mut of_stock) = (Query::select(), Query::select());
    for (name, customer, product) in COLUMNS {
        of_account.expr_as(Expr::cust(customer), name);
        of_stock.expr_as(Expr::cust(product), name);
    }
    of_account.from("account").join(
        JoinType::InnerJoin,
        "businesses",
        Expr::cust("businesses.id = $1"),
    );
    of_stock.from("stock").join(
        JoinType::InnerJoin,
        "products",
        Expr::cust("products.business_id = $1 AND products.id = stock.product_id"),
    );
    of_account.union(UnionType::All, of_stock);
    let mut locked = WithClause::new();
    locked
        .cte(locks::materialized("account", account))
        .cte(locks::materialized("stock", stock));
    of_account.with(locked).to_string(PostgresQueryBuilder)
}

const STOCK: [inventory::Column; 5] = [
    inventory::Column::ProductId,
    inventory::Column::OnHand,
    inventory::Column::Reserved,
    inventory::Column::Waiting,
    inventory::Column::PlacesGiven,
];

/// The first statement of most batches: locks customers and stock.
static LOCK: LazyLock<String> = LazyLock::new(|| read(locks::stock(STOCK)));

/// The first statement of a pipelined batch: locks customers only. Its stock is locked at its end.
static FOLLOW: LazyLock<String> = LazyLock::new(|| read(locks::stock_unlocked(STOCK)));

/// Locks and reads what a batch needs. A pipelined batch locks its customers alone. Predicted stock replaces its
/// stock on hand; the other products count as they are at this moment. A pipelined batch reads no reservations.
pub(super) async fn lock(
    transaction: &Transaction,
    business: BusinessId,
    commands: &[Command],
    predicted: &Predictions,
) -> Result<LockedBatch, Error> {
    let customers = distinct(commands.iter().map(|command| command.customer().0));
    let products = commands.iter().flat_map(Command::products);
    let products = distinct(products.map(|(id, _)| id.0));
    let values = [business.0.into(), customers.into(), products.into()];
    let sql = match predicted.is_empty() {
        true => &LOCK,
        false => &FOLLOW,
    };
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql.as_str(), values);

    let mut state = BatchState {
        buyers: HashMap::new(),
        catalogue: HashMap::new(),
        locked_stock: LockedStock::new(DateTime::UNIX_EPOCH, HashMap::new()),
    };
    let mut terms = HashMap::new();
    let mut more = FurtherReads::default();
    let mut time_zone = TimeZone::UTC;
    let mut assumed = Assumed::new();
    for row in transaction.query_all_raw(statement).await? {
        let at: DateTime<Utc> = row.try_get("", "at")?;
        state.locked_stock.now = Ord::max(state.locked_stock.now, at);
        if row.try_get("", "is_account")? {
            let id: CustomerId = row.try_get("", "id")?;
            state.buyers.insert(id, buyer(&row)?);
            terms.insert(id, row.try_get("", "payment_terms_days")?);
            if row.try_get::<Money>("", "on_account")? > Money::ZERO {
                more.with_credit.push(id.0);
            }
            more.block_after_days = row.try_get("", "block_after_days")?;
            time_zone = row.try_get("", "time_zone")?;
        } else {
            let id: ProductId = row.try_get("", "id")?;
            state.catalogue.insert(id, catalogue_item(&row)?);
            let mut counts = counts(&row)?;
            counts.inactive = !state.catalogue[&id].active;
            if let Some(predict) = predicted.get(&id) {
                counts.on_hand = predict.on_hand;
            }
            let version = Version::of_row(row.try_get("", "version")?);
            assumed.insert(id, (counts.on_hand, version));
            state.locked_stock.counts.insert(id, counts);
            if row.try_get("", "in_sale")? {
                more.in_sale.push(id);
            }
        }
    }
    more.read(transaction, business, &mut state, time_zone)
        .await?;
    let has_no_holds = state
        .locked_stock
        .counts
        .values()
        .all(StockLevel::has_no_holds);
    // The read releases expired holds, which requires the locks of the stock.
    if predicted.is_empty()
        && let Some(wanted) = wanted(&state, commands, has_no_holds)
    {
        locked_stock::read(transaction, business, &mut state.locked_stock, &wanted).await?;
    }
    holds::read(transaction, business, &mut state, commands).await?;
    Ok(LockedBatch {
        state,
        terms,
        time_zone,
        assumed,
        has_no_holds,
    })
}

/// Further reads, as the first statement requires. Most batches skip all of these reads: few products are in a
/// sale, limited or held, few customers pay ahead, few businesses block overdue customers.
#[derive(Default)]
struct FurtherReads {
    in_sale: Vec<ProductId>,
    with_credit: Vec<Uuid>,
    block_after_days: Option<i32>,
}

impl FurtherReads {
    async fn read(
        self,
        transaction: &Transaction,
        business: BusinessId,
        state: &mut BatchState,
        time_zone: TimeZone,
    ) -> Result<(), Error> {
        if !self.in_sale.is_empty() {
            read_sales(transaction, business, state, self.in_sale).await?;
        }
        purchase_history::read(transaction, business, state).await?;
        if !self.with_credit.is_empty() {
            read_credit(transaction, business, state, self.with_credit).await?;
        }
        if let Some(days) = self.block_after_days {
            let today = time_zone.day_of(state.locked_stock.now);
            let bound = past_due_bound(time_zone, today, u32::try_from(days).unwrap_or(0));
            read_overdue(transaction, business, state, bound).await?;
        }
        Ok(())
    }
}

/// The reservations that the batch needs to read; `None` if it needs none.
fn wanted(state: &BatchState, commands: &[Command], has_no_holds: bool) -> Option<Wanted> {
    // A purchase or a card order depends only on its customer's own reservations of the same products.
    let only_purchases = commands
        .iter()
        .all(|command| matches!(command.work, Work::Purchase(..) | Work::Checkout(..)));
    if only_purchases && has_no_holds {
        return None;
    }
    let mut wanted = Wanted {
        reservations: Vec::new(),
        customers: state.buyers.keys().copied().collect(),
        change: HashMap::new(),
    };
    for command in commands {
        if let Some(target) = command.work.reservation() {
            wanted.reservations.push(target.id);
        }
        for (product, quantity) in command.products() {
            // A quantity above the stock on hand is refused, so it does not change the stock.
            let on_hand = state.locked_stock.counts.get(&product);
            if on_hand.is_some_and(|counts| quantity <= counts.on_hand) {
                wanted.change.entry(product).or_default().taken += quantity;
            }
        }
    }
    Some(wanted)
}

fn buyer(row: &QueryResult) -> Result<Buyer, DbErr> {
    Ok(Buyer {
        credit_limit: row.try_get("", "credit_limit")?,
        ledger: ledger::Account {
            balance: row.try_get("", "balance")?,
            entry_count: row.try_get("", "entry_count")?,
            on_account: BTreeMap::new(),
        },
        on_hold: row.try_get("", "on_hold")?,
        overdue: None,
        bought: HashMap::new(),
        holds: Holds::default(),
    })
}

fn catalogue_item(row: &QueryResult) -> Result<CatalogueItem, DbErr> {
    let (sku, name): (String, String) = (row.try_get("", "sku")?, row.try_get("", "name")?);
    let limit: Option<i32> = row.try_get("", "limit_per_customer")?;
    Ok(CatalogueItem {
        sku: sku.into(),
        name: name.into(),
        price: row.try_get("", "price")?,
        active: row.try_get("", "active")?,
        limit_per_customer: limit.map(i64::from),
        selling: Selling::Always,
    })
}

fn counts(row: &QueryResult) -> Result<StockLevel, DbErr> {
    Ok(StockLevel::new(
        row.try_get("", "on_hand")?,
        row.try_get("", "reserved")?,
        row.try_get("", "waiting")?,
        row.try_get("", "places_given")?,
    ))
}

/// Reads the timed sales of these products and sets the terms that apply now.
async fn read_sales(
    transaction: &Transaction,
    business: BusinessId,
    state: &mut BatchState,
    products: Vec<ProductId>,
) -> Result<(), Error> {
    let offers = sales::of_products(transaction, business, products).await?;
    for (product, offers) in &offers {
        let Some(catalogue_item) = state.catalogue.get_mut(product) else {
            continue;
        };
        catalogue_item.selling = Selling::at(offers, catalogue_item.price, state.locked_stock.now);
    }
    Ok(())
}

/// Reads the credit on account of customers who have some.
async fn read_credit(
    transaction: &Transaction,
    business: BusinessId,
    state: &mut BatchState,
    customers: Vec<Uuid>,
) -> Result<(), Error> {
    for (customer, credits) in on_account(transaction, business, customers).await? {
        if let Some(buyer) = state.buyers.get_mut(&customer) {
            buyer.ledger.on_account.extend(credits);
        }
    }
    Ok(())
}

/// Reads the order that blocks each customer's purchases: of the orders due before `bound`, the one due for longest.
async fn read_overdue(
    transaction: &Transaction,
    business: BusinessId,
    state: &mut BatchState,
    bound: DateTime<Utc>,
) -> Result<(), Error> {
    use orders::Column;

    #[derive(FromQueryResult)]
    struct Oldest {
        customer_id: CustomerId,
        id: OrderId,
        due_at: DateTime<Utc>,
    }

    let overdue = orders::Entity::of(business)
        .select_only()
        .columns([Column::CustomerId, Column::Id, Column::DueAt])
        .distinct_on([Column::CustomerId])
        .filter(Column::CustomerId.eq_any(state.buyers.keys().copied()))
        // Literals, not parameters: a generic plan with parameters could not use the partial index of unpaid orders.
        .filter(Expr::cust("amount_due > 0 AND payment_method = 'credit'"))
        .filter(Column::DueAt.lt(bound))
        .order_by_asc(Column::CustomerId)
        .order_by_asc(Column::DueAt)
        .order_by_asc(Column::Id)
        .into_model::<Oldest>()
        .all(transaction)
        .await?;
    for order in overdue {
        if let Some(buyer) = state.buyers.get_mut(&order.customer_id) {
            buyer.overdue = Some(OverdueOrder {
                id: order.id,
                due_at: order.due_at,
            });
        }
    }
    Ok(())
}
