//! The tenant scope with which every query on a tenant's table starts.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{DeleteMany, EntityTrait, PrimaryKeyTrait, QueryFilter, Select, UpdateMany};

use crate::BusinessId;

/// An entity whose rows belong to a business. This filter is the first protection, row security the second.
pub trait Tenant: EntityTrait {
    /// The column of the business that owns the row.
    const BUSINESS: Self::Column;

    /// Selects rows of one business.
    #[must_use]
    fn of(business: BusinessId) -> Select<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that starts a read"
        )]
        Self::find().filter(is(Self::BUSINESS, business))
    }

    /// Reads the row of one business with this id: the second and last column of the primary key.
    #[must_use]
    fn by_id<I>(business: BusinessId, id: I) -> Select<Self>
    where
        (BusinessId, I): Into<<Self::PrimaryKey as PrimaryKeyTrait>::ValueType>,
    {
        #[expect(
            clippy::disallowed_methods,
            reason = "the key begins with the business"
        )]
        Self::find_by_id((business, id))
    }

    /// Updates rows of one business.
    #[must_use]
    fn update_of(business: BusinessId) -> UpdateMany<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that starts an update"
        )]
        Self::update_many().filter(is(Self::BUSINESS, business))
    }

    /// Deletes rows of one business.
    #[must_use]
    fn delete_of(business: BusinessId) -> DeleteMany<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that starts a deletion"
        )]
        Self::delete_many().filter(is(Self::BUSINESS, business))
    }
}

fn is<C: sea_orm::ColumnTrait>(column: C, business: BusinessId) -> Expr {
    Expr::col(column.as_column_ref()).eq(business)
}

macro_rules! tenant {
    ($($table:ident),+ $(,)?) => {
        $(impl Tenant for crate::$table::Entity {
            const BUSINESS: Self::Column = crate::$table::Column::BusinessId;
        })+
    };
}

tenant!(
    allocations,
    api_keys,
    audit_events,
    audit_seals,
    credit_note_items,
    credit_notes,
    credits_on_account,
    customers,
    disputes,
    held_stock,
    idempotency_keys,
    inventory,
    ledger_entries,
    opening_items,
    order_items,
    order_transitions,
    orders,
    password_resets,
    payment_intents,
    payments,
    payout_allocations,
    payouts,
    product_pictures,
    products,
    provider_events,
    refresh_tokens,
    refund_items,
    refunds,
    reservation_items,
    reservations,
    reversals,
    sale_products,
    sales,
    search_terms,
    sessions,
    stock_movements,
    users,
    write_offs,
);

impl Tenant for crate::businesses::Entity {
    const BUSINESS: Self::Column = crate::businesses::Column::Id;
}
