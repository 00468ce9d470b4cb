//! Customers' balances: checks against ledger entries, orders and credits.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "balance_is_the_sum_of_the_entries",
        sql: "
SELECT 'customer ' || c.id AS subject,
       format('balance %s after %s entries', coalesce(e.amount, 0), coalesce(e.entries, 0)) AS expected,
       format('balance %s after %s entries', c.balance, c.entry_count) AS found
  FROM customers c
  LEFT JOIN (SELECT customer_id, sum(amount) AS amount, count(*) AS entries
               FROM ledger_entries WHERE business_id = $1 GROUP BY customer_id) AS e ON e.customer_id = c.id
 WHERE c.business_id = $1 AND (c.balance, c.entry_count) <> (coalesce(e.amount, 0), coalesce(e.entries, 0))",
    },
    // Entries are read in primary-key order, so no sort is needed for any number of entries.
    Check {
        name: "entries_follow_from_each_other",
        sql: "
SELECT 'customer ' || customer_id || ' entry ' || id AS subject,
       format('number %s, balance_after %s', place, running) AS expected,
       format('number %s, balance_after %s', number, balance_after) AS found
  FROM (SELECT customer_id, id, number, balance_after, row_number() OVER account AS place, sum(amount) OVER account AS running
          FROM ledger_entries WHERE business_id = $1
        WINDOW account AS (PARTITION BY customer_id ORDER BY number ROWS UNBOUNDED PRECEDING)) AS entry
 WHERE (number, balance_after) <> (place, running)",
    },
    Check {
        name: "balance_is_what_is_due_less_credit_on_account",
        sql: "
SELECT 'customer ' || c.id AS subject,
       format('balance %s, with %s due and %s on account', coalesce(o.due, 0) - c.on_account, coalesce(o.due, 0),
              c.on_account) AS expected,
       format('balance %s', c.balance) AS found
  FROM customers c
  LEFT JOIN (SELECT customer_id, sum(amount_due) AS due FROM orders
              WHERE business_id = $1 AND amount_due > 0 AND payment_method = 'credit' GROUP BY customer_id) AS o
    ON o.customer_id = c.id
 WHERE c.business_id = $1 AND c.balance <> coalesce(o.due, 0) - c.on_account",
    },
    Check {
        name: "credit_on_account_is_the_sum_of_its_credits",
        sql: "
SELECT 'customer ' || c.id AS subject, coalesce(a.amount, 0)::text AS expected, c.on_account::text AS found
  FROM customers c
  LEFT JOIN (SELECT customer_id, sum(amount) AS amount FROM credits_on_account
              WHERE business_id = $1 GROUP BY customer_id) AS a ON a.customer_id = c.id
 WHERE c.business_id = $1 AND c.on_account <> coalesce(a.amount, 0)",
    },
    Check {
        name: "nothing_counts_in_the_future",
        sql: "
SELECT format('customer %s entry %s', customer_id, id) AS subject, 'at most ' || clock_timestamp() AS expected,
       effective_at::text AS found
  FROM ledger_entries WHERE business_id = $1 AND effective_at > clock_timestamp()
UNION ALL
SELECT format('customer %s order %s allocation %s', customer_id, order_id, id), 'at most ' || clock_timestamp(), effective_at::text
  FROM allocations WHERE business_id = $1 AND effective_at > clock_timestamp()
UNION ALL
SELECT format('customer %s payout allocation %s', customer_id, id), 'at most ' || clock_timestamp(), effective_at::text
  FROM payout_allocations WHERE business_id = $1 AND effective_at > clock_timestamp()",
    },
];
