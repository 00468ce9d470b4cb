//! Availability in SQL. It must equal [`entity::inventory::available`].

/// The stock level of the inventory row `i` at this moment, with expired holds excluded even if they are still
/// counted. A lateral join that gives unreserved units, the length of the waitlist, and the units available to a new
/// buyer.
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
