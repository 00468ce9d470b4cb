//! Audit seals: checks that the audit entries are exactly those that were sealed.

use super::Check;
use crate::audit::seals::{beginning, hash};

pub(super) const CHECKS: &[Check] = &[
    // Each seal is checked with the stored hash of its predecessor, so one wrong seal does not invalidate all later
    // ones.
    Check {
        name: "audit_entries_are_as_they_were_sealed",
        sql: concat!(
            "
WITH before (transaction_id, event_id, hash) AS (
    SELECT ",
            beginning!(),
            "
), seals AS (
    SELECT s.*, coalesce(lag(s.hash) OVER w, b.hash) AS previous,
           coalesce(lag(s.last_transaction_id) OVER w, b.transaction_id) AS after_transaction,
           coalesce(lag(s.last_event_id) OVER w, b.event_id) AS after_event
      FROM audit_seals s CROSS JOIN before b
     WHERE s.business_id = $1
    WINDOW w AS (ORDER BY s.number)
)
SELECT format('seal %s of the entries after %s up to %s', s.number, s.after_event, s.last_event_id) AS subject,
       format('%s entries, %s', s.events, encode(s.hash, 'hex')) AS expected,
       format('%s entries, %s', found.events, encode(found.hash, 'hex')) AS found
  FROM seals s
 CROSS JOIN LATERAL (
    SELECT count(*) AS events, ",
            hash!("s.previous", "s.number", "s.sealed_at"),
            " AS hash
      FROM audit_events e
     WHERE e.business_id = $1
       AND (e.transaction_id, e.id) > (s.after_transaction, s.after_event)
       AND (e.transaction_id, e.id) <= (s.last_transaction_id, s.last_event_id)) AS found
 WHERE (found.events, found.hash) IS DISTINCT FROM (s.events, s.hash)"
        ),
    },
    Check {
        name: "audit_seals_have_no_gap",
        sql: "
SELECT format('seal up to the entry %s', last_event_id) AS subject, (before + 1)::text AS expected, number::text AS found
  FROM (SELECT number, last_event_id, lag(number, 1, 0::bigint) OVER (ORDER BY number) AS before
          FROM audit_seals WHERE business_id = $1) AS s
 WHERE number <> before + 1",
    },
    // An entry with a number in the future would never be sealed.
    Check {
        name: "audit_entry_is_of_a_transaction_that_has_been",
        sql: "
SELECT 'entry ' || id AS subject, 'below ' || pg_snapshot_xmax(pg_current_snapshot()) AS expected,
       transaction_id::text AS found
  FROM audit_events
 WHERE business_id = $1 AND transaction_id >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
    },
];
