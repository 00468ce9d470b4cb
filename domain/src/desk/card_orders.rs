//! Writes card orders: the orders and their lines before the reservations that hold their stock, the intents after
//! them.
//!
//! Costs two statements in batches with card orders, and none in others.

use std::sync::LazyLock;

use chrono::{DateTime, Duration, Utc};
use entity::orders::{PaymentMethod, Status};
use entity::payment_intents::Status as IntentStatus;
use entity::{BusinessId, Money, OrderId, ReservationId};
use sea_orm::ConnectionTrait;

use super::command::Work;
use super::outcome::{Done, Executed};
use crate::card::checkout::{PlacedOrder, Terms};
use crate::foundation::rows::{ArrayStatement, Columns, Insert, Row};
use crate::orders::{NewItem, NewOrder, insert_terms};
use crate::{Error, Transaction};

/// The delay before the payment worker creates a missing intent. Until then the request that placed the order is
/// taken to be at work.
const INTENT_GRACE: Duration = Duration::seconds(15);

/// Raw: one statement that inserts into two tables.
static ORDERS: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| {
        let orders = arrays.insert::<NewOrder<'_>>();
        let items = arrays.insert::<NewItem<'_>>();
        format!("WITH new_orders AS ({orders}) {items}")
    })
});

static INTENTS: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<NewIntent>()));

/// A payment intent that the provider is yet to create.
struct NewIntent {
    order_id: OrderId,
    reservation_id: ReservationId,
    provider: &'static str,
    amount: Money,
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl Row for NewIntent {
    const NAME: &'static str = "new_intent";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("order_id", |intent| intent.order_id);
        columns.column("reservation_id", |intent| intent.reservation_id);
        columns.column("provider", |intent| intent.provider.to_owned());
        columns.column("amount", |intent| intent.amount);
        columns.column("status", |_| IntentStatus::Requested);
        columns.column("expires_at", |intent| intent.expires_at);
        columns.column("next_try_at", |intent| intent.created_at + INTENT_GRACE);
        columns.column("created_at", |intent| intent.created_at);
        columns.column("updated_at", |intent| intent.created_at);
    }
}

impl Insert for NewIntent {
    const TABLE: &'static str = "payment_intents";
}

/// The card orders of a batch. Most batches have none.
fn placed<'a>(done: &'a [Done<'_>]) -> Vec<(&'a Done<'a>, &'a PlacedOrder, &'a Terms)> {
    done.iter()
        .filter_map(|one| match (&one.executed, &one.command.work) {
            (
                Executed::PlacedOrder(placed),
                Work::Checkout(_, terms) | Work::ConfirmByCard(_, terms),
            ) => Some((one, placed, terms)),
            _ => None,
        })
        .collect()
}

/// Writes the orders. Must precede the reservations, which reference them.
pub(super) async fn write_orders(
    transaction: &Transaction,
    business: BusinessId,
    done: &[Done<'_>],
) -> Result<(), Error> {
    let orders = placed(done);
    if orders.is_empty() {
        return Ok(());
    }
    let items = NewItem::of(
        orders
            .iter()
            .map(|(_, placed, _)| (placed.order_id, &placed.lines)),
    );
    let orders = orders.iter().map(|(one, placed, _)| NewOrder {
        id: placed.order_id,
        customer_id: placed.customer_id,
        status: Status::Created,
        payment_method: PaymentMethod::Card,
        total: placed.total,
        due_at: placed.expires_at,
        details: one.command.details().map(AsRef::as_ref),
        created_by: one.command.caller.user_id,
        created_at: placed.created_at,
    });
    let orders: Vec<NewOrder<'_>> = orders.collect();
    let statement = ORDERS.of(business).rows(&orders).rows(&items).statement()?;
    transaction.execute_raw(statement).await?;
    let references = orders.iter().map(NewOrder::with_reference);
    insert_terms(transaction, business, references).await
}

/// Writes the requested intents. Must follow the reservations, which they reference.
pub(super) async fn write_intents(
    transaction: &Transaction,
    business: BusinessId,
    done: &[Done<'_>],
) -> Result<(), Error> {
    let orders = placed(done);
    if orders.is_empty() {
        return Ok(());
    }
    let intents = orders.iter().map(|(_, placed, terms)| NewIntent {
        order_id: placed.order_id,
        reservation_id: placed.reservation_id,
        provider: terms.provider,
        amount: placed.total,
        expires_at: placed.expires_at,
        created_at: placed.created_at,
    });
    let intents: Vec<NewIntent> = intents.collect();
    let statement = INTENTS.of(business).rows(&intents).statement()?;
    transaction.execute_raw(statement).await?;
    Ok(())
}
