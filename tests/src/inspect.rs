//! This module reads a database as the superuser, without row-level security.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;

use crate::{Database, until};

impl Database {
    /// Runs a query and returns each row as a JSON object.
    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        let postgres = self.connect("postgres").await;
        let statement = Statement::from_string(
            DbBackend::Postgres,
            format!("SELECT to_jsonb(r)::text FROM ({sql}) AS r"),
        );
        let rows = postgres.query_all_raw(statement).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        postgres.close().await.unwrap();
        let texts = rows
            .iter()
            .map(|row| row.try_get_by_index::<String>(0).unwrap());
        texts
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect()
    }

    /// Runs a query that returns exactly one row, and returns it as a JSON object.
    pub async fn row(&self, sql: &str) -> Value {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.remove(0)
    }

    /// Names of the tables of the schema `public`, sorted.
    pub async fn tables(&self) -> Vec<String> {
        self.column(
            "SELECT relname FROM pg_class
              WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY 1",
        )
        .await
    }

    /// The row count and a hash of every table; equal digests mean that nothing changed. Three things are left
    /// out: entries about refused access, which only a refusal writes, seals, and figures of sales. The method first waits for open refunds,
    /// which the service makes on its own after a response.
    pub async fn digest(&self) -> Vec<Value> {
        let asked = "SELECT count(*) FROM refunds WHERE status IN ('requested', 'pending')";
        if self.tables().await.iter().any(|table| table == "refunds") {
            until("the open refunds have ended", async || {
                self.value(asked).await == "0"
            })
            .await;
        }
        let parts = self.tables().await.into_iter().map(|table| {
            let which = match table.as_str() {
                "audit_events" => "WHERE action <> 'access.refused'",
                // Seals and figures are written in the background.
                "audit_seals" | "sales_figures" | "sales_figures_state" => "WHERE false",
                _ => "",
            };
            format!(
                "SELECT '{table}' AS name, count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), ''))
                   FROM {table} AS t {which}"
            )
        });
        self.rows(&parts.collect::<Vec<_>>().join(" UNION ALL "))
            .await
    }
}
