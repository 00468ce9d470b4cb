//! Refunds of card payments, whole or in part, never more than was paid.
//!
//! Restocked items are refunded at their price, limited to what is left of the payment. That may be 0: goods can come
//! back after the whole payment was refunded. A refund of 0 only records the return, and the provider is not called.
//!
//! A refund is decided and written under its order's lock. It counts from its request on, so two concurrent requests
//! cannot both get the rest. The [`crate::card::PaymentWorker`] calls the provider afterwards, with the refund's id as
//! key. A refund that the provider refuses no longer counts.

use entity::orders::{PaymentMethod, Status as OrderStatus};
use entity::refunds::Status;
use entity::{
    BusinessId, Currency, Money, OrderId, ProductId, RefundId, Tenant, orders, refund_items,
    refunds,
};
use sea_orm::sea_query::{Expr, Func};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter,
};
use serde_json::{Value, json};

use crate::audit::{self, Action, Actor, Change};
use crate::card::attention;
use crate::card::locked_order::{AT_ONCE, LockedOrder, Stock};
use crate::card::provider::{Limits, RefundState};
use crate::foundation::error::RefusedAmount;
use crate::foundation::retry::retry;
use crate::orders as domain_orders;
use crate::orders::Order;
use crate::orders::disputes;
use crate::orders::goods::{self, Goods, Units};
use crate::{Database, Error, Outcome, Transaction, WriteRequest};

/// Input of a new refund.
#[derive(Debug, Clone)]
pub struct NewRefund {
    /// The amount, the items, or all that is left.
    pub what: What,
    /// Why, as the caller wrote it.
    pub reason: String,
    /// The provider's name and limits. An amount that it cannot refund is rejected at once.
    pub takes: Option<(&'static str, Limits)>,
}

/// The scope of a refund.
#[derive(Debug, Clone)]
pub enum What {
    /// All that can still be refunded.
    Rest,
    /// An amount. More than 0.
    Amount(Money),
    /// Items, at the price of their sale.
    Items {
        /// Products with their quantities.
        items: Vec<(ProductId, i64)>,
        /// Whether the items are restocked. Then the refund is limited to what can still be refunded.
        restock: bool,
    },
}

impl What {
    /// Whether the refund restocks items.
    fn restocks(&self) -> bool {
        matches!(self, Self::Items { restock: true, .. })
    }
}

/// Refunds a card payment. The provider is called after the commit.
///
/// # Errors
/// [`Error::OrderNotFound`]; [`Error::NotPaidByCard`]; [`Error::NotPaid`]; [`Error::AlreadyRefunded`];
/// [`Error::MoreThanPaid`]; [`Error::NothingToRefund`]; [`Error::MoreThanSold`]; [`Error::DisputeOpen`] while a dispute
/// is open, or when one was lost; [`Error::PaymentRefused`] for an amount that the provider cannot refund; those of
/// [`WriteRequest`].
pub async fn request(
    database: &Database,
    request: &WriteRequest<'_, Order>,
    id: OrderId,
    requested: &NewRefund,
) -> Result<Outcome<Order>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let business = caller.business_id;
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let stock = if requested.what.restocks() {
                Stock::Locked
            } else {
                Stock::Left
            };
            let Some(mut locked) = LockedOrder::of(transaction, business, id, stock).await? else {
                return Err(not_by_card(transaction, business, id).await?);
            };
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            expect_paid(&locked.order)?;
            let (items, price) = items(transaction, &locked.order, requested).await?;
            // Goods may be returned for 0, whatever became of the payment.
            let is_for_nothing =
                requested.what.restocks() && price.min(refundable(&locked.order)) == Money::ZERO;
            if !is_for_nothing {
                disputes::check_none(transaction, business, id).await?;
            }
            let new = decide(&locked.order, requested, items, price)?;
            check_step(&locked, requested, new.amount)?;
            let before = locked.audit_snapshot();
            if requested.what.restocks() {
                let goods = new.items.clone();
                locked.restock(transaction, caller.into(), goods).await?;
            }
            let mut after = new.audit_snapshot(locked.currency);
            let refund = new.add(transaction, caller.into(), &mut locked.order);
            after["refund_id"] = json!(refund.await?);
            if locked.order.attention.is_some() {
                attention::assess(transaction, &mut locked).await?;
            }
            let change = locked.change(Action::OrderRefunded, before, after);
            audit::record(transaction, caller, change).await?;
            let order = domain_orders::whole(transaction, locked.order.clone()).await?;
            write.finish(order).await
        })
        .await
}

/// The error for an order without an intent.
async fn not_by_card(
    transaction: &Transaction,
    business: BusinessId,
    id: OrderId,
) -> Result<Error, Error> {
    let order = orders::Entity::by_id(business, id).one(transaction).await?;
    Ok(match order {
        Some(order) if order.payment_method == PaymentMethod::Credit => Error::NotPaidByCard(id),
        Some(_) | None => Error::OrderNotFound(id),
    })
}

/// Checks that the order has a payment to refund. A payment that arrived too late belongs to a cancelled order.
fn expect_paid(order: &orders::Model) -> Result<(), Error> {
    match order.status {
        OrderStatus::Paid | OrderStatus::Fulfilled | OrderStatus::Cancelled => Ok(()),
        OrderStatus::Created | OrderStatus::PaymentPending | OrderStatus::Approved => {
            Err(Error::NotPaid(order.id))
        }
    }
}

/// The units of the request and their price, or why they cannot be refunded.
async fn items(
    transaction: &Transaction,
    order: &orders::Model,
    requested: &NewRefund,
) -> Result<(Units, Money), Error> {
    let What::Items { items, restock } = &requested.what else {
        return Ok((Units::new(), Money::ZERO));
    };
    let asked = goods::add_up(items.iter().copied());
    let goods = Goods::of(transaction, order.business_id, order.id).await?;
    let price = goods.price(&asked, *restock)?;
    Ok((asked, price))
}

/// Checks that money of an order can be refunded as it is. Goods may come back even after all money has.
///
/// # Errors
/// [`Error::NotPaidByCard`]; [`Error::NotPaid`]; [`Error::DisputeOpen`].
pub fn check(order: &Order) -> Result<(), Error> {
    if order.order.payment_method == PaymentMethod::Credit {
        return Err(Error::NotPaidByCard(order.order.id));
    }
    expect_paid(&order.order)?;
    disputes::check(&order.disputes)
}

/// The rest of the payment: neither refunded nor lost in a dispute.
#[must_use]
pub fn refundable(order: &orders::Model) -> Money {
    let left = order.amount_paid() - order.amount_refunded - order.amount_lost;
    left.max(Money::ZERO)
}

/// The refund to write, or why the request is rejected.
fn decide(
    order: &orders::Model,
    requested: &NewRefund,
    items: Units,
    price: Money,
) -> Result<RefundToWrite, Error> {
    let refundable = refundable(order);
    let amount = match &requested.what {
        What::Rest => refundable,
        What::Amount(amount) => *amount,
        What::Items { restock: true, .. } => price.min(refundable),
        What::Items { restock: false, .. } => price,
    };
    let is_for_nothing = amount <= Money::ZERO && !requested.what.restocks();
    if refundable == Money::ZERO && (amount > refundable || is_for_nothing) {
        return Err(Error::AlreadyRefunded(order.id));
    }
    if amount > refundable {
        return Err(Error::MoreThanPaid { refundable });
    }
    if is_for_nothing {
        return Err(Error::NothingToRefund);
    }
    Ok(RefundToWrite {
        amount,
        reason: requested.reason.clone(),
        restock: requested.what.restocks(),
        at_provider: None,
        items: items.into_iter().collect(),
    })
}

/// Checks that the provider can refund this amount, and can keep what remains.
fn check_step(locked: &LockedOrder, requested: &NewRefund, amount: Money) -> Result<(), Error> {
    let takes = requested.takes.as_ref();
    let Some((_, limits)) = takes.filter(|(provider, _)| *provider == locked.intent.provider)
    else {
        return Ok(());
    };
    let remains = refundable(&locked.order) - amount;
    let checked = limits
        .check_step(amount)
        .and_then(|()| limits.check_step(remains));
    checked.map_err(|refused: RefusedAmount| Error::PaymentRefused {
        refused: Box::new(refused),
        order_id: None,
    })
}

/// A refund to write.
pub(crate) struct RefundToWrite {
    pub(crate) amount: Money,
    pub(crate) reason: String,
    pub(crate) restock: bool,
    /// For a refund made by hand: the provider's id and the status there.
    pub(crate) at_provider: Option<(String, Status)>,
    pub(crate) items: Vec<(ProductId, i64)>,
}

impl RefundToWrite {
    /// The refund in the format of audit entries.
    fn audit_snapshot(&self, currency: Currency) -> Value {
        let items = self.items.iter();
        let items = items.map(|(id, quantity)| json!({"product_id": id, "quantity": quantity}));
        json!({
            "amount": self.amount.to_text(currency),
            "reason": self.reason,
            "restock": self.restock,
            "items": items.collect::<Vec<_>>(),
        })
    }

    /// Inserts the refund and adds its amount to the locked order. The caller has checked that the order allows it.
    pub(crate) async fn add(
        self,
        transaction: &Transaction,
        actor: Actor<'_>,
        order: &mut orders::Model,
    ) -> Result<RefundId, Error> {
        let id = RefundId::new();
        order.amount_refunded = order.amount_refunded + self.amount;
        domain_orders::write(transaction, order).await?;
        let by_hand = self.at_provider.is_some();
        let (provider_id, status) = match self.at_provider {
            Some((id, status)) => (Some(id), status),
            // A refund of 0 needs no call to the provider.
            None if self.amount == Money::ZERO => (None, Status::Succeeded),
            None => (None, Status::Requested),
        };
        let next_try_at = match status {
            Status::Requested | Status::Pending => NotSet,
            Status::Succeeded | Status::Failed => Set(None),
        };
        let row = refunds::ActiveModel {
            business_id: Set(order.business_id),
            id: Set(id),
            order_id: Set(order.id),
            amount: Set(self.amount),
            status: Set(status),
            reason: Set(self.reason),
            restock: Set(self.restock),
            by_hand: Set(by_hand),
            provider_id: Set(provider_id),
            next_try_at,
            created_by: Set(actor.user_id),
            ..Default::default()
        };
        refunds::Entity::insert(row)
            .exec_without_returning(transaction)
            .await?;
        if self.items.is_empty() {
            return Ok(id);
        }
        let items = self.items.into_iter();
        let items = items.map(|(product_id, quantity)| refund_items::ActiveModel {
            business_id: Set(order.business_id),
            refund_id: Set(id),
            product_id: Set(product_id),
            quantity: Set(quantity),
        });
        refund_items::Entity::insert_many(items)
            .exec_without_returning(transaction)
            .await?;
        Ok(id)
    }
}

/// The provider's state of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefundResult {
    pub(crate) status: Status,
    /// The provider's id; `None` keeps the id that is stored.
    pub(crate) provider_id: Option<String>,
    /// Why it failed.
    pub(crate) failure: Option<String>,
}

impl RefundResult {
    /// The provider's state of the refund with this provider id.
    pub(crate) fn of(provider_id: &str, state: &RefundState) -> Self {
        let (status, failure) = match state {
            RefundState::Pending => (Status::Pending, None),
            RefundState::Succeeded => (Status::Succeeded, None),
            RefundState::Failed(why) => (Status::Failed, Some(why.clone())),
        };
        Self {
            status,
            provider_id: Some(provider_id.to_owned()),
            failure,
        }
    }
}

/// Writes the provider's state of a refund whose order is locked, with an audit entry. The caller writes the order's
/// amounts.
pub(crate) async fn settle(
    transaction: &Transaction,
    currency: Currency,
    refund: &refunds::Model,
    result: &RefundResult,
) -> Result<(), Error> {
    use refunds::Column;

    let business = refund.business_id;
    let mut update = refunds::Entity::update_of(business)
        .filter(Column::Id.eq(refund.id))
        .col_expr(Column::Status, Expr::value(result.status))
        .col_expr(Column::Failure, Expr::value(result.failure.clone()))
        .col_expr(Column::UpdatedAt, Expr::current_timestamp());
    // A pending refund is polled again, also when it was settled before.
    let next_try_at = match result.status {
        Status::Requested | Status::Pending => {
            Func::coalesce([Expr::col(Column::NextTryAt), Expr::current_timestamp()]).into()
        }
        Status::Succeeded | Status::Failed => {
            let never: Option<chrono::DateTime<chrono::Utc>> = None;
            Expr::value(never)
        }
    };
    update = update.col_expr(Column::NextTryAt, next_try_at);
    if let Some(provider_id) = &result.provider_id {
        update = update.col_expr(Column::ProviderId, Expr::value(provider_id.clone()));
    }
    update.exec(transaction).await?;
    if result.status == refund.status {
        return Ok(());
    }
    let action = match result.status {
        Status::Requested | Status::Pending => Action::RefundPending,
        Status::Succeeded => Action::RefundSucceeded,
        Status::Failed => Action::RefundFailed,
    };
    let change = Change {
        action,
        entity_type: "refund",
        entity_id: refund.id.0,
        before: Some(json!({ "status": refund.status })),
        after: json!({
            "status": result.status,
            "order_id": refund.order_id,
            "amount": refund.amount.to_text(currency),
            "failure": result.failure,
        }),
    };
    audit::record_as(transaction, Actor::system(business), change).await
}

/// Records the provider's response to a refund request, once, under the order's lock. After a failure the provider's
/// refunds are read again, because a refund by hand may now fit.
pub(crate) async fn record(
    database: &Database,
    refund: &refunds::Model,
    result: &RefundResult,
) -> Result<(), Error> {
    let business = refund.business_id;
    retry(|| async {
        let transaction = database.begin(business).await?;
        let locked = LockedOrder::of(&transaction, business, refund.order_id, Stock::Left).await?;
        let mut locked = locked.ok_or(Error::OrderNotFound(refund.order_id))?;
        let now = refunds::Entity::by_id(business, refund.id)
            .one(&transaction)
            .await?;
        let is_open =
            |one: &refunds::Model| matches!(one.status, Status::Requested | Status::Pending);
        let Some(now) = now.filter(is_open) else {
            // Another process or an event has recorded it already.
            return Ok(());
        };
        settle(&transaction, locked.currency, &now, result).await?;
        if result.status == Status::Failed {
            locked.order.amount_refunded = locked.order.amount_refunded - now.amount;
            locked.intent.next_try_at = Some(AT_ONCE);
        }
        // Readings that began before this write are outdated.
        locked.intent.readings += 1;
        locked.write_intent(&transaction).await?;
        if result.status == Status::Failed {
            attention::assess(&transaction, &mut locked).await?;
        }
        transaction.commit().await
    })
    .await
}
