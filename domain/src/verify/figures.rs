//! Kept figures of sales: checks against orders, their transitions and credit notes.
//!
//! The days are those of the database's copy of the time zones. Figures of another time zone than the business's are in
//! use by no report, and are skipped.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "figures_of_a_day_are_what_its_sales_came_to",
        sql: "
WITH state AS (
    SELECT s.time_zone, s.kept_until
      FROM sales_figures_state s JOIN businesses b ON b.id = s.business_id AND b.time_zone = s.time_zone
     WHERE s.business_id = $1
), sale AS (
    SELECT o.id, o.customer_id, o.total_amount, coalesce(paid.created_at, o.created_at) AS at, undone.created_at AS undone_at
      FROM orders o
      LEFT JOIN order_transitions paid
        ON (paid.business_id, paid.order_id) = (o.business_id, o.id) AND paid.to_status = 'paid'
      LEFT JOIN order_transitions undone
        ON (undone.business_id, undone.order_id) = (o.business_id, o.id) AND undone.to_status = 'cancelled'
       AND undone.from_status IN ('approved', 'paid')
     WHERE o.business_id = $1 AND (o.payment_method = 'credit' OR paid.order_id IS NOT NULL)
       AND NOT EXISTS (SELECT FROM opening_items i WHERE i.business_id = $1 AND i.order_id = o.id)
), line AS (
    SELECT sale.*, i.product_id, i.quantity, i.line_total
      FROM sale JOIN order_items i ON i.business_id = $1 AND i.order_id = sale.id
), note AS (
    SELECT n.order_id, n.customer_id, n.amount, e.effective_at AS at, u.effective_at AS reversed_at
      FROM credit_notes n
      JOIN ledger_entries e ON (e.business_id, e.customer_id, e.number) = (n.business_id, n.customer_id, n.entry_number)
      LEFT JOIN reversals r ON (r.business_id, r.customer_id, r.reverses) = (n.business_id, n.customer_id, n.entry_number)
      LEFT JOIN ledger_entries u
        ON (u.business_id, u.customer_id, u.number) = (r.business_id, r.customer_id, r.entry_number)
     WHERE n.business_id = $1
), part (kind, subject, at, orders, units, revenue, cancelled_orders, cancelled_units, cancelled, credited) AS (
    SELECT 'customer', customer_id, at, 1, 0, total_amount, 0, 0, 0, 0 FROM sale
    UNION ALL SELECT 'customer', customer_id, at, 0, quantity, 0, 0, 0, 0, 0 FROM line
    UNION ALL SELECT 'customer', customer_id, undone_at, 0, 0, 0, 1, 0, total_amount, 0 FROM sale
    UNION ALL SELECT 'customer', customer_id, undone_at, 0, 0, 0, 0, quantity, 0, 0 FROM line
    UNION ALL SELECT 'customer', customer_id, at, 0, 0, 0, 0, 0, 0, amount FROM note
    UNION ALL SELECT 'customer', customer_id, reversed_at, 0, 0, 0, 0, 0, 0, -amount FROM note
    UNION ALL SELECT 'customer', sale.customer_id, sale.undone_at, 0, 0, 0, 0, 0, 0, -note.amount
                FROM note JOIN sale ON sale.id = note.order_id WHERE note.reversed_at IS NULL
    UNION ALL SELECT 'product', product_id, at, 1, quantity, line_total, 0, 0, 0, 0 FROM line
    UNION ALL SELECT 'product', product_id, undone_at, 0, 0, 0, 1, quantity, line_total, 0 FROM line
), each AS (
    SELECT * FROM part
    UNION ALL
    SELECT 'total', '00000000-0000-0000-0000-000000000000', at, orders, units, revenue, cancelled_orders, cancelled_units,
           cancelled, credited
      FROM part WHERE kind = 'customer'
), dated AS (
    SELECT each.*, (each.at AT TIME ZONE state.time_zone)::date AS starts_on FROM each, state
     WHERE each.at < state.kept_until
), recomputed AS (
    SELECT kind, starts_on, subject,
           format('%s orders, %s units, %s, cancelled %s orders, %s units, %s, credited %s', sum(orders), sum(units),
                  sum(revenue)::numeric(19,4), sum(cancelled_orders), sum(cancelled_units), sum(cancelled)::numeric(19,4),
                  sum(credited)::numeric(19,4)) AS figures
      FROM dated GROUP BY kind, starts_on, subject
), kept AS (
    SELECT kind, starts_on, subject,
           format('%s orders, %s units, %s, cancelled %s orders, %s units, %s, credited %s', orders, units, revenue,
                  cancelled_orders, cancelled_units, cancelled, credited) AS figures
      FROM sales_figures
     WHERE business_id = $1 AND span = 'day' AND EXISTS (SELECT FROM state)
)
SELECT format('%s %s on %s', kind, subject, starts_on) AS subject, coalesce(recomputed.figures, 'nothing') AS expected,
       coalesce(kept.figures, 'nothing') AS found
  FROM recomputed FULL JOIN kept USING (kind, starts_on, subject)
 WHERE recomputed.figures IS DISTINCT FROM kept.figures",
    },
    Check {
        name: "figures_of_a_month_are_the_sum_of_its_days",
        sql: "
WITH of_days AS (
    SELECT kind, date_trunc('month', starts_on)::date AS starts_on, subject, sum(orders) AS orders, sum(units) AS units,
           sum(revenue) AS revenue, sum(cancelled_orders) AS cancelled_orders, sum(cancelled_units) AS cancelled_units,
           sum(cancelled) AS cancelled, sum(credited) AS credited
      FROM sales_figures
     WHERE business_id = $1 AND span = 'day'
       AND starts_on < (SELECT date_trunc('month', kept_until AT TIME ZONE time_zone)::date FROM sales_figures_state WHERE business_id = $1)
     GROUP BY 1, 2, 3
), of_month AS (
    SELECT kind, starts_on, subject, orders, units, revenue, cancelled_orders, cancelled_units, cancelled, credited
      FROM sales_figures WHERE business_id = $1 AND span = 'month'
)
SELECT format('%s %s in the month of %s', kind, subject, starts_on) AS subject,
       coalesce(of_days::text, 'nothing') AS expected, coalesce(of_month::text, 'nothing') AS found
  FROM of_days FULL JOIN of_month USING (kind, starts_on, subject)
 WHERE (of_days.orders, of_days.units, of_days.revenue, of_days.cancelled_orders, of_days.cancelled_units,
        of_days.cancelled, of_days.credited)
       IS DISTINCT FROM
       (of_month.orders, of_month.units, of_month.revenue, of_month.cancelled_orders, of_month.cancelled_units,
        of_month.cancelled, of_month.credited)",
    },
];
