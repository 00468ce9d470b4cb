//! The migrations: the steps that build the database's schema.
//!
//! A step is two files of plain SQL in `sql/`, `up` and `down`. `README.md` says how to write one that keeps running
//! services working. A step is frozen once it has landed. This crate therefore depends on no other crate of the
//! workspace, whose types change.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DatabaseConnection, DbBackend, Statement};

/// All steps in order, for the command line, the embedded database and the tests.
#[derive(Debug)]
pub struct Migrator;

struct Step {
    name: &'static str,
    up: &'static str,
    down: &'static str,
    /// The oldest step whose version of the service works after this one. `None` up to [`LAST_UNDECLARED`].
    compatible_from: Option<&'static str>,
}

/// The number of the step that creates the table `schema_compatibility`. No earlier version reads that table.
const LAST_UNDECLARED: u32 = 15;

/// The number at the start of a step's name.
const fn number(name: &str) -> u32 {
    let mut digits = name.as_bytes();
    let mut number = 0;
    while let [digit @ b'0'..=b'9', rest @ ..] = digits {
        number = number * 10 + (*digit - b'0') as u32;
        digits = rest;
    }
    number
}

macro_rules! step {
    ($name:literal) => {{
        const {
            assert!(
                number($name) <= LAST_UNDECLARED,
                "this step must declare the oldest step whose version works after it, which is itself if none does: \
                 step!(\"…\", compatible_from: \"15_schema_compatibility\"); see migration/README.md"
            );
        }
        step!($name, None)
    }};
    ($name:literal, compatible_from: $oldest:literal) => {{
        const {
            let (oldest, own) = (number($oldest), number($name));
            assert!(
                LAST_UNDECLARED <= oldest && oldest <= own,
                "a step is compatible from one of the steps between 15_schema_compatibility and itself"
            );
        }
        step!($name, Some($oldest))
    }};
    ($name:literal, $compatible_from:expr) => {
        Step {
            name: $name,
            up: include_str!(concat!("../sql/", $name, ".up.sql")),
            down: include_str!(concat!("../sql/", $name, ".down.sql")),
            compatible_from: $compatible_from,
        }
    };
}

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        steps()
            .into_iter()
            .map(|step| Box::new(step) as Box<dyn MigrationTrait>)
            .collect()
    }
}

fn steps() -> Vec<Step> {
    vec![
        step!("01_service_role"),
        step!("02_businesses"),
        step!("03_customers_and_users"),
        step!("04_products_and_inventory"),
        step!("05_orders_and_ledger"),
        step!("06_idempotency_and_audit"),
        step!("07_new_businesses"),
        step!("08_identity"),
        step!("09_receivables"),
        step!("10_live_keys"),
        step!("11_reservations"),
        step!("12_sales"),
        step!("13_audit"),
        step!("14_checkout"),
        step!("15_schema_compatibility"),
        step!("16_card_money", compatible_from: "15_schema_compatibility"),
        step!("17_buying_now", compatible_from: "15_schema_compatibility"),
        step!("18_business_calendar", compatible_from: "15_schema_compatibility"),
        // Earlier versions cannot read an account that has a payout.
        step!("19_returns_and_payouts", compatible_from: "19_returns_and_payouts"),
        step!("20_skus", compatible_from: "15_schema_compatibility"),
        step!("21_opaque_responses", compatible_from: "15_schema_compatibility"),
        step!("22_held_stock", compatible_from: "15_schema_compatibility"),
        step!("23_details", compatible_from: "15_schema_compatibility"),
        step!("24_password_resets", compatible_from: "15_schema_compatibility"),
        step!("25_search", compatible_from: "15_schema_compatibility"),
        step!("26_changes", compatible_from: "15_schema_compatibility"),
        step!("27_sales_figures", compatible_from: "15_schema_compatibility"),
        step!("28_opening_items", compatible_from: "15_schema_compatibility"),
        step!("29_sessions", compatible_from: "15_schema_compatibility"),
        step!("30_product_pictures", compatible_from: "15_schema_compatibility"),
        // Statements that earlier versions prepared fail, since the types of their columns change.
        step!("31_domains", compatible_from: "31_domains"),
    ]
}

/// The names of all steps, in order. The table `seaql_migrations` of an up-to-date database lists exactly these.
pub fn names() -> Vec<String> {
    steps().iter().map(|step| step.name.to_owned()).collect()
}

/// Applies all pending steps, in one process at a time: a second one waits, and then finds nothing to do.
///
/// The lock belongs to the session. `owner` must therefore be a pool of one connection, to the server itself and not to
/// a pooler.
///
/// # Errors
/// The server's, or that the database has steps that this version does not know.
pub async fn up(owner: &DatabaseConnection) -> Result<(), DbErr> {
    advisory(owner, "pg_advisory_lock").await?;
    let outcome = Migrator::up(owner, None).await;
    // A lost connection has released the lock already.
    let unlocked = advisory(owner, "pg_advisory_unlock").await;
    outcome.and(unlocked)
}

/// Calls `function` with the key of the migrations' advisory lock.
async fn advisory(owner: &DatabaseConnection, function: &str) -> Result<(), DbErr> {
    let sql = format!("SELECT {function}(hashtextextended('tradeline migrations', 0))");
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    owner.query_one_raw(statement).await?;
    Ok(())
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        connection.execute_unprepared(self.up).await?;
        if let Some(oldest) = self.compatible_from {
            let declare =
                "INSERT INTO schema_compatibility (step, compatible_from) VALUES ($1, $2)";
            declared(connection, declare, &[self.name, oldest]).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        if self.compatible_from.is_some() {
            let withdraw = "DELETE FROM schema_compatibility WHERE step = $1";
            declared(connection, withdraw, &[self.name]).await?;
        }
        connection.execute_unprepared(self.down).await?;
        Ok(())
    }
}

/// Changes a step's declaration of compatibility, in the transaction of the step.
async fn declared(
    connection: &SchemaManagerConnection<'_>,
    sql: &str,
    values: &[&str],
) -> Result<(), DbErr> {
    let values = values.iter().map(|value| Value::from(*value));
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    connection.execute_raw(statement).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_in_their_order() {
        let numbers: Vec<u32> = steps().iter().map(|step| number(step.name)).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }

    #[test]
    fn every_step_from_17_on_declares_a_step_that_there_is() {
        let steps = steps();
        for step in &steps {
            let declared = step.compatible_from;
            assert_eq!(declared.is_some(), number(step.name) > LAST_UNDECLARED);
            let known = declared.is_none_or(|oldest| steps.iter().any(|one| one.name == oldest));
            assert!(known, "{} names no step: {declared:?}", step.name);
        }
    }

    #[test]
    fn every_file_belongs_to_a_step() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort_unstable();
        let expected = names()
            .into_iter()
            .flat_map(|name| [format!("{name}.down.sql"), format!("{name}.up.sql")]);
        assert_eq!(files, expected.collect::<Vec<_>>());
    }
}
