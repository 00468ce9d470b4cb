//! These tests check the seals of the audit trail: a manual change is detected, and an entry that commits late is not
//! mistaken for one.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::Error;
use domain::audit::seals;
use domain::audit::seals::Renumbered;
use domain::demo::{ACME, ACME_HEADPHONES, GLOBEX};
use domain::verify::{self, Difference};
use entity::BusinessId;
use tests::program::{Folder, command, printed, refusal};
use tests::{Database, OWNER, SERVICE, Service, all, settings, until, verified};
use uuid::Uuid;

use crate::operations::row_security::{assert_no_privilege, run, set};

/// SQL that adds entries to Acme's trail in one transaction.
fn entries(count: usize) -> String {
    format!(
        "INSERT INTO audit_events (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id,
                                   before, after)
         SELECT '{ACME}', gen_random_uuid(), 'order.approved', 'order', gen_random_uuid(), '{ACME}', 'staff', 'r-' || n,
                CASE WHEN n % 2 = 0 THEN jsonb_build_object('n', n - 1, 'ü', null) END, jsonb_build_object('n', n)
           FROM generate_series(1, {count}) AS n;"
    )
}

struct Trail {
    database: Database,
    sealer: domain::Database,
}

impl Trail {
    async fn of(database: Database) -> Self {
        let sealer = domain::Database::new(&database.url(SERVICE), 2).unwrap();
        Self { database, sealer }
    }

    async fn seal(&self, business: BusinessId) -> i64 {
        seals::seal(&self.sealer, business).await.unwrap()
    }

    async fn number(&self, sql: &str) -> i64 {
        self.database.value(sql).await.parse().unwrap()
    }

    async fn sealed(&self) -> i64 {
        let sql = format!(
            "SELECT coalesce(sum(events), 0) FROM audit_seals WHERE business_id = '{ACME}'"
        );
        self.number(&sql).await
    }

    async fn written(&self) -> i64 {
        let sql = format!("SELECT count(*) FROM audit_events WHERE business_id = '{ACME}'");
        self.number(&sql).await
    }

    /// Seals until no entry is left. Open transactions of other tests on the same server may delay this.
    async fn seal_all(&self) {
        until("all entries are sealed", async || {
            self.seal(ACME).await;
            self.sealed().await == self.written().await
        })
        .await;
    }
}

/// A trail of some 1,500 entries, all of them sealed.
async fn sealed() -> Trail {
    let trail = Trail::of(Database::with_demo().await).await;
    trail.database.execute(&entries(1500)).await;
    // The first seal ends among these entries, unless a transaction of another test keeps them back.
    let sql = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > max(transaction_id) FROM audit_events";
    until("all entries can be sealed", async || {
        trail.database.value(sql).await == "t"
    })
    .await;
    trail.seal_all().await;
    for _ in 0..3 {
        trail.database.execute(&entries(3)).await;
        trail.seal_all().await;
    }
    trail
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_is_sealed_once_in_bounded_batches_and_a_good_trail_has_no_differences() {
    let trail = sealed().await;
    let sql = format!("SELECT max(events) FROM audit_seals WHERE business_id = '{ACME}'");
    assert_eq!(trail.number(&sql).await, 1000);
    assert_eq!(trail.seal(ACME).await, 0);
    assert_eq!(trail.sealed().await, trail.written().await);
    assert_eq!(verified(&trail.database).await, []);
    // Each business has a chain of its own.
    let seals = format!("SELECT count(*) FROM audit_seals WHERE business_id = '{GLOBEX}'");
    until("Globex is sealed", async || {
        trail.seal(GLOBEX).await;
        trail.number(&seals).await > 0
    })
    .await;
    let sql = format!("SELECT min(number) FROM audit_seals WHERE business_id = '{GLOBEX}'");
    assert_eq!(trail.number(&sql).await, 1);
    assert_eq!(verified(&trail.database).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seal_waits_for_uncommitted_entries_and_seals_nothing_after_them() {
    let trail = Trail::of(Database::with_demo().await).await;
    trail.seal_all().await;
    // This entry is written first, with the lowest id, and commits last.
    let held = trail
        .database
        .hold(&format!(
            "INSERT INTO audit_events (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id)
             VALUES ('{ACME}', '{}', 'late', 'test', '{ACME}', '{ACME}', 'admin', 'late')",
            Uuid::nil()
        ))
        .await;
    let before = trail.sealed().await;
    for _ in 0..5 {
        trail.database.execute(&entries(2)).await;
        assert_eq!(trail.seal(ACME).await, 0, "a late entry could precede");
    }
    held.commit().await;
    trail.seal_all().await;
    assert_eq!(trail.sealed().await, before + 11);
    assert_eq!(verified(&trail.database).await, []);
    // The sealer also waits for a transaction that rolls back, and then does not miss its entries.
    let held = trail.database.hold(&entries(1)).await;
    trail.database.execute(&entries(1)).await;
    assert_eq!(trail.seal(ACME).await, 0);
    held.release().await;
    trail.seal_all().await;
    assert_eq!(trail.sealed().await, before + 12);
    assert_eq!(verified(&trail.database).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_and_many_sealers_leave_one_chain_of_all_entries() {
    let trail = Trail::of(Database::with_demo().await).await;
    let before = trail.written().await;
    let writers = (0..8_u64).map(|writer| {
        let database = trail.database.clone();
        async move {
            for round in 0..12 {
                let held = database.hold(&entries(3)).await;
                tokio::time::sleep(Duration::from_millis((writer * 7 + round * 5) % 40)).await;
                held.try_also(&entries(2)).await.unwrap();
                if round % 4 == 3 {
                    held.release().await;
                } else {
                    held.commit().await;
                }
            }
            0
        }
    });
    let sealers = (0..4).map(|_| {
        let sealer = trail.sealer.clone();
        async move {
            let mut sealed = 0;
            for _ in 0..60 {
                sealed += seals::seal(&sealer, ACME).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            sealed
        }
    });
    let (_, counted) = tokio::join!(all(writers), all(sealers));
    assert_eq!(trail.sealed().await, counted.iter().sum::<i64>());
    trail.seal_all().await;
    assert_eq!(trail.written().await, before + 8 * 9 * 5);
    assert_eq!(verified(&trail.database).await, []);
}

const CHANGED: &str = "audit_entries_are_as_they_were_sealed";
const GAP: &str = "audit_seals_have_no_gap";
const TO_COME: &str = "audit_entry_is_of_a_transaction_that_has_been";

/// `MIDDLE` selects an entry in the middle of the first seal. `FORGED` inserts a new entry; the caller adds its
/// transaction id.
const MIDDLE: &str = "(transaction_id, id) = (SELECT transaction_id, id FROM audit_events
                        WHERE business_id = '{b}' ORDER BY 1, 2 OFFSET 500 LIMIT 1)";
const FORGED: &str = "INSERT INTO audit_events (business_id, id, action, entity_type, entity_id, actor_id, actor_role,
                                                request_id, transaction_id)
                      SELECT '{b}', gen_random_uuid(), 'forged', 'test', '{b}', '{b}', 'admin', 'r',";

/// Manual changes to the trail, each with the check that must detect it.
fn sabotage() -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    for (column, value) in [
        ("id", "gen_random_uuid()"),
        ("action", "'order.created'"),
        ("entity_type", "'product'"),
        ("entity_id", "gen_random_uuid()"),
        ("actor_id", "gen_random_uuid()"),
        ("actor_role", "'admin'"),
        ("request_id", "request_id || ' '"),
        ("before", "'{\"n\": 1}'"),
        ("after", "after || '{\"n\": 0}'"),
        ("after", "NULL"),
        ("created_at", "created_at + interval '1 microsecond'"),
        // The entry moves to another place, because the seal covers the order too.
        ("transaction_id", "transaction_id - 1"),
    ] {
        all.push((
            format!("UPDATE audit_events SET {column} = {value} WHERE {MIDDLE}"),
            CHANGED,
        ));
    }
    let changed = [
        // SQL NULL and JSON null must hash differently.
        "UPDATE audit_events SET before = 'null' WHERE id = (SELECT id FROM audit_events
            WHERE business_id = '{b}' AND before IS NULL ORDER BY transaction_id, id OFFSET 200 LIMIT 1)".into(),
        format!("DELETE FROM audit_events WHERE {MIDDLE}"),
        // Deletes the last entry of the second-newest seal, then the newest entry. The forged entries then include the
        // oldest entry.
        "DELETE FROM audit_events e USING audit_seals s WHERE s.business_id = '{b}' AND e.business_id = '{b}'
            AND s.number = (SELECT max(number) - 1 FROM audit_seals WHERE business_id = '{b}')
            AND (e.transaction_id, e.id) = (s.last_transaction_id, s.last_event_id)".into(),
        "DELETE FROM audit_events WHERE business_id = '{b}' AND id = (SELECT last_event_id FROM audit_seals
            WHERE business_id = '{b}' ORDER BY number DESC LIMIT 1)".into(),
        format!("{FORGED} transaction_id FROM audit_events WHERE {MIDDLE}"),
        format!("{FORGED} 1"),
        format!("{FORGED} max(last_transaction_id) - 1 FROM audit_seals WHERE business_id = '{{b}}'"),
        // Two entries exchange places. Each of the last seals covers one transaction; two earlier seals may share one.
        "UPDATE audit_events e SET transaction_id = o.last_transaction_id
           FROM audit_seals s, audit_seals o WHERE s.business_id = '{b}' AND o.business_id = '{b}'
            AND e.business_id = '{b}' AND e.id = s.last_event_id AND o.number = s.number - 1
            AND s.number = (SELECT max(number) - 1 FROM audit_seals WHERE business_id = '{b}')".into(),
        // Changes to the seals themselves.
        "UPDATE audit_seals SET hash = sha256('x') WHERE business_id = '{b}' AND number = 2".into(),
        "UPDATE audit_seals SET events = events + 1 WHERE business_id = '{b}' AND number = 1".into(),
        "UPDATE audit_seals SET sealed_at = sealed_at - interval '1 day' WHERE business_id = '{b}' AND number = 1".into(),
        "UPDATE audit_seals SET last_event_id = gen_random_uuid() WHERE business_id = '{b}' AND number = 1".into(),
        "UPDATE audit_seals SET number = 99 WHERE business_id = '{b}' AND number = (SELECT max(number) FROM audit_seals
            WHERE business_id = '{b}')".into(),
        "DELETE FROM audit_seals WHERE business_id = '{b}' AND number = 1".into(),
    ];
    all.extend(changed.map(|sql| (sql, CHANGED)));
    all.push((
        "DELETE FROM audit_seals WHERE business_id = '{b}' AND number = 2".into(),
        GAP,
    ));
    all.push((format!("{FORGED} 999999999999999"), TO_COME));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_manual_change_is_found() {
    let trail = sealed().await;
    let tables = ["audit_events", "audit_seals"];
    let each = |what: &dyn Fn(&str) -> String| tables.map(what).concat();
    let keep = each(&|table| format!("CREATE TABLE kept_{table} AS SELECT * FROM {table};"));
    let put_back = each(&|table| {
        format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table};")
    });
    trail.database.execute(&keep).await;
    let mut tried = BTreeSet::new();
    for (sql, check) in sabotage() {
        let sql = sql.replace("{b}", &ACME.to_string());
        trail.database.execute(&sql).await;
        let found = verified(&trail.database).await;
        let names: Vec<&str> = found.iter().map(|difference| difference.check).collect();
        assert!(
            names.contains(&check),
            "{check} does not find the change: {sql}\n{found:#?}"
        );
        assert!(found.iter().all(says_where), "{sql}\n{found:#?}");
        // A change in one place must not be reported everywhere.
        assert!(found.len() <= 3, "{sql}\n{found:#?}");
        tried.insert(check);
        trail.database.execute(&put_back).await;
    }
    assert_eq!(verified(&trail.database).await, [], "not put back");
    let all: BTreeSet<&str> = verify::checks()
        .map(|check| check.name)
        .filter(|name| name.starts_with("audit_"))
        .collect();
    assert_eq!(tried, all, "each check is tried");
}

fn says_where(difference: &Difference) -> bool {
    difference.business_id == ACME
        && difference.subject.len() > 36
        && difference.expected != difference.found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_role_chooses_neither_the_place_nor_the_time_of_an_entry_or_a_seal() {
    let service = Service::start().await;
    let connection = service.database.connect(SERVICE).await;
    for (table, column) in [
        ("audit_events", "transaction_id"),
        ("audit_events", "created_at"),
        ("audit_seals", "sealed_at"),
    ] {
        let sql = format!("INSERT INTO {table} ({column}) VALUES (DEFAULT)");
        assert_no_privilege(run(&connection, &set(ACME), &sql).await, &sql);
    }
}

/// Ids of Acme's entries, in the order of the trail.
async fn order(database: &Database) -> Vec<String> {
    let sql = format!(
        "SELECT id FROM audit_events WHERE business_id = '{ACME}' ORDER BY transaction_id, id"
    );
    database.column(&sql).await
}

/// Puts the trail into its state after a restore: its transaction numbers come from another server. The highest is
/// `above` this server's current number.
async fn restore(database: &Database, above: i64) {
    let sql = format!(
        "UPDATE audit_events SET transaction_id = transaction_id + shift.by
           FROM (SELECT pg_current_xact_id()::text::bigint + {above} - max(transaction_id) AS by FROM audit_events) AS shift;
         UPDATE audit_seals SET last_transaction_id = last_transaction_id + shift.by
           FROM (SELECT max(e.transaction_id) - max(s.last_transaction_id) AS by
                   FROM audit_events e, audit_seals s WHERE e.business_id = '{ACME}' AND s.business_id = '{ACME}') AS shift"
    );
    database.execute(&sql).await;
}

async fn renumbered(database: &Database) -> Renumbered {
    let owner = domain::Database::new(&database.url(OWNER), 1).unwrap();
    seals::renumber(&owner).await.unwrap()
}

const NOTHING: Renumbered = Renumbered {
    businesses: 0,
    entries: 0,
    seals: 0,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_trail_is_not_sealed_until_it_is_renumbered_and_then_it_is_in_the_order_of_its_making()
 {
    // The offsets are far above, or so small that this server's numbers soon overlap with those of the restored
    // entries.
    for above in [1_000_000_000_000, 200, 20] {
        let trail = sealed().await;
        restore(&trail.database, above).await;
        let (mut made, sealed) = (order(&trail.database).await, trail.sealed().await);
        // Entries that were written before the problem was noticed.
        for _ in 0..30 {
            trail.database.execute(&entries(1)).await;
            let newest = format!(
                "SELECT id FROM audit_events WHERE business_id = '{ACME}' ORDER BY created_at DESC LIMIT 1"
            );
            made.push(trail.database.value(&newest).await);
        }
        let refused = seals::seal(&trail.sealer, ACME).await;
        let Err(Error::Conflict(message)) = refused else {
            panic!("{above}: {refused:?}");
        };
        assert!(message.contains("tradeline renumber-audit"), "{message}");
        assert_eq!(trail.sealed().await, sealed, "{above}");

        let all = renumbered(&trail.database).await;
        assert!(all.businesses > 0, "{above}: {all:?}");
        assert!(all.entries > 1500 && all.seals > 4, "{above}: {all:?}");
        assert_eq!(order(&trail.database).await, made, "{above}");
        assert_eq!(verified(&trail.database).await, [], "{above}");
        trail.seal_all().await;
        trail.database.execute(&entries(3)).await;
        trail.seal_all().await;
        assert_eq!(verified(&trail.database).await, [], "{above}");
        // A second renumbering changes nothing, and the trail can be restored again.
        assert_eq!(renumbered(&trail.database).await, NOTHING, "{above}");
        restore(&trail.database, above).await;
        let made = order(&trail.database).await;
        assert!(renumbered(&trail.database).await.businesses > 0, "{above}");
        assert_eq!(order(&trail.database).await, made, "{above}");
        assert_eq!(verified(&trail.database).await, [], "{above}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_was_not_restored_or_from_a_server_with_lower_numbers_needs_no_renumbering() {
    let trail = sealed().await;
    let before = order(&trail.database).await;
    assert_eq!(renumbered(&trail.database).await, NOTHING);
    restore(&trail.database, -100).await;
    trail.database.execute(&entries(2)).await;
    trail.seal_all().await;
    assert_eq!(renumbered(&trail.database).await, NOTHING);
    assert_eq!(verified(&trail.database).await, []);
    let after = order(&trail.database).await;
    assert_eq!(after[..before.len()], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_changed_before_a_renumbering_is_found_after_it() {
    let trail = sealed().await;
    restore(&trail.database, 1_000_000).await;
    let middle = MIDDLE.replace("{b}", &ACME.to_string());
    let forge = format!("UPDATE audit_events SET action = 'forged' WHERE {middle}");
    trail.database.execute(&forge).await;
    trail.database.execute(&entries(2)).await;
    renumbered(&trail.database).await;
    trail.seal_all().await;
    let found = verified(&trail.database).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].check, CHANGED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renumbering_while_the_service_sells_disturbs_nobody() {
    let mut settings = settings();
    settings.seal_every = 1;
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    let trail = Trail::of(database.clone()).await;
    trail.seal_all().await;
    restore(&database, 1_000_000).await;
    let service = Service::with(database.clone(), &url, &settings).await;
    let staff = service.staff();
    let buyer = service.admin().add_customer("Buyer", "100000.00").await;
    let selling = all((0..60_u64).map(|number| {
        let staff = staff.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(number * 5)).await;
            staff.buy_for(buyer, &[(ACME_HEADPHONES, 1)]).await
        }
    }));
    let renumbering = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        renumbered(&database).await
    };
    let (replies, all) = tokio::join!(selling, renumbering);
    assert_eq!(all.businesses, 2, "{all:?}");
    let sold = replies.iter().filter(|reply| reply.status == 201).count();
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.refused(409, "insufficient_stock");
    }
    assert!(sold > 0);
    assert_eq!(service.orders().await, sold);
    until("all entries are sealed", async || {
        trail.sealed().await == trail.written().await
    })
    .await;
    assert_eq!(verified(&database).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_renumbers_as_the_owner_and_says_what_it_needs_otherwise() {
    let trail = sealed().await;
    restore(&trail.database, 1_000_000).await;
    let folder = Folder::open();
    let renumber = |role: &str| {
        let mut command = command(&folder.data, &["renumber-audit"]);
        command.env("DATABASE_URL", trail.database.url(role));
        command
    };
    let refused = refusal(&mut renumber(SERVICE));
    assert!(refused.contains("the owner of the tables"), "{refused}");
    let said = printed(renumber(OWNER).output().unwrap());
    assert!(said.starts_with("Renumbered: entries "), "{said}");
    let said = printed(renumber(OWNER).output().unwrap());
    assert!(said.contains("nothing was changed"), "{said}");
    trail.seal_all().await;
    assert_eq!(verified(&trail.database).await, []);
    let nowhere = refusal(&mut command(&folder.data, &["renumber-audit"]));
    assert!(nowhere.contains("there is no database"), "{nowhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_seal_in_the_background_without_conflict() {
    let mut settings = settings();
    settings.seal_every = 1;
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    let one = Service::with(database.clone(), &url, &settings).await;
    let _two = Service::with(database.clone(), &url, &settings).await;
    let trail = Trail::of(database).await;
    for _ in 0..3 {
        let _ = one.admin().buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
        until("the sale is sealed", async || {
            trail.sealed().await == trail.written().await
        })
        .await;
    }
    assert!(trail.sealed().await >= 3);
    assert_eq!(verified(&trail.database).await, []);
}
