//! A card order with its locks: the customer's row, the stock by product, the order's row, then the intent's row.

use chrono::{DateTime, Utc};
use entity::orders::{CancelReason, Status};
use entity::stock_movements::Reason;
use entity::{
    BusinessId, Currency, Money, OrderId, ProductId, Tenant, businesses, order_items, orders,
    payment_intents, reservations,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::audit::{self, Action, Actor, Change};
use crate::foundation::locks;
use crate::orders::payments;
use crate::orders::step;
use crate::stock::inventory::{self, NewMovement};
use crate::stock::locked_stock::{self, LockedStock, Range};
use crate::{Error, Transaction};

/// A time in the past: a row with this time is due at once.
pub(crate) const AT_ONCE: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct LockedOrder {
    pub(crate) order: orders::Model,
    pub(crate) intent: payment_intents::Model,
    pub(crate) currency: Currency,
    lines: Vec<(ProductId, i64)>,
    locked_stock: LockedStock,
}

/// Whether stock is locked with the order. A change that does not touch stock leaves it to the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stock {
    /// The stock of all items is locked.
    Locked,
    /// No stock is locked.
    Left,
}

impl LockedOrder {
    /// Locks the order; `None` if it does not exist or has no intent. Expired holds of its products, also those of
    /// others, are released in memory.
    pub(crate) async fn of(
        transaction: &Transaction,
        business: BusinessId,
        id: OrderId,
        stock: Stock,
    ) -> Result<Option<Self>, Error> {
        // The customer, the intent's reservation and the items never change, so they can be read before any lock.
        let Some(intent) = payments::intent(transaction, business, id).await? else {
            return Ok(None);
        };
        let lines = lines(transaction, business, id).await?;
        locks::customer_of_order(transaction, business, id).await?;
        let locked_stock = match stock {
            Stock::Left => LockedStock::new(DateTime::UNIX_EPOCH, [].into()),
            Stock::Locked => {
                let ranges = lines.iter().map(|(product, quantity)| {
                    // The units that a sale takes or a return adds bound the stock that this transaction needs to know.
                    let range = Range {
                        taken: *quantity,
                        returned: *quantity,
                    };
                    (*product, range)
                });
                locked_stock::lock_with(transaction, business, ranges, vec![intent.reservation_id])
                    .await?
            }
        };
        let order = locks::order(transaction, business, id)
            .await?
            .ok_or(Error::OrderNotFound(id))?;
        let intent = locks::payment_intent(transaction, business, id)
            .await?
            .ok_or(Error::OrderNotFound(id))?;
        Ok(Some(Self {
            order,
            intent,
            currency: currency(transaction, business).await?,
            lines,
            locked_stock,
        }))
    }

    /// Whether the stock is held, or could be taken again. The customer gets nothing that others wait for, and only
    /// active products.
    pub(crate) fn has_stock(&self) -> bool {
        let customer = self.order.customer_id;
        self.lines.iter().all(|(product, quantity)| {
            let counts = self.locked_stock.counts.get(product);
            let is_active = counts.is_some_and(|counts| !counts.inactive);
            self.is_held(*product)
                || is_active && self.locked_stock.available_to(customer, *product) >= *quantity
        })
    }

    fn is_held(&self, product: ProductId) -> bool {
        let held = self
            .locked_stock
            .reservations
            .get(&self.intent.reservation_id);
        held.is_some_and(|held| {
            let items = &held.items;
            items
                .iter()
                .any(|item| item.held && item.product_id == product)
        })
    }

    /// The database's time, read after the stock was locked.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.locked_stock.now
    }

    /// Takes the units out of stock.
    pub(crate) async fn sell(
        &mut self,
        transaction: &Transaction,
        actor: Actor<'_>,
    ) -> Result<(), Error> {
        self.use_places(actor);
        self.release_hold(actor);
        self.move_stock(transaction, actor, Reason::Sold, self.lines.clone())
            .await
    }

    /// Units that are no longer held come out of the customer's own waitlist positions, where these are first.
    fn use_places(&mut self, actor: Actor<'_>) {
        for (product_id, quantity) in &self.lines {
            let place = self
                .locked_stock
                .own_place(self.order.customer_id, *product_id);
            if let Some(reservation_id) = place
                && !self.is_held(*product_id)
            {
                let part = locked_stock::Part {
                    reservation_id,
                    product_id: *product_id,
                    quantity: *quantity,
                };
                self.locked_stock
                    .use_place(part, self.order.id, actor.user_id);
            }
        }
    }

    /// Restocks these units.
    pub(crate) async fn restock(
        &mut self,
        transaction: &Transaction,
        actor: Actor<'_>,
        goods: Vec<(ProductId, i64)>,
    ) -> Result<(), Error> {
        self.move_stock(transaction, actor, Reason::Returned, goods)
            .await
    }

    async fn move_stock(
        &mut self,
        transaction: &Transaction,
        actor: Actor<'_>,
        reason: Reason,
        goods: Vec<(ProductId, i64)>,
    ) -> Result<(), Error> {
        let sign = if reason == Reason::Sold { -1 } else { 1 };
        let mut movements = Vec::with_capacity(goods.len());
        for (product, quantity) in goods {
            let counts = self.locked_stock.counts.get(&product);
            let counts = counts.ok_or(Error::ProductNotFound(product))?;
            let change = sign * quantity;
            let movement = NewMovement {
                quantity: change,
                on_hand_after: counts.on_hand + change,
                reason,
                note: None,
            };
            movements.push((product, movement));
        }
        let order = Some(self.order.id);
        inventory::write(transaction, actor, order, &mut self.locked_stock, movements).await?;
        Ok(())
    }

    /// Releases the hold and allocates the stock to the waitlist.
    pub(crate) async fn release(
        &mut self,
        transaction: &Transaction,
        actor: Actor<'_>,
    ) -> Result<(), Error> {
        self.release_hold(actor);
        for (product, _) in &self.lines {
            self.locked_stock.allocate(*product);
        }
        self.write_holds(transaction).await
    }

    fn release_hold(&mut self, actor: Actor<'_>) {
        let order = Some(self.order.id);
        self.locked_stock.resolve(
            self.intent.reservation_id,
            reservations::Status::Confirmed,
            order,
            actor.user_id,
        );
    }

    /// Writes released holds, and the waitlist allocations made of them.
    pub(crate) async fn write_holds(&self, transaction: &Transaction) -> Result<(), Error> {
        let business = self.order.business_id;
        locked_stock::write(
            transaction,
            business,
            &self.locked_stock,
            Vec::new(),
            Vec::new(),
        )
        .await?;
        Ok(())
    }

    /// Cancels an unpaid order and releases its stock. The columns say that the total was credited, so that nothing is
    /// due. Nothing was charged, and [`orders::Model::amount_credited`] says so.
    pub(crate) async fn cancel_unpaid(
        &mut self,
        transaction: &Transaction,
        actor: Actor<'_>,
        reason: CancelReason,
    ) -> Result<(), Error> {
        self.release(transaction, actor).await?;
        let before = self.audit_snapshot();
        self.order.amount_settled = self.order.total_amount;
        self.order.amount_credited = self.order.total_amount;
        self.order.cancel_reason = Some(reason);
        step(transaction, actor, &mut self.order, Status::Cancelled).await?;
        self.record(transaction, actor, Action::OrderCancelled, before)
            .await
    }

    /// The order in the format of audit entries.
    pub(crate) fn audit_snapshot(&self) -> Value {
        let text = |amount: Money| amount.to_text(self.currency);
        json!({
            "status": self.order.status,
            "amount_paid": text(self.order.amount_paid()),
            "amount_refunded": text(self.order.amount_refunded),
            "amount_lost": text(self.order.amount_lost),
            "cancel_reason": self.order.cancel_reason,
            "payment": self.intent.status,
            "failure": self.intent.failure,
        })
    }

    /// Writes an audit entry about the order.
    pub(crate) async fn record(
        &self,
        transaction: &Transaction,
        actor: Actor<'_>,
        action: Action,
        before: Value,
    ) -> Result<(), Error> {
        let change = self.change(action, before, json!({}));
        audit::record_as(transaction, actor, change).await
    }

    /// The change of the order that an audit entry records, with these members beside the order's own.
    pub(crate) fn change(&self, action: Action, before: Value, more: Value) -> Change {
        let mut after = self.audit_snapshot();
        if let (Some(after), Value::Object(more)) = (after.as_object_mut(), more) {
            after.extend(more);
        }
        Change {
            action,
            entity_type: "order",
            entity_id: self.order.id.0,
            before: Some(before),
            after,
        }
    }

    /// Writes the mutable columns of the intent.
    pub(crate) async fn write_intent(&self, transaction: &Transaction) -> Result<(), Error> {
        use payment_intents::Column;

        let intent = &self.intent;
        payment_intents::Entity::update_of(intent.business_id)
            .filter(Column::OrderId.eq(intent.order_id))
            .col_expr(Column::ProviderId, Expr::value(intent.provider_id.clone()))
            .col_expr(
                Column::ClientSecret,
                Expr::value(intent.client_secret.clone()),
            )
            .col_expr(Column::Status, Expr::value(intent.status))
            .col_expr(Column::Failure, Expr::value(intent.failure.clone()))
            .col_expr(
                Column::FailureCode,
                Expr::value(intent.failure_code.clone()),
            )
            .col_expr(Column::ReceivedMinor, Expr::value(intent.received_minor))
            .col_expr(
                Column::ReceivedCurrency,
                Expr::value(intent.received_currency.clone()),
            )
            .col_expr(Column::ReturnedMinor, Expr::value(intent.returned_minor))
            .col_expr(Column::Readings, Expr::value(intent.readings))
            .col_expr(Column::NextTryAt, Expr::value(intent.next_try_at))
            .col_expr(Column::Tries, Expr::value(intent.tries))
            .col_expr(Column::UpdatedAt, Expr::current_timestamp())
            .exec(transaction)
            .await?;
        Ok(())
    }
}

/// The currency of the business.
pub(crate) async fn currency(
    transaction: &Transaction,
    business: BusinessId,
) -> Result<Currency, Error> {
    let row = businesses::Entity::of(business).one(transaction).await?;
    let row = row.ok_or_else(|| Error::Bug(format!("business {business} does not exist")))?;
    Ok(row.currency)
}

async fn lines(
    transaction: &Transaction,
    business: BusinessId,
    id: OrderId,
) -> Result<Vec<(ProductId, i64)>, Error> {
    let lines = order_items::Entity::of(business)
        .filter(order_items::Column::OrderId.eq(id))
        .order_by_asc(order_items::Column::ProductId)
        .all(transaction)
        .await?;
    let lines = lines.iter().map(|line| (line.product_id, line.quantity));
    Ok(lines.collect())
}
