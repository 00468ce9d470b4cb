//! Payout allocations: which credits cover which payouts.

use entity::payout_allocations::{Column, Entity};
use entity::{BusinessId, CustomerId, Money, Tenant, ledger_entries};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::receivables::settlement::Covering;
use crate::{Error, Transaction};

/// Reads what covers these payouts of a locked account, and what these credits of it cover.
pub(crate) async fn covering(
    transaction: &Transaction,
    business: BusinessId,
    customer: CustomerId,
    payouts: Vec<i64>,
    credits: Vec<i64>,
) -> Result<Vec<Covering>, Error> {
    let covering = Entity::of(business)
        .inner_join(ledger_entries::Entity)
        .select_only()
        .columns([Column::PayoutEntry, Column::CreditEntry])
        .column(ledger_entries::Column::Kind)
        .column_as(Column::Amount.sum(), "amount")
        .filter(Column::CustomerId.eq(customer))
        .filter(
            Column::PayoutEntry
                .eq_any(payouts)
                .or(Column::CreditEntry.eq_any(credits)),
        )
        .group_by(Column::PayoutEntry)
        .group_by(Column::CreditEntry)
        .group_by(ledger_entries::Column::Kind)
        .having(Column::Amount.sum().ne(Money::ZERO))
        .order_by_asc(Column::PayoutEntry)
        .order_by_asc(Column::CreditEntry);
    Ok(covering.into_model::<Covering>().all(transaction).await?)
}
