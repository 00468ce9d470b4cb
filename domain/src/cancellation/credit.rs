//! Cancelling an order on credit: its charge is reversed, and what was not credited before is restocked.

use std::collections::BTreeMap;

use entity::ledger_entries::Kind;
use entity::orders::{CancelReason, Status};
use entity::{BusinessId, CustomerId, Money, OrderId, ProductId, Tenant, ledger_entries, orders};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::json;

use crate::audit::{self, Action, Change};
use crate::foundation::write::Write;
use crate::orders::credited::{self, Credited};
use crate::orders::goods::Goods;
use crate::orders::{Order, step, transitions};
use crate::receivables::accounts::LockedAccount;
use crate::receivables::allocations::settling;
use crate::receivables::payout_allocations::covering;
use crate::receivables::reversals;
use crate::receivables::settlement::Settling;
use crate::stock::inventory::returns;
use crate::{Caller, Error, Outcome, Transaction};

/// The reason that the reversal of the charge records.
const REASON: &str = "order cancelled";

/// Cancels the order. Payments that settled it become credit on account again. `Some` is the original outcome of a
/// retry.
pub(super) async fn cancel(
    write: &Write<'_, Order>,
    caller: &Caller,
    order: &orders::Model,
) -> Result<Option<Outcome<Order>>, Error> {
    let (transaction, id) = (write.transaction(), order.id);
    let mut locked = LockedAccount::of(transaction, caller, order.customer_id).await?;
    if let Some(replayed) = write.replayed().await? {
        return Ok(Some(replayed));
    }
    let goods = Goods::of(transaction, caller.business_id, id).await?;
    let goods = goods.returning();
    let mut locked_stock = returns::lock_stock(transaction, caller, goods.iter().copied()).await?;
    let order = cancelled(transaction, caller, &mut locked, id).await?;
    returns::restock(transaction, caller, id, &mut locked_stock, &goods).await?;
    let event = event(&locked, &order, &goods, caller);
    audit::record(transaction, caller, event).await?;
    Ok(None)
}

/// Locks the order, decides and writes. Returns the order as it was before.
async fn cancelled(
    transaction: &Transaction,
    caller: &Caller,
    locked: &mut LockedAccount,
    id: OrderId,
) -> Result<orders::Model, Error> {
    let business = caller.business_id;
    let credited = credited::of(transaction, business, id).await?;
    let (own, others) = credits(transaction, business, locked.id(), id, &credited).await?;
    let elsewhere = own.iter().flat_map(|credit| &credit.orders);
    let ids: Vec<OrderId> = elsewhere.map(|(id, _)| *id).chain([id]).collect();
    let orders = locked.lock_orders(transaction, ids).await?;
    let order = orders.into_iter().find(|order| order.id == id);
    let order = order.ok_or(Error::OrderNotFound(id))?;
    let (of, to) = (order.payment_method, Status::Cancelled);
    transitions::find_for(caller.authority.role(), of, order.status, to)?;
    if caller.confined_to().is_some() && order.amount_paid() > Money::ZERO {
        return Err(Error::AlreadyPaid(id));
    }
    let charge = charge_of(transaction, business, locked.id(), id).await?;
    let own_numbers = own.iter().map(|credit| credit.entry_number).collect();
    let covering = covering(transaction, business, locked.id(), Vec::new(), own_numbers).await?;
    let number = locked.state.cancel(id, &others, &own, &covering)?;
    locked.write(transaction).await?;
    let entries = reversals::ReversedEntry {
        number,
        reverses: charge,
    };
    reversals::record(transaction, caller, locked, entries, REASON).await?;
    let mut now = order.clone();
    now.cancel_reason = Some(CancelReason::Requested);
    step(transaction, caller.into(), &mut now, to).await?;
    Ok(order)
}

/// The order's own credits, and the other credits that settle it.
async fn credits(
    transaction: &Transaction,
    business: BusinessId,
    customer: CustomerId,
    order: OrderId,
    credited: &[Credited],
) -> Result<(Vec<Settling>, Vec<Settling>), Error> {
    let numbers = credited.iter().map(|credit| credit.entry_number).collect();
    let found = settling(transaction, business, customer, vec![order], numbers).await?;
    let mut own: BTreeMap<i64, Settling> = credited
        .iter()
        .map(|credit| {
            let nowhere = Settling {
                entry_number: credit.entry_number,
                kind: credit.kind,
                orders: Vec::new(),
            };
            (credit.entry_number, nowhere)
        })
        .collect();
    let mut others = Vec::new();
    for credit in found {
        match own.get_mut(&credit.entry_number) {
            Some(its) => its.orders = credit.orders,
            None => others.push(credit),
        }
    }
    Ok((own.into_values().collect(), others))
}

async fn charge_of(
    transaction: &Transaction,
    business: BusinessId,
    customer: CustomerId,
    order: OrderId,
) -> Result<i64, Error> {
    let charge = ledger_entries::Entity::of(business)
        .filter(ledger_entries::Column::CustomerId.eq(customer))
        .filter(ledger_entries::Column::OrderId.eq(order))
        .filter(ledger_entries::Column::Kind.eq(Kind::Charge))
        .one(transaction)
        .await?;
    let charge = charge.ok_or_else(|| Error::Bug(format!("order {order} has no charge")))?;
    Ok(charge.number)
}

fn event(
    locked: &LockedAccount,
    order: &orders::Model,
    goods: &[(ProductId, i64)],
    caller: &Caller,
) -> Change {
    let currency = caller.currency;
    let mut before = locked.audit_snapshot_before();
    before["status"] = json!(order.status);
    before["amount_paid"] = order.amount_paid().to_text(currency).into();
    before["amount_credited"] = order.amount_credited.to_text(currency).into();
    let mut after = locked.audit_snapshot();
    after["status"] = json!(Status::Cancelled);
    let returned = goods
        .iter()
        .map(|(id, quantity)| json!({"product_id": id, "quantity": quantity}));
    after["returned"] = returned.collect::<Vec<_>>().into();
    Change {
        action: Action::OrderCancelled,
        entity_type: "order",
        entity_id: order.id.0,
        before: Some(before),
        after,
    }
}
