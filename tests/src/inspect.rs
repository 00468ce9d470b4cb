//! What is in a database, as the superuser sees it.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;

use crate::{Database, until};

impl Database {
    /// The rows of a query, each as a JSON object.
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

    /// The one row of a query, as a JSON object.
    pub async fn row(&self, sql: &str) -> Value {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.remove(0)
    }

    /// The tables of the schema `public`.
    pub async fn tables(&self) -> Vec<String> {
        self.column(
            "SELECT relname FROM pg_class
              WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY 1",
        )
        .await
    }

    /// How many rows each table has and a hash of all of them: the same before and after means that nothing changed. Less
    /// the entries about refused accesses, which a refusal leaves and nothing else. What the service does by itself after an
    /// answer, giving money back, is waited for.
    pub async fn digest(&self) -> Vec<Value> {
        let asked = "SELECT count(*) FROM refunds WHERE status IN ('requested', 'pending')";
        if self.tables().await.iter().any(|table| table == "refunds") {
            until("refunds are made", async || self.value(asked).await == "0").await;
        }
        let parts = self.tables().await.into_iter().map(|table| {
            let which = match table.as_str() {
                "audit_events" => "WHERE action <> 'access.refused'",
                // They follow by themselves.
                "audit_seals" => "WHERE false",
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
