//! A customer's account with its row locked: the only path by which code outside the desk changes what a customer owes.
//!
//! [`LockedAccount::of`] shares the lock on the business, so that no period is closed meanwhile, and locks the
//! customer. Writes that move stock lock inventory next. [`LockedAccount::lock_orders`] and its variants lock orders
//! last. Each of these functions copies what it locks into [`AccountState`] as plain values. [`LockedAccount::write`]
//! writes the decision: entries, balance, allocations and the amounts derived from them.

use std::collections::HashMap;
use std::slice;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, Utc};
use entity::{
    BusinessId, Currency, CustomerId, Money, OrderId, PayoutAllocationId, TimeZone, businesses,
    customers, orders, payout_allocations,
};
use sea_orm::sea_query::{Expr, Order as Sort, PostgresQueryBuilder, Query, WithClause};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, Iterable, QueryResult,
    Statement, Value,
};
use serde_json::json;
use uuid::Uuid;

use crate::foundation::dates::{self, When, not_after};
use crate::foundation::error::DateFault;
use crate::foundation::imports::CHUNK;
use crate::foundation::locks;
use crate::foundation::rows::ArrayStatement;
use crate::receivables::allocations::{self, Allocation, on_account};
use crate::receivables::ledger::Account;
use crate::receivables::new_entries::{NewBalance, NewEntry};
use crate::receivables::settlement::{AccountState, Order, Target};
use crate::{Caller, Error, Transaction};

/// A customer's account, whose row is locked until the transaction ends.
#[derive(Debug)]
pub(crate) struct LockedAccount {
    business: BusinessId,
    currency: Currency,
    customer: customers::Model,
    time_zone: TimeZone,
    books_closed_until: Option<NaiveDate>,
    pub(crate) state: AccountState,
}

/// The amounts of a customer's account, in the currency of the business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountSummary {
    /// The customer's debt: the sum of the ledger entries. Negative when they paid ahead.
    pub balance: Money,
    /// The credit limit less the balance. Negative when the balance exceeds the limit.
    pub available_credit: Money,
    /// The part of the customer's credits that settles no order. At least 0.
    pub on_account: Money,
}

/// A document that was posted to a customer's account, with the account after it.
#[derive(Debug, Clone)]
pub struct Posted<T> {
    /// The document, or the amounts that it settled.
    pub document: T,
    /// The account after the document.
    pub account: AccountSummary,
}

/// The statement reads the clock after it holds the lock. The transaction may have begun before another one that held
/// the row first. The count makes the customer's lock wait for that of the business. The condition must hold for every
/// count: PostgreSQL counts again, and finds 0, when it had to wait for the customer.
static LOCK: LazyLock<String> = LazyLock::new(|| {
    let business = locks::shared_business([
        businesses::Column::TimeZone,
        businesses::Column::BooksClosedUntil,
    ]);
    let mut account = locks::customers(customers::Column::iter());
    account
        .and_where(locks::is_any(customers::Column::Id, "$2"))
        .and_where(Expr::cust("(SELECT count(*) FROM business) >= 0"));
    let mut locked = WithClause::new();
    locked
        .cte(locks::materialized("business", business))
        .cte(locks::materialized("account", account));
    Query::select()
        .columns(customers::Column::iter().map(|column| ("account", column)))
        .column("time_zone")
        .column("books_closed_until")
        .expr_as(Expr::cust("clock_timestamp()"), "now")
        .from("account")
        .from("business")
        .to_owned()
        .with(locked)
        .to_string(PostgresQueryBuilder)
});

/// Locks orders on credit by id. Orders of other customers are not locked and not returned.
static LOCK_ORDERS: LazyLock<String> = LazyLock::new(|| {
    let mut orders = locks::orders();
    orders
        .and_where(locks::is(orders::Column::CustomerId, "$2"))
        .and_where(Expr::cust("payment_method = 'credit'"))
        .and_where(locks::is_any(orders::Column::Id, "$3"));
    let mut locked = WithClause::new();
    locked.cte(locks::materialized("locked", orders));
    let undone_at = "(SELECT max(effective_at) FROM allocations \
                      WHERE business_id = $1 AND order_id = locked.id AND amount < 0)";
    Query::select()
        .columns(orders::Column::iter())
        .expr_as(Expr::cust(undone_at), "undone_at")
        .from("locked")
        .order_by("id", Sort::Asc)
        .to_owned()
        .with(locked)
        .to_string(PostgresQueryBuilder)
});

/// Orders that an amount would settle, the longest due first. The amount due on an order changes under the customer's
/// lock only, so this query may run before the orders are locked.
///
/// Raw: a running sum, and a filter on it.
const OLDEST_DUE: &str = "
SELECT id
  FROM (SELECT id, sum(amount_due) OVER (ORDER BY due_at, id) - amount_due AS before
          FROM orders
         WHERE business_id = $1 AND customer_id = $2 AND payment_method = 'credit' AND amount_due > 0) AS queue
 WHERE before < $3";

static ENTRIES: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<NewEntry>()));

static BALANCES: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(NewBalance::update));

impl LockedAccount {
    /// Locks a customer and reads their credit on account. One round trip, or two with credit on account.
    ///
    /// # Errors
    /// [`Error::CustomerNotFound`].
    pub(crate) async fn of(
        transaction: &Transaction,
        caller: &Caller,
        customer: CustomerId,
    ) -> Result<Self, Error> {
        let mut locked = Self::all(transaction, caller, [customer]).await?;
        locked.pop().ok_or(Error::CustomerNotFound(customer))
    }

    /// Like [`LockedAccount::of`], for several customers. Ids that no customer has are left out.
    pub(crate) async fn all(
        transaction: &Transaction,
        caller: &Caller,
        customers: impl IntoIterator<Item = CustomerId>,
    ) -> Result<Vec<Self>, Error> {
        let business = caller.business_id;
        let ids: Vec<Uuid> = customers.into_iter().map(|id| id.0).collect();
        let values: [Value; 2] = [business.0.into(), ids.into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, LOCK.as_str(), values);
        let rows = transaction.query_all_raw(statement).await?;
        let rows = rows.iter().map(LockedRow::read);
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        // The clock of the last row was read after all locks.
        let now = rows.iter().map(|row| row.now).max().unwrap_or_default();
        let with_credit = rows
            .iter()
            .filter(|row| row.customer.on_account > Money::ZERO);
        let with_credit: Vec<Uuid> = with_credit.map(|row| row.customer.id.0).collect();
        let mut credits = match with_credit.is_empty() {
            true => HashMap::new(),
            false => on_account(transaction, business, with_credit).await?,
        };
        let locked = rows.into_iter().map(|row| {
            let account = Account {
                balance: row.customer.balance,
                entry_count: row.customer.entry_count,
                on_account: credits
                    .remove(&row.customer.id)
                    .into_iter()
                    .flatten()
                    .collect(),
            };
            let mut state = AccountState::new(account, now);
            if let Some(date) = row.books_closed_until {
                state.open_from = row.time_zone.start_of(date).min(now);
            }
            Self {
                business,
                currency: caller.currency,
                customer: row.customer,
                time_zone: row.time_zone,
                books_closed_until: row.books_closed_until,
                state,
            }
        });
        Ok(locked.collect())
    }

    pub(crate) fn id(&self) -> CustomerId {
        self.customer.id
    }

    /// Returns when a document takes effect. Without a date, and for a time slightly in the future, that is now. A whole
    /// day takes effect at its start. `field` is the request's member that holds the date.
    ///
    /// # Errors
    /// [`Error::ImpossibleDate`]; [`Error::PeriodClosed`].
    pub(crate) fn dated(
        &self,
        field: &'static str,
        at: Option<When>,
    ) -> Result<DateTime<Utc>, Error> {
        let at = match at {
            None => return Ok(self.state.now),
            Some(When::Day(day)) => return self.dated_on(field, day),
            Some(When::Moment(at)) => at,
        };
        When::Moment(at).not_before_1970(field)?;
        let at = not_after(self.state.now, field, at)?;
        self.check_open(self.time_zone.day_of(at))?;
        Ok(at)
    }

    /// Like [`LockedAccount::dated`], for a document of a whole day: it takes effect at the start of the day.
    pub(crate) fn dated_on(
        &self,
        field: &'static str,
        day: NaiveDate,
    ) -> Result<DateTime<Utc>, Error> {
        When::Day(day).not_before_1970(field)?;
        let (zone, today) = (self.time_zone, self.time_zone.day_of(self.state.now));
        if day > today {
            let fault = DateFault::AfterToday { today, zone };
            return Err(Error::ImpossibleDate { field, fault });
        }
        self.check_open(day)?;
        Ok(zone.start_of(day))
    }

    fn check_open(&self, date: NaiveDate) -> Result<(), Error> {
        match self.books_closed_until {
            Some(closed_until) if date < closed_until => {
                Err(Error::PeriodClosed { date, closed_until })
            }
            _ => Ok(()),
        }
    }

    /// When a document of this date is due that names a day, or that has the customer's payment terms.
    pub(crate) fn due_at(&self, made_at: DateTime<Utc>, day: Option<NaiveDate>) -> DateTime<Utc> {
        match day {
            Some(day) => self.time_zone.start_of(day),
            None => dates::due_at(self.time_zone, made_at, self.customer.payment_terms_days),
        }
    }

    /// Locks the given orders and adds them to the account state. Ids of other customers' orders or of card orders are
    /// left out.
    pub(crate) async fn lock_orders(
        &mut self,
        transaction: &Transaction,
        ids: impl IntoIterator<Item = OrderId>,
    ) -> Result<Vec<orders::Model>, Error> {
        let ids: Vec<Uuid> = ids.into_iter().map(|id| id.0).collect();
        let values: [Value; 3] = [
            self.business.0.into(),
            self.customer.id.0.into(),
            ids.into(),
        ];
        let statement =
            Statement::from_sql_and_values(DbBackend::Postgres, LOCK_ORDERS.as_str(), values);
        let mut locked = Vec::new();
        for row in transaction.query_all_raw(statement).await? {
            let undone_at: Option<DateTime<Utc>> = row.try_get("", "undone_at")?;
            let order = orders::Model::from_query_result(&row, "")?;
            let value = Order {
                due: order.amount_due,
                due_at: order.due_at,
                since: undone_at.map_or(order.created_at, |at| at.max(order.created_at)),
            };
            self.state.orders.insert(order.id, value);
            locked.push(order);
        }
        Ok(locked)
    }

    /// Like [`LockedAccount::lock_orders`], for the one order that a decision is about.
    ///
    /// # Errors
    /// [`Error::OrderNotFound`].
    pub(crate) async fn lock_order(
        &mut self,
        transaction: &Transaction,
        id: OrderId,
    ) -> Result<orders::Model, Error> {
        let mut found = self.lock_orders(transaction, [id]).await?;
        found.pop().ok_or(Error::OrderNotFound(id))
    }

    /// Locks the orders that this amount may settle: those that the target names, or the longest due.
    pub(crate) async fn lock_target(
        &mut self,
        transaction: &Transaction,
        target: &Target,
        amount: Money,
    ) -> Result<(), Error> {
        let ids = match target {
            Target::Order(id) => vec![*id],
            Target::Orders(wanted) => wanted.iter().map(|(id, _)| *id).collect(),
            Target::OldestDue => self.oldest_due(transaction, amount).await?,
        };
        self.lock_orders(transaction, ids).await?;
        Ok(())
    }

    async fn oldest_due(
        &self,
        transaction: &Transaction,
        amount: Money,
    ) -> Result<Vec<OrderId>, Error> {
        let values: [Value; 3] = [
            self.business.0.into(),
            self.customer.id.0.into(),
            amount.decimal().into(),
        ];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, OLDEST_DUE, values);
        let rows = transaction.query_all_raw(statement).await?;
        let ids = rows.iter().map(|row| row.try_get("", "id"));
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// Writes the decision. A document that refers to an entry is inserted after this call.
    pub(crate) async fn write(&self, transaction: &Transaction) -> Result<(), Error> {
        write(transaction, self.business, slice::from_ref(self)).await
    }

    fn entries(&self) -> impl Iterator<Item = NewEntry> {
        self.state.entries.iter().map(|entry| NewEntry {
            customer_id: self.customer.id,
            posting: entry.posting,
            kind: entry.kind,
            order_id: entry.order_id,
            effective_at: entry.effective_at,
            created_at: self.state.now,
        })
    }

    fn shares(&self) -> impl Iterator<Item = Allocation> {
        self.state.shares.iter().map(|share| Allocation {
            customer_id: self.customer.id,
            order_id: share.order_id,
            used: share.used,
            effective_at: share.effective_at,
        })
    }

    fn payout_shares(&self) -> impl Iterator<Item = payout_allocations::ActiveModel> {
        let shares = self.state.payout_shares.iter();
        shares.map(|share| payout_allocations::ActiveModel {
            business_id: Set(self.business),
            customer_id: Set(self.customer.id),
            payout_entry: Set(share.payout_entry),
            id: Set(PayoutAllocationId::new()),
            credit_entry: Set(share.used.entry_number),
            amount: Set(share.used.amount),
            effective_at: Set(share.effective_at),
            // The time of the transaction, by which the changes of payments find the row.
            created_at: NotSet,
        })
    }

    /// The document with the account as it is now.
    pub(crate) fn posted<T>(&self, document: T) -> Posted<T> {
        Posted {
            document,
            account: self.summary(),
        }
    }

    fn summary(&self) -> AccountSummary {
        AccountSummary {
            balance: self.state.account.balance,
            available_credit: self.customer.credit_limit - self.state.account.balance,
            on_account: self.state.account.credit(),
        }
    }

    /// The customer's debt before the change, for the audit entry.
    pub(crate) fn audit_snapshot_before(&self) -> serde_json::Value {
        json!({
            "customer_balance": self.customer.balance.to_text(self.currency),
            "credit_on_account": self.customer.on_account.to_text(self.currency),
        })
    }

    /// The customer's current debt, for the audit entry.
    pub(crate) fn audit_snapshot(&self) -> serde_json::Value {
        let figures = self.summary();
        json!({
            "customer_id": self.customer.id,
            "customer_balance": figures.balance.to_text(self.currency),
            "credit_on_account": figures.on_account.to_text(self.currency),
        })
    }
}

/// A row of [`LOCK`].
struct LockedRow {
    customer: customers::Model,
    time_zone: TimeZone,
    books_closed_until: Option<NaiveDate>,
    now: DateTime<Utc>,
}

impl LockedRow {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            customer: customers::Model::from_query_result(row, "")?,
            time_zone: row.try_get("", "time_zone")?,
            books_closed_until: row.try_get("", "books_closed_until")?,
            now: row.try_get("", "now")?,
        })
    }
}

/// Writes the decisions about several accounts: see [`LockedAccount::write`].
pub(crate) async fn write(
    transaction: &Transaction,
    business: BusinessId,
    accounts: &[LockedAccount],
) -> Result<(), Error> {
    for one in accounts {
        let account = &one.state.account;
        // No limit bounds prepayments, nor the debt that returns when a payment bounces.
        if !account.balance.is_storable() || !account.credit().is_storable() {
            return Err(Error::AmountTooLarge("the customer's balance"));
        }
    }
    for accounts in accounts.chunks(CHUNK) {
        write_entries(transaction, business, accounts).await?;
        let shares: Vec<Allocation> = accounts.iter().flat_map(LockedAccount::shares).collect();
        let written = accounts.iter().map(|one| (one.id(), &one.state.account));
        let written: Vec<_> = written.collect();
        allocations::write(transaction, business, &shares, &written).await?;
        let shares = accounts.iter().flat_map(LockedAccount::payout_shares);
        let shares: Vec<_> = shares.collect();
        if !shares.is_empty() {
            payout_allocations::Entity::insert_many(shares)
                .exec_without_returning(transaction)
                .await?;
        }
    }
    Ok(())
}

async fn write_entries(
    transaction: &Transaction,
    business: BusinessId,
    accounts: &[LockedAccount],
) -> Result<(), Error> {
    let entries: Vec<NewEntry> = accounts.iter().flat_map(LockedAccount::entries).collect();
    for entries in entries.chunks(CHUNK) {
        let statement = ENTRIES.of(business).rows(entries).statement()?;
        transaction.execute_raw(statement).await?;
    }
    let posted = accounts.iter().filter(|one| !one.state.entries.is_empty());
    let balances = posted.map(|one| NewBalance {
        customer_id: one.id(),
        account: &one.state.account,
    });
    let balances: Vec<NewBalance<'_>> = balances.collect();
    if !balances.is_empty() {
        let statement = BALANCES.of(business).rows(&balances).statement()?;
        transaction.execute_raw(statement).await?;
    }
    Ok(())
}

/// Allocations in the format of audit entries.
pub(crate) fn allocations_trail(
    shares: &[(OrderId, Money)],
    currency: Currency,
) -> serde_json::Value {
    let shares = shares
        .iter()
        .map(|(id, amount)| json!({"order_id": id, "amount": amount.to_text(currency)}));
    shares.collect::<Vec<_>>().into()
}
