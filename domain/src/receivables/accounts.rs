//! A customer's account with its row locked: the only path by which code outside the desk changes what a customer owes.
//!
//! [`LockedAccount::of`] shares the lock on the business, so that no period is closed meanwhile, and locks the
//! customer. Writes that move stock lock inventory next. [`LockedAccount::lock_orders`] and its variants lock orders
//! last. Each of these functions copies what it locks into [`AccountState`] as plain values. [`LockedAccount::write`]
//! writes the decision: entries, balance, allocations and the amounts derived from them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, Utc};
use entity::{
    BusinessId, Currency, CustomerId, Money, OrderId, PayoutAllocationId, Tenant, TimeZone,
    businesses, customers, orders, payout_allocations,
};
use sea_orm::sea_query::{Expr, Order as Sort, PostgresQueryBuilder, Query, WithClause};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, Iterable, QueryFilter,
    Statement, Value,
};
use serde_json::json;
use uuid::Uuid;

use crate::foundation::dates::{When, not_after};
use crate::foundation::locks;
use crate::foundation::rows::ArrayStatement;
use crate::receivables::allocations::{self, Allocation, on_account};
use crate::receivables::ledger::Account;
use crate::receivables::new_entries::NewEntry;
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
        .and_where(locks::is(customers::Column::Id, "$2"))
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
        let business = caller.business_id;
        let values: [Value; 2] = [business.0.into(), customer.0.into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, LOCK.as_str(), values);
        let row = transaction
            .query_one_raw(statement)
            .await?
            .ok_or(Error::CustomerNotFound(customer))?;
        let now: DateTime<Utc> = row.try_get("", "now")?;
        let time_zone: TimeZone = row.try_get("", "time_zone")?;
        let books_closed_until: Option<NaiveDate> = row.try_get("", "books_closed_until")?;
        let row = customers::Model::from_query_result(&row, "")?;
        let mut credits = BTreeMap::new();
        if row.on_account > Money::ZERO {
            let mut found = on_account(transaction, business, vec![customer.0]).await?;
            credits.extend(found.remove(&customer).unwrap_or_default());
        }
        let account = Account {
            balance: row.balance,
            entry_count: row.entry_count,
            on_account: credits,
        };
        let mut state = AccountState::new(account, now);
        if let Some(date) = books_closed_until {
            state.open_from = time_zone.start_of(date).min(now);
        }
        Ok(Self {
            business,
            currency: caller.currency,
            customer: row,
            time_zone,
            books_closed_until,
            state,
        })
    }

    pub(crate) fn id(&self) -> CustomerId {
        self.customer.id
    }

    /// Returns when a document takes effect. Without a date, and for a date slightly in the future, that is now.
    /// `field` is the request's member that holds the date.
    ///
    /// # Errors
    /// [`Error::ImpossibleDate`]; [`Error::PeriodClosed`].
    pub(crate) fn dated(
        &self,
        field: &'static str,
        at: Option<DateTime<Utc>>,
    ) -> Result<DateTime<Utc>, Error> {
        let Some(at) = at else {
            return Ok(self.state.now);
        };
        When::Moment(at).not_before_1970(field)?;
        let at = not_after(self.state.now, field, at)?;
        let date = self.time_zone.day_of(at);
        match self.books_closed_until {
            Some(closed_until) if date < closed_until => {
                Err(Error::PeriodClosed { date, closed_until })
            }
            _ => Ok(at),
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
        let account = &self.state.account;
        // No limit bounds prepayments, nor the debt that returns when a payment bounces.
        if !account.balance.is_storable() || !account.credit().is_storable() {
            return Err(Error::AmountTooLarge("the customer's balance"));
        }
        if !self.state.entries.is_empty() {
            self.write_entries(transaction).await?;
        }
        let customer_id = self.customer.id;
        let shares = self.state.shares.iter().map(|share| Allocation {
            customer_id,
            order_id: share.order_id,
            used: share.used,
            effective_at: share.effective_at,
        });
        let shares: Vec<Allocation> = shares.collect();
        let accounts = [(customer_id, account)];
        allocations::write(transaction, self.business, &shares, &accounts).await?;
        self.write_payout_shares(transaction).await
    }

    async fn write_payout_shares(&self, transaction: &Transaction) -> Result<(), Error> {
        let shares = &self.state.payout_shares;
        if shares.is_empty() {
            return Ok(());
        }
        let rows = shares.iter().map(|share| payout_allocations::ActiveModel {
            business_id: Set(self.business),
            customer_id: Set(self.customer.id),
            payout_entry: Set(share.payout_entry),
            id: Set(PayoutAllocationId::new()),
            credit_entry: Set(share.used.entry_number),
            amount: Set(share.used.amount),
            effective_at: Set(share.effective_at),
            // The time of the transaction, by which the changes of payments find the row.
            created_at: NotSet,
        });
        payout_allocations::Entity::insert_many(rows)
            .exec_without_returning(transaction)
            .await?;
        Ok(())
    }

    async fn write_entries(&self, transaction: &Transaction) -> Result<(), Error> {
        let entries = self.state.entries.iter().map(|entry| NewEntry {
            customer_id: self.customer.id,
            posting: entry.posting,
            kind: entry.kind,
            order_id: entry.order_id,
            effective_at: entry.effective_at,
            created_at: self.state.now,
        });
        let entries: Vec<NewEntry> = entries.collect();
        let statement = ENTRIES.of(self.business).rows(&entries).statement()?;
        transaction.execute_raw(statement).await?;
        let account = &self.state.account;
        let (balance, count) = (account.balance, account.entry_count);
        customers::Entity::update_of(self.business)
            .filter(customers::Column::Id.eq(self.customer.id))
            .col_expr(customers::Column::Balance, Expr::value(balance))
            .col_expr(customers::Column::EntryCount, Expr::value(count))
            .exec(transaction)
            .await?;
        Ok(())
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
