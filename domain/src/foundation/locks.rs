//! Row locks: the only file that takes any, in one order.
//!
//! A transaction that locks rows of several kinds locks them in the order of this file: the business, customers by
//! id, stock by product id, orders by id with their payment intents.
//!
//! The following are locked in transactions that lock nothing before them: users by id, whose lock covers their
//! refresh tokens, sessions and reset code; API keys; a sale, then products by id. The one exception is a product that is taken off
//! sale: its stock is locked after its product row. No transaction that has locked stock waits for a product row.
//!
//! The locks at the end of the file skip locked rows and so never wait. Idempotency keys are locked by their insert,
//! after all of these.
//!
//! Most locks are one SeaORM query. Three statements lock and read more in one round trip: the desk's (which saves the
//! desk 5 % of its throughput), an account's, and an order's on account. They take the locking part from here as a
//! `SELECT` with its parameters in the text: `$1` is the business.
//!
//! A test checks that no other source file takes a lock.

use entity::{
    ApiKeyId, BusinessId, CustomerId, OrderId, ProductId, SaleId, Tenant, UserId, api_keys,
    businesses, customers, inventory, orders, payment_intents, products, refresh_tokens, refunds,
    reservations, sales, sessions, users,
};
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{
    CommonTableExpression, Expr, ExprTrait, LockBehavior, LockType, Order, Query, SelectStatement,
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, IntoActiveModel, Iterable, QueryFilter,
    QueryOrder, QuerySelect, Select,
};

use crate::{Error, Transaction};

// ---- The business

/// Locks the business's row `FOR NO KEY UPDATE`. With the stronger `FOR UPDATE`, every insert of the business would
/// wait, since each row references this one.
pub(crate) async fn business(
    transaction: &Transaction,
    business: BusinessId,
) -> Result<Option<businesses::Model>, Error> {
    one(
        transaction,
        businesses::Entity::of(business),
        LockType::NoKeyUpdate,
    )
    .await
}

/// Locks the business's row `FOR SHARE`, so that its closing date cannot change meanwhile.
pub(crate) fn shared_business(
    columns: impl IntoIterator<Item = businesses::Column>,
) -> SelectStatement {
    let mut select = rows(businesses::Entity, columns);
    select
        .and_where(is(businesses::Column::Id, "$1"))
        .lock(LockType::Share);
    select
}

// ---- Customers

/// Locks one customer; `None` if there is none.
pub(crate) async fn customer(
    transaction: &Transaction,
    business: BusinessId,
    id: CustomerId,
) -> Result<Option<customers::Model>, Error> {
    let customer = customers::Entity::by_id(business, id);
    one(transaction, customer, LockType::Update).await
}

/// Locks customers by id. The caller adds the condition.
pub(crate) fn customers(columns: impl IntoIterator<Item = customers::Column>) -> SelectStatement {
    let mut select = rows(customers::Entity, columns);
    select
        .and_where(is(customers::Column::BusinessId, "$1"))
        .order_by(customers::Column::Id, Order::Asc)
        .lock(LockType::Update);
    select
}

/// Locks an order's customer `FOR KEY SHARE`. When a row is written twice in one transaction, the database checks its
/// foreign key again and locks the customer for that. Without this lock it would do so after the stock.
pub(crate) async fn customer_of_order(
    transaction: &Transaction,
    business: BusinessId,
    order: OrderId,
) -> Result<(), Error> {
    let owner = orders::Entity::by_id(business, order)
        .select_only()
        .column(orders::Column::CustomerId);
    let owner = sea_orm::QueryTrait::into_query(owner);
    let customer = customers::Entity::of(business)
        .filter(customers::Column::Id.in_subquery(owner))
        .select_only()
        .column(customers::Column::Id)
        .lock(LockType::KeyShare);
    let _locked: Option<CustomerId> = customer.into_tuple().one(transaction).await?;
    Ok(())
}

// ---- Stock. All code locks it `FOR NO KEY UPDATE`: the foreign-key checks, which come in no order, then never wait.

/// Locks stock by product id. The caller adds the condition.
pub(crate) fn stock(columns: impl IntoIterator<Item = inventory::Column>) -> SelectStatement {
    let mut select = stock_unlocked(columns);
    select.lock(LockType::NoKeyUpdate);
    select
}

/// Selects the same rows in the same order without locks, for batches that lock them later.
pub(crate) fn stock_unlocked(
    columns: impl IntoIterator<Item = inventory::Column>,
) -> SelectStatement {
    let mut select = rows(inventory::Entity, columns);
    select
        .and_where(is(inventory::Column::BusinessId, "$1"))
        .order_by(inventory::Column::ProductId, Order::Asc);
    select
}

/// Locks stock by product id. Also returns whether the product is on sale, and the time at which each row was locked.
/// The caller adds the condition.
pub(crate) fn stock_on_sale() -> SelectStatement {
    use inventory::Column;

    let mut select = stock_unlocked([]);
    let columns = [
        Column::ProductId,
        Column::OnHand,
        Column::Reserved,
        Column::Waiting,
        Column::PlacesGiven,
    ];
    select
        .columns(columns.map(|column| (inventory::Entity, column)))
        .column((products::Entity, products::Column::Active))
        .expr_as(Expr::cust("clock_timestamp()"), "now")
        .inner_join(
            products::Entity,
            is(products::Column::BusinessId, "$1").and(
                Expr::col((products::Entity, products::Column::Id))
                    .equals((inventory::Entity, Column::ProductId)),
            ),
        )
        .lock_with_tables(LockType::NoKeyUpdate, [inventory::Entity]);
    select
}

/// As [`stock_on_sale`], skipping locked rows.
pub(crate) fn stock_on_sale_skip_locked() -> SelectStatement {
    let mut select = stock_on_sale();
    select.lock_with_tables_behavior(
        LockType::NoKeyUpdate,
        [inventory::Entity],
        LockBehavior::SkipLocked,
    );
    select
}

// ---- Orders

/// Locks one order; `None` if there is none.
pub(crate) async fn order(
    transaction: &Transaction,
    business: BusinessId,
    id: OrderId,
) -> Result<Option<orders::Model>, Error> {
    let order = orders::Entity::by_id(business, id);
    one(transaction, order, LockType::Update).await
}

/// Locks orders by id and returns all columns. The caller adds the condition.
pub(crate) fn orders() -> SelectStatement {
    let mut select = rows(orders::Entity, orders::Column::iter());
    select
        .and_where(is(orders::Column::BusinessId, "$1"))
        .order_by(orders::Column::Id, Order::Asc)
        .lock(LockType::Update);
    select
}

/// Locks the payment intent of an order that must already be locked.
pub(crate) async fn payment_intent(
    transaction: &Transaction,
    business: BusinessId,
    order: OrderId,
) -> Result<Option<payment_intents::Model>, Error> {
    let intent = payment_intents::Entity::by_id(business, order);
    one(transaction, intent, LockType::Update).await
}

// ---- Users and keys

/// Locks users by id.
pub(crate) async fn users(
    transaction: &Transaction,
    business: BusinessId,
    which: Condition,
) -> Result<Vec<users::Model>, Error> {
    let users = users::Entity::of(business)
        .filter(which)
        .order_by_asc(users::Column::Id)
        .lock(LockType::NoKeyUpdate);
    Ok(users.all(transaction).await?)
}

/// Locks a user, which covers the user's refresh tokens and sessions.
pub(crate) async fn user(
    transaction: &Transaction,
    business: BusinessId,
    id: UserId,
) -> Result<Option<users::Model>, Error> {
    let user = users::Entity::by_id(business, id);
    one(transaction, user, LockType::NoKeyUpdate).await
}

/// Locks one API key; `None` if there is none.
pub(crate) async fn api_key(
    transaction: &Transaction,
    business: BusinessId,
    id: ApiKeyId,
) -> Result<Option<api_keys::Model>, Error> {
    let key = api_keys::Entity::by_id(business, id);
    one(transaction, key, LockType::Update).await
}

// ---- The catalogue

/// Locks one timed sale; `None` if there is none.
pub(crate) async fn sale(
    transaction: &Transaction,
    business: BusinessId,
    id: SaleId,
) -> Result<Option<sales::Model>, Error> {
    let sale = sales::Entity::by_id(business, id);
    one(transaction, sale, LockType::Update).await
}

/// Locks products by id and returns the given columns.
pub(crate) async fn products<T: sea_orm::TryGetableMany + Send>(
    transaction: &Transaction,
    business: BusinessId,
    ids: impl IntoIterator<Item = ProductId>,
    columns: impl IntoIterator<Item = products::Column>,
) -> Result<Vec<T>, Error> {
    let products = products::Entity::of(business)
        .select_only()
        .columns(columns)
        .filter(products::Column::Id.eq_any(ids))
        .order_by_asc(products::Column::Id)
        .lock(LockType::Update);
    Ok(products.into_tuple().all(transaction).await?)
}

/// Locks one product; `None` if there is none.
pub(crate) async fn product(
    transaction: &Transaction,
    business: BusinessId,
    id: ProductId,
) -> Result<Option<products::Model>, Error> {
    let product = products::Entity::by_id(business, id);
    one(transaction, product, LockType::Update).await
}

// ---- Locks that never wait

/// Locks the rows of the query that are not locked.
fn skip_locked(select: &mut SelectStatement) -> &mut SelectStatement {
    select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
}

/// Locks due payment intents of the provider `$2`, the longest due first. The caller adds the limit and the columns.
pub(crate) fn due_intents() -> SelectStatement {
    use payment_intents::Column;

    let mut select = rows(payment_intents::Entity, []);
    select
        .and_where(is(Column::BusinessId, "$1"))
        .and_where(is(Column::Provider, "$2"))
        .and_where(Expr::cust("payment_intents.next_try_at <= now()"))
        .order_by((payment_intents::Entity, Column::NextTryAt), Order::Asc);
    skip_locked(&mut select);
    select
}

/// Locks due refunds of payments at the provider `$2`, the longest due first. The caller adds the limit and the
/// columns.
pub(crate) fn due_refunds() -> SelectStatement {
    use refunds::Column;

    let mut select = rows(refunds::Entity, []);
    select
        .inner_join(
            payment_intents::Entity,
            is(payment_intents::Column::BusinessId, "$1")
                .and(is(payment_intents::Column::Provider, "$2"))
                .and(
                    Expr::col((payment_intents::Entity, payment_intents::Column::OrderId))
                        .equals((refunds::Entity, Column::OrderId)),
                ),
        )
        .and_where(is(Column::BusinessId, "$1"))
        .and_where(Expr::cust("refunds.next_try_at <= now()"))
        .order_by((refunds::Entity, Column::NextTryAt), Order::Asc)
        .lock_with_tables_behavior(
            LockType::Update,
            [refunds::Entity],
            LockBehavior::SkipLocked,
        );
    select
}

/// Locks reservations, the first to expire first. The caller adds the condition and the limit.
pub(crate) fn reservations_skip_locked(
    columns: impl IntoIterator<Item = reservations::Column>,
) -> SelectStatement {
    let mut select = rows(reservations::Entity, columns);
    select
        .and_where(is(reservations::Column::BusinessId, "$1"))
        .order_by(reservations::Column::ExpiresAt, Order::Asc);
    skip_locked(&mut select);
    select
}

/// Locks expired refresh tokens and returns their `ctid`. The caller adds the limit.
pub(crate) fn expired_refresh_tokens(business: BusinessId) -> SelectStatement {
    let mut select = rows(refresh_tokens::Entity, []);
    select
        .expr(Expr::cust("ctid"))
        .and_where(refresh_tokens::Column::BusinessId.eq(business))
        .and_where(Expr::cust("expires_at < now()"));
    skip_locked(&mut select);
    select
}

/// Locks sessions that have expired, or ended a day ago, and returns their `ctid`. The caller adds the limit.
pub(crate) fn expired_sessions(business: BusinessId) -> SelectStatement {
    let mut select = rows(sessions::Entity, []);
    select
        .expr(Expr::cust("ctid"))
        .and_where(sessions::Column::BusinessId.eq(business))
        .and_where(Expr::cust(
            "(expires_at < now() OR ended_at < now() - interval '1 day')",
        ));
    skip_locked(&mut select);
    select
}

// ---- Helpers

async fn one<E: EntityTrait>(
    transaction: &Transaction,
    row: Select<E>,
    lock: LockType,
) -> Result<Option<E::Model>, Error>
where
    E::Model: FromQueryResult + IntoActiveModel<E::ActiveModel>,
{
    Ok(row.lock(lock).one(transaction).await?)
}

fn rows<E: EntityTrait>(table: E, columns: impl IntoIterator<Item = E::Column>) -> SelectStatement {
    let mut select = Query::select();
    select.columns(columns).from(table);
    select
}

/// `column = $n`.
pub(crate) fn is(column: impl ColumnTrait, parameter: &str) -> Expr {
    Expr::col(column.as_column_ref()).eq(Expr::cust(parameter.to_owned()))
}

/// `column = ANY ($n)`.
pub(crate) fn is_any(column: impl ColumnTrait, parameter: &str) -> Expr {
    Expr::col(column.as_column_ref()).eq(PgFunc::any(Expr::cust(parameter.to_owned())))
}

/// `name AS MATERIALIZED (select)`, so that the rows are read and locked exactly once.
pub(crate) fn materialized(name: &'static str, select: SelectStatement) -> CommonTableExpression {
    let mut common = CommonTableExpression::new();
    common.table_name(name).query(select).materialized(true);
    common
}
