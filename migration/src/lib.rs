//! The database's schema, one step after another. A step is two files of plain SQL in `sql/`, `up` and `down`.
//!
//! A step is frozen once it has landed: this crate knows none of the others, whose types move on.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

/// All steps in order, for the command line, the embedded start and the tests.
#[derive(Debug)]
pub struct Migrator;

struct Step {
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! step {
    ($name:literal) => {
        Step {
            name: $name,
            up: include_str!(concat!("../sql/", $name, ".up.sql")),
            down: include_str!(concat!("../sql/", $name, ".down.sql")),
        }
    };
}

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(step!("01_service_role")),
            Box::new(step!("02_businesses")),
            Box::new(step!("03_customers_and_users")),
            Box::new(step!("04_products_and_inventory")),
            Box::new(step!("05_orders_and_ledger")),
            Box::new(step!("06_idempotency_and_audit")),
            Box::new(step!("07_new_businesses")),
            Box::new(step!("08_identity")),
            Box::new(step!("09_receivables")),
            Box::new(step!("10_live_keys")),
            Box::new(step!("11_reservations")),
            Box::new(step!("12_sales")),
            Box::new(step!("13_audit")),
            Box::new(step!("14_checkout")),
            Box::new(step!("17_card_money")),
        ]
    }
}

/// The names of all steps, in order: what a database that is up to date lists in `seaql_migrations`.
pub fn names() -> Vec<String> {
    Migrator::migrations()
        .iter()
        .map(|step| step.name().to_owned())
        .collect()
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, self.up).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, self.down).await
    }
}

async fn run(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    manager.get_connection().execute_unprepared(sql).await?;
    Ok(())
}
