//! Lists, read page by page.

use serde_json::Value;

use crate::Client;

impl Client {
    /// All rows of a list, read by pages of this size: every page is full but the last, and the last says so.
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

    /// One page of a list, and the cursor of the next.
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

/// One member of each row, as text.
///
/// # Panics
/// A row has no such text.
#[must_use]
pub fn member(rows: &[Value], name: &str) -> Vec<String> {
    let texts = rows.iter().map(|row| row[name].as_str().unwrap());
    texts.map(str::to_owned).collect()
}
