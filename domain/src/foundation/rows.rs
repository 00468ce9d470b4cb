//! Rows as arrays: statements that write any number of rows with one text.
//!
//! A [`Row`] lists its columns once, each with a name and a function from the row to its value. The list makes both
//! halves of a statement: the text `unnest($2::uuid[], $3::bigint[]) AS name (id, quantity)`, and one array per
//! column. The text does not depend on the number of rows, so that batches of 1 and of 64 share one prepared
//! statement. It is made once, in a `LazyLock`; a row costs one value per column.
//!
//! ```text
//! static WRITE: LazyLock<ArrayStatement> =
//!     LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<NewOrder>()));
//! let statement = WRITE.of(business).rows(&orders).statement()?;
//! ```

use entity::BusinessId;
use sea_orm::sea_query::{ArrayType, ValueType};
use sea_orm::{DbBackend, Statement, Value};
use uuid::Uuid;

use crate::Error;

/// A row that is sent as elements of arrays.
pub(crate) trait Row: Sized {
    /// The name of the relation in the statement.
    const NAME: &'static str;

    /// Lists the columns, always the same ones in the same order.
    fn columns(columns: &mut impl Columns<Self>);
}

/// A row that is inserted into a table of a business, with all its columns.
pub(crate) trait Insert: Row {
    /// The name of the table.
    const TABLE: &'static str;
}

/// Receives the columns of a row.
pub(crate) trait Columns<R> {
    /// Adds a column without nulls.
    fn column<T>(&mut self, name: &'static str, value: impl Fn(&R) -> T)
    where
        T: ValueType + Into<Value>;

    /// Adds a nullable column of type `uuid`, `int`, `bigint`, `text` or `jsonb`. The driver's arrays have no nulls, so a
    /// value that never occurs is sent instead ([`Placeholder`]).
    fn nullable<T>(&mut self, name: &'static str, value: impl Fn(&R) -> Option<T>)
    where
        T: ValueType + Into<Value>;
}

/// The value that is sent in place of null, and the same in SQL.
struct Placeholder {
    value: Value,
    sql: &'static str,
}

impl Placeholder {
    /// No nullable column has the nil UUID, the lowest int or bigint, JSON null or an empty text as a value.
    fn of(kind: &ArrayType) -> Self {
        let (value, sql) = match kind {
            ArrayType::Uuid => (
                Uuid::nil().into(),
                "'00000000-0000-0000-0000-000000000000'::uuid",
            ),
            ArrayType::Int => (i32::MIN.into(), "'-2147483648'::int"),
            ArrayType::BigInt => (i64::MIN.into(), "'-9223372036854775808'::bigint"),
            ArrayType::Json => (serde_json::Value::Null.into(), "'null'::jsonb"),
            _ => ("".into(), "''"),
        };
        Self { value, sql }
    }
}

/// PostgreSQL's name of a type. The statement of an unknown type fails when it is prepared.
fn sql_type(kind: &ArrayType) -> &'static str {
    match kind {
        ArrayType::Bool => "boolean",
        ArrayType::SmallInt => "smallint",
        ArrayType::Int => "int",
        ArrayType::BigInt => "bigint",
        ArrayType::String => "text",
        ArrayType::Bytes => "bytea",
        ArrayType::ChronoDateTimeUtc => "timestamptz",
        ArrayType::Uuid => "uuid",
        ArrayType::Decimal => "numeric",
        ArrayType::Json => "jsonb",
        _ => "type_without_a_name",
    }
}

/// A column in the text of a statement.
struct Named {
    name: &'static str,
    kind: ArrayType,
    nullable: bool,
}

#[derive(Default)]
struct Names(Vec<Named>);

impl<R> Columns<R> for Names {
    fn column<T>(&mut self, name: &'static str, _: impl Fn(&R) -> T)
    where
        T: ValueType + Into<Value>,
    {
        self.0.push(Named {
            name,
            kind: T::array_type(),
            nullable: false,
        });
    }

    fn nullable<T>(&mut self, name: &'static str, _: impl Fn(&R) -> Option<T>)
    where
        T: ValueType + Into<Value>,
    {
        self.0.push(Named {
            name,
            kind: T::array_type(),
            nullable: true,
        });
    }
}

impl Names {
    fn of<R: Row>() -> Self {
        let mut names = Self::default();
        R::columns(&mut names);
        names
    }

    fn joined(&self, each: impl Fn(&Named) -> String) -> String {
        let each: Vec<String> = self.0.iter().map(each).collect();
        each.join(", ")
    }

    fn names(&self) -> String {
        self.joined(|column| column.name.to_owned())
    }
}

/// Collects the columns of rows as arrays.
struct Values<'a, R> {
    rows: &'a [R],
    values: &'a mut Vec<Value>,
}

impl<R> Columns<R> for Values<'_, R> {
    fn column<T>(&mut self, _: &'static str, value: impl Fn(&R) -> T)
    where
        T: ValueType + Into<Value>,
    {
        let array = self.rows.iter().map(|row| value(row).into()).collect();
        let array = Value::Array(T::array_type(), Some(Box::new(array)));
        self.values.push(array);
    }

    fn nullable<T>(&mut self, _: &'static str, value: impl Fn(&R) -> Option<T>)
    where
        T: ValueType + Into<Value>,
    {
        let null = Placeholder::of(&T::array_type()).value;
        let values = self.rows.iter().map(value);
        let array = values.map(|value| value.map_or_else(|| null.clone(), Into::into));
        let array = Value::Array(T::array_type(), Some(Box::new(array.collect())));
        self.values.push(array);
    }
}

/// Marks a single value in the list of bound rows.
const VALUE: &str = "a value";

/// Numbers the parameters of a statement while its text is written. `$1` is the business.
pub(crate) struct Arrays {
    parameters: usize,
    rows: Vec<&'static str>,
}

impl Arrays {
    /// These rows as a relation for `FROM`.
    pub(crate) fn rows<R: Row>(&mut self) -> String {
        let columns = Names::of::<R>();
        let first = self.parameters + 1;
        self.parameters += columns.0.len();
        self.rows.push(R::NAME);
        let arrays = columns.0.iter().zip(first..);
        let arrays: Vec<String> = arrays
            .map(|(column, number)| format!("${number}::{}[]", sql_type(&column.kind)))
            .collect();
        let (name, names, arrays) = (R::NAME, columns.names(), arrays.join(", "));
        let unnested = format!("unnest({arrays}) AS {name} ({names})");
        if columns.0.iter().all(|column| !column.nullable) {
            return unnested;
        }
        let selected = columns.joined(|column| match column.nullable {
            true => {
                let (name, null) = (column.name, Placeholder::of(&column.kind).sql);
                format!("nullif({name}, {null}) AS {name}")
            }
            false => column.name.to_owned(),
        });
        format!("(SELECT {selected} FROM {unnested}) AS {name}")
    }

    /// A single parameter of this type.
    pub(crate) fn value(&mut self, sql_type: &str) -> String {
        self.parameters += 1;
        self.rows.push(VALUE);
        format!("${}::{sql_type}", self.parameters)
    }

    /// The statement that inserts these rows into the business. It returns a constant per row, since returning a
    /// column would make PostgreSQL check row security a second time.
    pub(crate) fn insert<R: Insert>(&mut self) -> String {
        self.insert_returning::<R>("1")
    }

    /// As [`Arrays::insert`], with an expression to return for each row.
    pub(crate) fn insert_returning<R: Insert>(&mut self, returning: &str) -> String {
        let names = Names::of::<R>().names();
        let (table, rows) = (R::TABLE, self.rows::<R>());
        format!(
            "INSERT INTO {table} (business_id, {names}) SELECT $1, {names} FROM {rows} RETURNING {returning}"
        )
    }
}

/// A statement with a business and rows as parameters.
pub(crate) struct ArrayStatement {
    sql: String,
    rows: Vec<&'static str>,
}

impl ArrayStatement {
    /// Writes the text of the statement.
    pub(crate) fn new(write: impl FnOnce(&mut Arrays) -> String) -> Self {
        let mut arrays = Arrays {
            parameters: 1,
            rows: Vec::new(),
        };
        let sql = write(&mut arrays);
        let rows = arrays.rows;
        Self { sql, rows }
    }

    /// Starts binding the parameters.
    pub(crate) fn of(&self, business: BusinessId) -> Bound<'_> {
        Bound {
            statement: self,
            values: vec![business.0.into()],
            rows: Vec::with_capacity(self.rows.len()),
        }
    }
}

/// A statement whose parameters are being bound.
pub(crate) struct Bound<'a> {
    statement: &'a ArrayStatement,
    values: Vec<Value>,
    rows: Vec<&'static str>,
}

impl Bound<'_> {
    /// Binds the next rows, in the order in which the text names them.
    pub(crate) fn rows<R: Row>(mut self, rows: &[R]) -> Self {
        let values = &mut self.values;
        R::columns(&mut Values { rows, values });
        self.rows.push(R::NAME);
        self
    }

    /// Binds the next single value.
    pub(crate) fn value(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self.rows.push(VALUE);
        self
    }

    /// The statement with all its parameters.
    ///
    /// # Errors
    /// [`Error::Bug`] if the bound rows differ from those that the text names.
    pub(crate) fn statement(self) -> Result<Statement, Error> {
        let expected = &self.statement.rows;
        if self.rows != *expected {
            let bound = self.rows;
            return Err(Error::Bug(format!(
                "the rows {bound:?} were bound where {expected:?} are named"
            )));
        }
        let sql = self.statement.sql.as_str();
        Ok(Statement::from_sql_and_values(
            DbBackend::Postgres,
            sql,
            self.values,
        ))
    }
}

/// A number of rows as the database counts them.
pub(crate) fn count(rows: usize) -> i64 {
    <i64 as TryFrom<usize>>::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use entity::OrderId;

    use super::*;

    struct Part {
        id: Uuid,
        quantity: i64,
        order_id: Option<OrderId>,
    }

    impl Row for Part {
        const NAME: &'static str = "part";

        fn columns(columns: &mut impl Columns<Self>) {
            columns.column("id", |part| part.id);
            columns.column("quantity", |part| part.quantity);
            columns.nullable("order_id", |part| part.order_id);
        }
    }

    impl Insert for Part {
        const TABLE: &'static str = "parts";
    }

    struct Total(i64);

    impl Row for Total {
        const NAME: &'static str = "total";

        fn columns(columns: &mut impl Columns<Self>) {
            columns.column("amount", |total| total.0);
        }
    }

    fn both() -> ArrayStatement {
        ArrayStatement::new(|arrays| {
            let (parts, total) = (arrays.insert::<Part>(), arrays.rows::<Total>());
            format!("WITH new_parts AS ({parts}) SELECT amount FROM {total}")
        })
    }

    #[test]
    fn the_text_names_each_column_and_numbers_its_array() {
        assert_eq!(
            both().sql,
            "WITH new_parts AS (INSERT INTO parts (business_id, id, quantity, order_id) \
             SELECT $1, id, quantity, order_id FROM (SELECT id, quantity, \
             nullif(order_id, '00000000-0000-0000-0000-000000000000'::uuid) AS order_id \
             FROM unnest($2::uuid[], $3::bigint[], $4::uuid[]) AS part (id, quantity, order_id)) AS part \
             RETURNING 1) SELECT amount FROM unnest($5::bigint[]) AS total (amount)"
        );
    }

    #[test]
    fn a_value_a_column_is_bound_and_other_rows_are_refused() {
        let part = |order_id| Part {
            id: Uuid::now_v7(),
            quantity: 3,
            order_id,
        };
        let parts = [part(None), part(Some(OrderId::new()))];
        let statement = both();
        let business = BusinessId::new();
        let bound = statement.of(business).rows(&parts).rows(&[Total(7)]);
        let values = bound.statement().unwrap().values.unwrap().0;
        let expected: Vec<Value> = vec![
            business.0.into(),
            vec![parts[0].id, parts[1].id].into(),
            vec![3_i64, 3].into(),
            vec![Uuid::nil(), parts[1].order_id.unwrap().0].into(),
            vec![7_i64].into(),
        ];
        assert_eq!(values, expected);
        let swapped = statement.of(business).rows(&[Total(7)]).rows(&parts);
        assert!(matches!(swapped.statement(), Err(Error::Bug(_))));
        assert!(statement.of(business).rows(&parts).statement().is_err());
    }
}
