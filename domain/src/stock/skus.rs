//! Look-up of products by the SKUs of a table.

use std::sync::LazyLock;

use entity::{BusinessId, ProductId};
use sea_orm::FromQueryResult;

use crate::foundation::imports::{ImportRow, RowFault, RowRefusal};
use crate::foundation::rows::{ArrayStatement, Columns, Row};
use crate::{Error, Transaction};

/// The column of the SKU in every table.
pub(crate) const COLUMN: &str = "sku";

/// A SKU of a table.
struct Given<'a> {
    line: i64,
    sku: &'a str,
}

impl Row for Given<'_> {
    const NAME: &'static str = "given";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("line", |given| given.line);
        columns.column("sku", |given| given.sku.to_owned());
    }
}

/// A SKU of a table with its product.
#[derive(Debug, FromQueryResult)]
pub(crate) struct Found {
    /// The first line with this SKU.
    first: i64,
    /// The line of this row.
    line: i64,
    /// The product that has it; `None` if none has.
    pub(crate) product_id: Option<ProductId>,
}

impl Found {
    /// The fault of a SKU that an earlier row has.
    pub(crate) fn repeated(&self) -> Option<RowFault> {
        let first = u64::try_from(self.first).unwrap_or_default();
        (self.first < self.line).then(|| self.fault(RowRefusal::Repeated(first)))
    }

    /// A fault of this SKU.
    pub(crate) fn fault(&self, reason: RowRefusal) -> RowFault {
        RowFault {
            line: u64::try_from(self.line).unwrap_or_default(),
            column: COLUMN,
            reason,
        }
    }
}

/// Raw: compares by `sku_key`, a function of the schema. Row security keeps a function from being an index condition,
/// so one hash join reads the catalogue once. Of products that clashed before the rule, the exact SKU is preferred.
static FIND: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| {
        let given = arrays.rows::<Given<'_>>();
        format!(
            "
WITH keyed AS MATERIALIZED (SELECT line, sku, sku_key(sku) AS key FROM {given}),
     known AS MATERIALIZED (SELECT id, sku, sku_key(sku) AS key FROM products WHERE business_id = $1)
SELECT DISTINCT ON (keyed.line) keyed.line, first.line AS first, known.id AS product_id
  FROM keyed
  JOIN (SELECT key, min(line) AS line FROM keyed GROUP BY key) AS first USING (key)
  LEFT JOIN known USING (key)
 ORDER BY keyed.line, known.sku = keyed.sku DESC, known.id"
        )
    })
});

/// Finds the products of these SKUs, in any case and width, in the order of the lines.
pub(crate) async fn find<'a, T: 'a>(
    transaction: &Transaction,
    business: BusinessId,
    rows: &'a [ImportRow<T>],
    sku: impl Fn(&'a T) -> &'a str,
) -> Result<Vec<Found>, Error> {
    let given = rows.iter().map(|row| Given {
        line: i64::try_from(row.line).unwrap_or(i64::MAX),
        sku: sku(&row.value),
    });
    let given: Vec<Given<'_>> = given.collect();
    let statement = FIND.of(business).rows(&given).statement()?;
    let found = Found::find_by_statement(statement).all(transaction).await?;
    if found.len() != rows.len() {
        let message = format!("{} of {} SKUs were looked up", found.len(), rows.len());
        return Err(Error::Bug(message));
    }
    Ok(found)
}
