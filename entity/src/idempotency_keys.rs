//! Table `idempotency_keys`: the stored response of each request with an idempotency key.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, Func, SimpleExpr};

use crate::{BusinessId, UserId};

/// A stored response. A retry by the same caller, with the same key and the same request, returns it unchanged.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub caller_id: UserId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub request_hash: Vec<u8>,
    /// Opaque: whoever asked for the write rendered it. Null in rows of versions before step 21, see [`response`].
    pub response: Option<Vec<u8>>,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

/// The stored response of a row, whichever version wrote it: versions before step 21 kept three columns, of which the
/// schema's function `former_response` makes the same bytes. Goes together with those columns.
#[must_use]
pub fn response() -> SimpleExpr {
    let former = ["status", "location", "body"].map(|column| Expr::col((Entity, column)));
    Expr::from(Func::coalesce([
        Expr::col(Column::Response.as_column_ref()),
        Expr::from(Func::cust("former_response").args(former)),
    ]))
}
