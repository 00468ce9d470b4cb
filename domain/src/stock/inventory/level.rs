//! What is available, in SQL: the twin of [`entity::inventory::available`].

/// Of the inventory row `i`, what counts at this moment, whatever has been tidied up: what is held, how many wait, and what a
/// newcomer could buy. A lateral join.
macro_rules! stock_level {
    () => {
        "
 CROSS JOIN LATERAL (
        SELECT greatest(i.on_hand - coalesce(sum(r.quantity) FILTER (WHERE r.held), 0), 0)::bigint AS unreserved,
               count(*) FILTER (WHERE r.place IS NOT NULL) AS waiting
          FROM reservation_items r
         WHERE r.business_id = i.business_id AND r.product_id = i.product_id
           AND (r.held OR r.place IS NOT NULL) AND r.expires_at > now()) AS stock
 CROSS JOIN LATERAL (
        SELECT CASE WHEN stock.waiting > 0 THEN 0 ELSE stock.unreserved END AS available) AS level"
    };
}

pub(crate) use stock_level;
