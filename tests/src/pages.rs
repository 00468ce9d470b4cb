//! This module reads the API's lists page by page.

use serde_json::Value;

use crate::Client;

impl Client {
    /// Reads all rows of a list in pages of `limit` rows. Asserts that every page but the last is full, and that only
    /// the last has no cursor.
    pub async fn pages(&self, path: &str, limit: usize) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut cursor = None;
        loop {
            let (page, next) = self.page(path, limit, cursor.as_deref()).await;
            assert!(
                page.len() <= limit,
                "{path}: {} rows of {limit}",
                page.len()
            );
            rows.extend_from_slice(&page);
            assert!(rows.len() < 10_000, "{path} does not end");
            let Some(next) = next else {
                return rows;
            };
            assert_eq!(
                page.len(),
                limit,
                "{path}: a short page that is not the last"
            );
            assert_ne!(cursor.as_ref(), Some(&next), "{path} goes in a circle");
            cursor = Some(next);
        }
    }

    /// Reads one page of a list and the cursor of the next page; `None` on the last page.
    pub async fn page(
        &self,
        path: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> (Vec<Value>, Option<String>) {
        let mark = if path.contains('?') { '&' } else { '?' };
        let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let page = self
            .get(&format!("{path}{mark}limit={limit}{cursor}"))
            .await
            .ok(200);
        let rows = page["data"].as_array().unwrap().clone();
        (rows, page["next_cursor"].as_str().map(str::to_owned))
    }
}

/// Collects one text member of each row.
///
/// # Panics
/// A row does not have this member, or it is not text.
#[must_use]
pub fn member(rows: &[Value], name: &str) -> Vec<String> {
    let texts = rows.iter().map(|row| row[name].as_str().unwrap());
    texts.map(str::to_owned).collect()
}
