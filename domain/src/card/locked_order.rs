//! An order by card under its locks: its customer's row, its stock by product, then its own row, then its intent's.

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

/// A time that has always passed: what has it is due at once.
pub(crate) const AT_ONCE: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct LockedOrder {
    pub(crate) order: orders::Model,
    pub(crate) intent: payment_intents::Model,
    pub(crate) currency: Currency,
    lines: Vec<(ProductId, i64)>,
    shelf: LockedStock,
}

/// Whether stock is locked with the order. Whoever changes none of it leaves it to those who sell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stock {
    /// It is.
    Locked,
    /// It is not.
    Left,
}

impl LockedOrder {
    /// Locks it, if there is such an order. What has expired of its stock, and of what others hold of that, is freed.
    pub(crate) async fn of(
        transaction: &Transaction,
        business: BusinessId,
        id: OrderId,
        stock: Stock,
    ) -> Result<Option<Self>, Error> {
        // Neither changes once it is there, so both can be read before anything is locked. Nor does whose it is.
        let Some(intent) = payments::intent(transaction, business, id).await? else {
            return Ok(None);
        };
        let lines = lines(transaction, business, id).await?;
        locks::customer_of_order(transaction, business, id).await?;
        let shelf = match stock {
            Stock::Left => LockedStock::new(DateTime::UNIX_EPOCH, [].into()),
            Stock::Locked => {
                let ranges = lines.iter().map(|(product, quantity)| {
                    // Sold, or put back: more than enough to know of the lines for either.
                    let range = Range {
                        taken: *quantity,
                        returned: *quantity,
                    };
                    (*product, range)
                });
                locked_stock::open_with(transaction, business, ranges, vec![intent.reservation_id])
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
            shelf,
        }))
    }

    /// Whether its stock is held, or could be had anew: by its customer, who gets nothing for which others wait, of
    /// products that are on sale.
    pub(crate) fn has_stock(&self) -> bool {
        let customer = self.order.customer_id;
        self.lines.iter().all(|(product, quantity)| {
            let counts = self.shelf.counts.get(product);
            let is_active = counts.is_some_and(|counts| !counts.inactive);
            self.is_held(*product)
                || is_active && self.shelf.open_to(customer, *product) >= *quantity
        })
    }

    fn is_held(&self, product: ProductId) -> bool {
        let held = self.shelf.reservations.get(&self.intent.reservation_id);
        held.is_some_and(|held| {
            let items = &held.items;
            items
                .iter()
                .any(|item| item.held && item.product_id == product)
        })
    }

    /// The database's time after the locks on its stock were had.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.shelf.now
    }

    /// Its stock leaves the shelf.
    pub(crate) async fn sell(
        &mut self,
        transaction: &Transaction,
        actor: Actor<'_>,
    ) -> Result<(), Error> {
        self.use_places(actor);
        self.release_hold(actor);
        self.move_stock(transaction, actor, Reason::Sold, self.lines.clone(), -1)
            .await
    }

    /// What is had anew comes out of the customer's own places in line, where these are the first.
    fn use_places(&mut self, actor: Actor<'_>) {
        for (product_id, quantity) in &self.lines {
            let place = self.shelf.own_place(self.order.customer_id, *product_id);
            if let Some(reservation_id) = place
                && !self.is_held(*product_id)
            {
                let part = locked_stock::Part {
                    reservation_id,
                    product_id: *product_id,
                    quantity: *quantity,
                };
                self.shelf.use_place(part, self.order.id, actor.user_id);
            }
        }
    }

    /// These come back.
    pub(crate) async fn put_back(
        &mut self,
        transaction: &Transaction,
        actor: Actor<'_>,
        goods: Vec<(ProductId, i64)>,
    ) -> Result<(), Error> {
        self.move_stock(transaction, actor, Reason::Returned, goods, 1)
            .await
    }

    async fn move_stock(
        &mut self,
        transaction: &Transaction,
        actor: Actor<'_>,
        reason: Reason,
        goods: Vec<(ProductId, i64)>,
        sign: i64,
    ) -> Result<(), Error> {
        let mut movements = Vec::with_capacity(goods.len());
        for (product, quantity) in goods {
            let counts = self.shelf.counts.get(&product);
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
        inventory::write(transaction, actor, order, &mut self.shelf, movements).await?;
        Ok(())
    }

    /// Its stock is held no more, and goes to those who wait for it.
    pub(crate) async fn release(
        &mut self,
        transaction: &Transaction,
        actor: Actor<'_>,
    ) -> Result<(), Error> {
        self.release_hold(actor);
        for (product, _) in &self.lines {
            self.shelf.serve(*product);
        }
        self.write_expired(transaction).await
    }

    fn release_hold(&mut self, actor: Actor<'_>) {
        let order = Some(self.order.id);
        self.shelf.resolve(
            self.intent.reservation_id,
            reservations::Status::Confirmed,
            order,
            actor.user_id,
        );
    }

    /// Writes down what is held no more of the stock, and who was served with it.
    pub(crate) async fn write_expired(&self, transaction: &Transaction) -> Result<(), Error> {
        let business = self.order.business_id;
        locked_stock::write(transaction, business, &self.shelf, Vec::new(), Vec::new()).await?;
        Ok(())
    }

    /// Nothing is to be paid any more: the order is over, and its stock free. The columns say that its total was credited, so
    /// that nothing is due; nothing was charged, and [`orders::Model::amount_credited`] says so.
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

    /// What the audit trail says of it.
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

    /// Leaves an entry about it in the audit trail.
    pub(crate) async fn record(
        &self,
        transaction: &Transaction,
        actor: Actor<'_>,
        action: Action,
        before: Value,
    ) -> Result<(), Error> {
        self.record_with(transaction, actor, action, before, json!({}))
            .await
    }

    /// As [`LockedOrder::record`], with what else is to be said of what happened.
    pub(crate) async fn record_with(
        &self,
        transaction: &Transaction,
        actor: Actor<'_>,
        action: Action,
        before: Value,
        more: Value,
    ) -> Result<(), Error> {
        let mut after = self.audit_snapshot();
        if let (Some(after), Value::Object(more)) = (after.as_object_mut(), more) {
            after.extend(more);
        }
        let change = Change {
            action,
            entity_type: "order",
            entity_id: self.order.id.0,
            before: Some(before),
            after,
        };
        audit::record_as(transaction, actor, change).await
    }

    /// Writes the intent as it is now.
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

/// The business's currency.
pub(crate) async fn currency(
    transaction: &Transaction,
    business: BusinessId,
) -> Result<Currency, Error> {
    let row = businesses::Entity::of(business).one(transaction).await?;
    let row = row.ok_or_else(|| Error::Bug(format!("business {business} is not there")))?;
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
