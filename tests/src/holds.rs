//! This module inserts holds and waitlist positions, as the service would write them.

use domain::demo::ACME;
use entity::{ProductId, ReservationId};

use crate::Service;

/// Holds a quantity of a product for Acme's customer. The hold expires in `seconds`, or has expired if negative.
pub async fn hold(service: &Service, product: ProductId, quantity: i64, seconds: i64) {
    let reservation = ReservationId::new();
    let sql = format!(
        "{}
         UPDATE inventory SET reserved = reserved + {quantity} WHERE product_id = '{product}';
         INSERT INTO stock_movements (business_id, product_id, id, quantity, on_hand_after, reason, reserved,
                                      reservation_id, actor_id)
         SELECT '{ACME}', product_id, gen_random_uuid(), 0, on_hand, 'reserved', {quantity}, '{reservation}',
                gen_random_uuid()
           FROM inventory WHERE product_id = '{product}'",
        reserve(reservation, product, &quantity.to_string(), seconds, true)
    );
    service.database.execute(&sql).await;
}

/// Puts Acme's customer on the waitlist for all that is on hand of a product. The position expires in `seconds`, or has
/// expired if negative.
pub async fn join_waitlist(service: &Service, product: ProductId, seconds: i64) {
    let sql = format!(
        "UPDATE inventory SET waiting = waiting + 1, places_given = places_given + 1 WHERE product_id = '{product}';
         {}",
        reserve(ReservationId::new(), product, "on_hand", seconds, false)
    );
    service.database.execute(&sql).await;
}

fn reserve(
    reservation: ReservationId,
    product: ProductId,
    quantity: &str,
    seconds: i64,
    held: bool,
) -> String {
    let (status, place) = match held {
        true => ("active", "NULL"),
        false => ("waiting", "places_given"),
    };
    let customer = domain::demo::ACME_CUSTOMER;
    format!(
        "INSERT INTO reservations (business_id, id, customer_id, status, ttl_seconds, expires_at, created_by)
         VALUES ('{ACME}', '{reservation}', '{customer}', '{status}', 600, now() + interval '{seconds} s',
                 gen_random_uuid());
         INSERT INTO reservation_items (business_id, reservation_id, product_id, line, quantity, unit_price, held, place,
                                        expires_at)
         SELECT '{ACME}', '{reservation}', product_id, 0, {quantity}, 1, {held}, {place}, now() + interval '{seconds} s'
           FROM inventory WHERE product_id = '{product}';"
    )
}
