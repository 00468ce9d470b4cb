//! Writing a shelf: the one statement that says what has become of reservations and of what they hold, together with the
//! trail of it and the answers to those who asked for it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use entity::stock_movements::Reason;
use entity::{BusinessId, EventId, MovementId, OrderId, ProductId, ReservationId, UserId};
use sea_orm::{ActiveEnum, ConnectionTrait, DbBackend, Statement, Value};
use serde_json::json;
use uuid::Uuid;

use super::{Item, LockedStock, Reservation, StockLevel};
use crate::audit::{Actor, Change, Written};
use crate::foundation::idempotency::{IdempotencyKey, StoredResponse};
use crate::{Error, Transaction};

/// An entry of the audit trail that is written with the shelf.
pub(crate) struct Event<'a> {
    /// Its id.
    pub(crate) id: EventId,
    /// Who did it.
    pub(crate) actor: Actor<'a>,
    /// What.
    pub(crate) change: Change,
}

/// A response that is stored with the shelf.
pub(crate) struct Kept<'a> {
    /// Whose it is.
    pub(crate) caller: UserId,
    /// Under which key.
    pub(crate) claim: &'a IdempotencyKey,
    /// The response.
    pub(crate) response: &'a StoredResponse,
}

const WRITE: &str = "
WITH new_reservations AS (
    INSERT INTO reservations (business_id, id, customer_id, status, ttl_seconds, expires_at, created_by, order_id,
                              created_at)
    SELECT $1, id, customer_id, status, ttl_seconds, expires_at, created_by,
           nullif(order_id, '00000000-0000-0000-0000-000000000000'), created_at
      FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::timestamptz[], $7::uuid[], $52::uuid[],
                  $53::timestamptz[])
        AS reservation (id, customer_id, status, ttl_seconds, expires_at, created_by, order_id, created_at)
), new_items AS (
    INSERT INTO reservation_items (business_id, reservation_id, product_id, line, quantity, unit_price, held, place,
                                   expires_at)
    SELECT $1, reservation_id, product_id, line, quantity, unit_price, held, nullif(place, 0), expires_at
      FROM unnest($8::uuid[], $9::uuid[], $10::int[], $11::bigint[], $12::numeric[], $13::boolean[], $14::bigint[],
                  $15::timestamptz[])
        AS item (reservation_id, product_id, line, quantity, unit_price, held, place, expires_at)
), resolved AS (
    UPDATE reservations
       SET status = now_is.status, expires_at = now_is.expires_at, updated_at = now(),
           order_id = nullif(now_is.order_id, '00000000-0000-0000-0000-000000000000')
      FROM unnest($16::uuid[], $17::text[], $18::timestamptz[], $19::uuid[]) AS now_is (id, status, expires_at, order_id)
     WHERE reservations.business_id = $1 AND reservations.id = now_is.id
 RETURNING 1
), changed AS (
    UPDATE reservation_items
       SET held = now_is.held, place = nullif(now_is.place, 0),
           expires_at = now_is.expires_at
      FROM unnest($20::uuid[], $21::uuid[], $22::boolean[], $23::bigint[], $24::timestamptz[])
        AS now_is (reservation_id, product_id, held, place, expires_at)
     WHERE reservation_items.business_id = $1 AND reservation_items.reservation_id = now_is.reservation_id
       AND reservation_items.product_id = now_is.product_id
 RETURNING 1
), moved AS (
    INSERT INTO stock_movements (business_id, id, product_id, quantity, on_hand_after, reason, reserved, reservation_id,
                                 order_id, actor_id)
    SELECT $1, id, product_id, 0, on_hand_after, CASE WHEN reserved > 0 THEN $25 ELSE $26 END, reserved, reservation_id,
           nullif(order_id, '00000000-0000-0000-0000-000000000000'), actor_id
      FROM unnest($27::uuid[], $28::uuid[], $29::bigint[], $30::bigint[], $31::uuid[], $32::uuid[], $33::uuid[])
        AS movement (id, product_id, on_hand_after, reserved, reservation_id, order_id, actor_id)
), counted AS (
    UPDATE inventory
       SET on_hand = now_is.on_hand, reserved = now_is.reserved, waiting = now_is.waiting,
           places_given = now_is.places_given, updated_at = now()
      FROM unnest($34::uuid[], $35::bigint[], $36::bigint[], $37::bigint[], $38::bigint[])
        AS now_is (product_id, on_hand, reserved, waiting, places_given)
     WHERE inventory.business_id = $1 AND inventory.product_id = now_is.product_id
 RETURNING 1
), new_events AS (
    INSERT INTO audit_events (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id, before,
                              after)
    SELECT $1, id, action, entity_type, entity_id, actor_id, actor_role, request_id, nullif(before, '')::jsonb,
           after::jsonb
      FROM unnest($39::uuid[], $40::text[], $41::text[], $42::uuid[], $43::uuid[], $44::text[], $45::text[], $46::text[],
                  $47::text[])
        AS event (id, action, entity_type, entity_id, actor_id, actor_role, request_id, before, after)
), new_keys AS (
    INSERT INTO idempotency_keys (business_id, caller_id, key, request_hash, response)
    SELECT $1, caller_id, key, request_hash, response
      FROM unnest($48::uuid[], $49::text[], $50::bytea[], $51::bytea[])
        AS record (caller_id, key, request_hash, response)
)
SELECT (SELECT count(*) FROM resolved) AS resolved, (SELECT count(*) FROM changed) AS changed,
       (SELECT count(*) FROM counted) AS counted, pg_current_xact_id()::text::bigint AS transaction_id";

/// Writes what has become of the shelf, what was done to it and what was answered. What is on hand of a product of which
/// nothing is held is the caller's to write. Returns one of the entries of the audit trail, if there are any.
pub(crate) async fn write(
    transaction: &Transaction,
    business: BusinessId,
    shelf: &LockedStock,
    mut events: Vec<Event<'_>>,
    keys: Vec<Kept<'_>>,
) -> Result<Option<Written>, Error> {
    if !shelf.is_changed() && events.is_empty() && keys.is_empty() {
        return Ok(None);
    }
    events.extend(shelf.own_events(business));
    let (new, known): (Vec<&Reservation>, Vec<&Reservation>) = shelf
        .changes
        .reservations
        .iter()
        .filter_map(|id| shelf.reservations.get(id))
        .partition(|reservation| reservation.is_new);
    let changed = changed_items(shelf, &known);
    let counts: Vec<(ProductId, &StockLevel)> = shelf
        .changes
        .products
        .iter()
        .filter_map(|id| Some((*id, shelf.counts.get(id)?)))
        .collect();
    let due = (known.len(), changed.len(), counts.len());
    reduce(transaction, business, shelf).await?;

    let mut values: Vec<Value> = vec![business.0.into()];
    values.extend(new_values(&new));
    values.extend(known_values(&known));
    values.extend(changed_values(&changed));
    values.extend(movement_values(shelf));
    values.extend(count_values(&counts));
    values.extend(event_values(&events));
    values.extend(key_values(keys));
    // `$52`: one that is made and used up in the same batch has become an order already.
    values.push(each(&new, |one| or_nil(one.order_id)));
    // `$53`: the time after the locks, from which its life is counted.
    values.push(each(&new, |one| one.created_at));
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, WRITE, values);
    let row = transaction
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| Error::Bug("the shelf's statement answered nothing".into()))?;
    let written: [i64; 3] = [
        row.try_get("", "resolved")?,
        row.try_get("", "changed")?,
        row.try_get("", "counted")?,
    ];
    // The rows were locked a moment ago: one that is not there any more would be stock that nobody holds.
    let due = [due.0, due.1, due.2].map(|rows| i64::try_from(rows).unwrap_or(i64::MAX));
    if written != due {
        return Err(Error::Bug(format!(
            "{due:?} reservations, items and counts have changed, {written:?} were updated"
        )));
    }
    note_off_sale(transaction, business, shelf).await?;
    let transaction_id = row.try_get("", "transaction_id")?;
    Ok(events.first().map(|event| Written {
        transaction_id,
        event_id: event.id,
    }))
}

/// An item is what its reservation holds or waits for: one of which nothing is left goes.
const REDUCE: &str = "
WITH gone AS (
    DELETE FROM reservation_items USING unnest($2::uuid[], $3::uuid[], $4::bigint[]) AS now_is (reservation_id, product_id, left_of_it)
     WHERE reservation_items.business_id = $1 AND reservation_items.reservation_id = now_is.reservation_id
       AND reservation_items.product_id = now_is.product_id AND left_of_it = 0
)
UPDATE reservation_items SET quantity = left_of_it
  FROM unnest($2::uuid[], $3::uuid[], $4::bigint[]) AS now_is (reservation_id, product_id, left_of_it)
 WHERE reservation_items.business_id = $1 AND reservation_items.reservation_id = now_is.reservation_id
   AND reservation_items.product_id = now_is.product_id AND left_of_it > 0";

/// Writes what orders have left of reservations. One that is new is written as it is then.
async fn reduce(
    transaction: &Transaction,
    business: BusinessId,
    shelf: &LockedStock,
) -> Result<(), Error> {
    let is_known = |id: &ReservationId| shelf.reservations.get(id).is_some_and(|one| !one.is_new);
    let reductions = shelf.changes.reductions.iter();
    // The last of each item.
    let left: BTreeMap<(ReservationId, ProductId), i64> = reductions
        .filter(|one| is_known(&one.part.reservation_id))
        .map(|one| ((one.part.reservation_id, one.part.product_id), one.left))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    let left: Vec<((ReservationId, ProductId), i64)> = left.into_iter().collect();
    let values: [Value; 4] = [
        business.0.into(),
        each(&left, |((reservation, _), _)| reservation.0),
        each(&left, |((_, product), _)| product.0),
        each(&left, |(_, left)| *left),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, REDUCE, values);
    transaction.execute_raw(statement).await?;
    Ok(())
}

const NOTE_OFF_SALE: &str = "
UPDATE reservations SET cancel_reason = 'product_inactive' WHERE business_id = $1 AND id = ANY ($2)";

/// Writes why the places have ended that nobody gave up.
async fn note_off_sale(
    transaction: &Transaction,
    business: BusinessId,
    shelf: &LockedStock,
) -> Result<(), Error> {
    let ended = &shelf.changes.off_sale;
    if ended.is_empty() {
        return Ok(());
    }
    let values: [Value; 2] = [business.0.into(), each(ended, |id| id.0)];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, NOTE_OFF_SALE, values);
    transaction.execute_raw(statement).await?;
    Ok(())
}

/// An item as it is now.
struct Changed {
    reservation: Uuid,
    product: Uuid,
    held: bool,
    place: Option<i64>,
    expires_at: DateTime<Utc>,
}

fn changed_items(shelf: &LockedStock, known: &[&Reservation]) -> Vec<Changed> {
    // Each once: what has expired may belong to a reservation that is known as well.
    let mut changed = BTreeMap::new();
    for (reservation, product, expires_at) in &shelf.changes.expired {
        let item = Changed {
            reservation: reservation.0,
            product: product.0,
            held: false,
            place: None,
            expires_at: *expires_at,
        };
        changed.insert((*reservation, *product), item);
    }
    for reservation in known {
        // An order may take a part of a reservation whose other products are not locked: those are somebody else's to write.
        let is_locked = |item: &&Item| shelf.counts.contains_key(&item.product_id);
        for item in reservation.items.iter().filter(is_locked) {
            let now_is = Changed {
                reservation: reservation.id.0,
                product: item.product_id.0,
                held: item.held,
                place: item.place,
                expires_at: reservation.expires_at,
            };
            changed.insert((reservation.id, item.product_id), now_is);
        }
    }
    changed.into_values().collect()
}

impl LockedStock {
    /// What happened that nobody asked for.
    fn own_events<'a>(&self, business: BusinessId) -> Vec<Event<'a>> {
        let actor = Actor::system(business);
        let served = self.changes.served.iter().map(|id| Change {
            action: "reservation.served",
            entity_type: "reservation",
            entity_id: id.0,
            before: Some(json!({ "status": "waiting" })),
            after: json!({
                "status": "active",
                "expires_at": self.reservations.get(id).map(|one| one.expires_at),
            }),
        });
        let sold_out = self.changes.sold_out.iter().map(|(id, count)| Change {
            action: "inventory.sold_out",
            entity_type: "inventory",
            entity_id: id.0,
            before: None,
            after: json!({ "turned_away": count }),
        });
        let off_sale = self.changes.off_sale.iter().map(|id| Change {
            action: "reservation.cancelled",
            entity_type: "reservation",
            entity_id: id.0,
            before: Some(json!({ "status": "waiting" })),
            after: json!({ "status": "cancelled", "cancel_reason": "product_inactive" }),
        });
        let reduced = self.changes.reductions.iter().map(|one| Change {
            action: "reservation.reduced",
            entity_type: "reservation",
            entity_id: one.part.reservation_id.0,
            before: Some(json!({
                "product_id": one.part.product_id,
                "quantity": one.left + one.part.quantity,
            })),
            after: json!({
                "product_id": one.part.product_id,
                "quantity": one.left,
                "order_id": one.order_id,
            }),
        });
        served
            .chain(sold_out)
            .chain(off_sale)
            .chain(reduced)
            .map(|change| Event {
                id: EventId::new(),
                actor,
                change,
            })
            .collect()
    }
}

/// `$2` to `$15`.
fn new_values(new: &[&Reservation]) -> [Value; 14] {
    let items: Vec<(&Reservation, i32, &Item)> = new
        .iter()
        .flat_map(|one| {
            let numbered = (0_i32..).zip(&one.items);
            numbered.map(move |(line, item)| (*one, line, item))
        })
        .collect();
    [
        each(new, |one| one.id.0),
        each(new, |one| one.customer_id.0),
        each(new, |one| one.status.to_value()),
        each(new, |one| one.ttl_seconds),
        each(new, |one| one.expires_at),
        each(new, |one| one.created_by.0),
        each(&items, |(one, ..)| one.id.0),
        each(&items, |(.., item)| item.product_id.0),
        each(&items, |(_, line, _)| *line),
        each(&items, |(.., item)| item.quantity),
        each(&items, |(.., item)| item.unit_price.decimal()),
        each(&items, |(.., item)| item.held),
        each(&items, |(.., item)| item.place.unwrap_or(0)),
        each(&items, |(one, ..)| one.expires_at),
    ]
}

/// `$16` to `$19`.
fn known_values(known: &[&Reservation]) -> [Value; 4] {
    [
        each(known, |one| one.id.0),
        each(known, |one| one.status.to_value()),
        each(known, |one| one.expires_at),
        each(known, |one| or_nil(one.order_id)),
    ]
}

/// `$20` to `$24`.
fn changed_values(changed: &[Changed]) -> [Value; 5] {
    [
        each(changed, |item| item.reservation),
        each(changed, |item| item.product),
        each(changed, |item| item.held),
        each(changed, |item| item.place.unwrap_or(0)),
        each(changed, |item| item.expires_at),
    ]
}

/// `$25` to `$33`. A movement's id is made here, under the lock: a product's movements are in the order of their ids.
fn movement_values(shelf: &LockedStock) -> [Value; 9] {
    let movements = &shelf.changes.movements;
    [
        Reason::Reserved.to_value().into(),
        Reason::Released.to_value().into(),
        each(movements, |_| MovementId::new().0),
        each(movements, |one| one.product_id.0),
        each(movements, |one| one.on_hand_after),
        each(movements, |one| one.reserved),
        each(movements, |one| one.reservation_id.0),
        each(movements, |one| or_nil(one.order_id)),
        each(movements, |one| one.actor.0),
    ]
}

/// `$34` to `$38`.
fn count_values(counts: &[(ProductId, &StockLevel)]) -> [Value; 5] {
    [
        each(counts, |(id, _)| id.0),
        each(counts, |(_, one)| one.on_hand),
        each(counts, |(_, one)| one.reserved),
        each(counts, |(_, one)| one.waiting),
        each(counts, |(_, one)| one.places_given),
    ]
}

/// `$39` to `$47`.
fn event_values(events: &[Event<'_>]) -> [Value; 9] {
    let before = |event: &Event<'_>| event.change.before.as_ref().map(ToString::to_string);
    [
        each(events, |event| event.id.0),
        each(events, |event| event.change.action.to_owned()),
        each(events, |event| event.change.entity_type.to_owned()),
        each(events, |event| event.change.entity_id),
        each(events, |event| event.actor.user_id.0),
        each(events, |event| event.actor.role.to_owned()),
        each(events, |event| event.actor.request_id.to_owned()),
        each(events, |event| before(event).unwrap_or_default()),
        each(events, |event| event.change.after.to_string()),
    ]
}

/// `$48` to `$51`, in the keys' order: see `desk/write.rs`.
fn key_values(mut keys: Vec<Kept<'_>>) -> [Value; 4] {
    keys.sort_unstable_by(|a, b| (a.caller, &a.claim.key).cmp(&(b.caller, &b.claim.key)));
    [
        each(&keys, |kept| kept.caller.0),
        each(&keys, |kept| kept.claim.key.clone()),
        each(&keys, |kept| kept.claim.request_hash.to_vec()),
        each(&keys, |kept| kept.response.bytes().to_vec()),
    ]
}

/// An array has no gaps: the statement makes NULL of this id, which nothing has.
fn or_nil(order: Option<OrderId>) -> Uuid {
    order.map_or(Uuid::nil(), |id| id.0)
}

/// The values of a column as one array.
pub(crate) fn each<S, T>(of: &[S], value: impl Fn(&S) -> T) -> Value
where
    Vec<T>: Into<Value>,
{
    of.iter().map(value).collect::<Vec<T>>().into()
}
