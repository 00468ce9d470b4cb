//! What is available, in SQL: the twin of [`entity::inventory::available`].

/// Of the inventory row `i`, what counts at this moment, whatever has been tidied up: what is held, how many wait, and what a
/// newcomer could buy. A lateral join.
macro_rules! stock_level {
    () => {
        "
 CROSS JOIN LATERAL (
        SELECT greatest(i.on_hand - coalesce(sum(h.held), 0), 0)::bigint AS unreserved,
               coalesce(sum(h.waiting), 0)::bigint AS waiting
          FROM held_stock h
         WHERE h.business_id = i.business_id AND h.product_id = i.product_id) AS stock
 CROSS JOIN LATERAL (
        SELECT CASE WHEN stock.waiting > 0 THEN 0 ELSE stock.unreserved END AS available) AS level"
    };
}

pub(crate) use stock_level;
