//! The filter of lists of what orders have: refunds, disputes, credit notes and write-offs.

use entity::{CustomerId, OrderId, Tenant, orders};
use sea_orm::{ColumnTrait, QueryFilter, QuerySelect, QueryTrait, Select};

use crate::foundation::clock;
use crate::foundation::dates::When;
use crate::{Caller, Database, Error};

/// Conditions of a list. A row must meet all that are present.
#[derive(Debug, Clone, Copy, Default)]
pub struct About {
    /// Rows about this order.
    pub order_id: Option<OrderId>,
    /// Rows about orders of this customer.
    pub customer_id: Option<CustomerId>,
    /// Entered at this time or later.
    pub created_from: Option<When>,
    /// Entered before this time, or on this day at the latest.
    pub created_to: Option<When>,
}

impl About {
    /// The rows of the business that meet the conditions. The columns are those of the order and of the time.
    pub(crate) async fn rows<E: Tenant>(
        &self,
        database: &Database,
        caller: &Caller,
        (order, created_at): (E::Column, E::Column),
    ) -> Result<Select<E>, Error> {
        let mut rows = E::of(caller.business_id);
        if let Some(id) = self.order_id {
            rows = rows.filter(order.eq(id));
        }
        if let Some(customer) = self.customer_id {
            let theirs = orders::Entity::of(caller.business_id)
                .select_only()
                .column(orders::Column::Id)
                .filter(orders::Column::CustomerId.eq(customer));
            rows = rows.filter(order.in_subquery(theirs.into_query()));
        }
        let span = (self.created_from, self.created_to);
        clock::within(database, caller, rows, created_at, span).await
    }
}
