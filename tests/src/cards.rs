//! Orders by card that are paid, written as the service writes it when the provider has told of the payment.

use entity::OrderId;

use crate::Database;

/// The order is paid: what it held is sold.
pub async fn pay(database: &Database, order: OrderId) {
    let sql = format!(
        "WITH held AS (
             UPDATE reservation_items i SET held = false
               FROM payment_intents p
              WHERE p.order_id = '{order}' AND (i.business_id, i.reservation_id) = (p.business_id, p.reservation_id)
          RETURNING i.business_id, i.reservation_id, i.product_id, i.quantity, clock_timestamp() AS at
         ), stock AS (
             UPDATE inventory s SET reserved = reserved - held.quantity, on_hand = on_hand - held.quantity
               FROM held WHERE (s.business_id, s.product_id) = (held.business_id, held.product_id)
          RETURNING s.business_id, s.product_id, s.on_hand
         )
         INSERT INTO stock_movements (business_id, product_id, id, quantity, on_hand_after, reason, reserved,
                                      reservation_id, order_id, actor_id)
         SELECT h.business_id, h.product_id, n.id, m.quantity, m.on_hand_after, m.reason, m.reserved, m.reservation_id,
                '{order}', '00000000-0000-0000-0000-000000000000'
           FROM (SELECT held.*, on_hand + quantity AS before, on_hand AS after
                   FROM held JOIN stock USING (business_id, product_id)) AS h
          CROSS JOIN LATERAL (VALUES
                (1, 0::bigint, h.before, 'released', -h.quantity, h.reservation_id),
                (2, -h.quantity, h.after, 'sold', 0::bigint, NULL::uuid))
                AS m (place, quantity, on_hand_after, reason, reserved, reservation_id)
          CROSS JOIN LATERAL (
                -- A version 7 id, the later the larger.
                SELECT (lpad(to_hex((extract(epoch FROM h.at) * 1000)::bigint + m.place), 12, '0')
                        || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid)
                AS n (id);
         INSERT INTO order_transitions (business_id, order_id, number, from_status, to_status, actor_id, actor_role)
         SELECT business_id, id, number, from_status, to_status, '00000000-0000-0000-0000-000000000000', 'system'
           FROM orders CROSS JOIN (VALUES (1, 'created', 'payment_pending'), (2, 'payment_pending', 'paid'))
             AS t (number, from_status, to_status)
          WHERE id = '{order}';
         UPDATE orders SET status = 'paid', amount_settled = total_amount, updated_at = now() WHERE id = '{order}';
         UPDATE payment_intents
            SET status = 'succeeded', provider_id = 'pi_' || order_id, client_secret = 'secret', next_try_at = NULL
          WHERE order_id = '{order}';"
    );
    database.execute(&sql).await;
}
