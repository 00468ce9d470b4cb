//! Disputes of card payments. The provider's state of a dispute is written under the order's lock. While a dispute is
//! open or lost, fulfilment requires acknowledgement and refunds are rejected.

use entity::disputes::{self};
use entity::{DisputeId, Tenant};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use crate::audit::{self, Action, Actor, Change};
use crate::card::locked_order::LockedOrder;
use crate::card::provider::FoundDispute;
use crate::orders;
use crate::{Error, Transaction};

/// Writes the provider's state of a dispute of a locked order.
pub(crate) async fn record(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &LockedOrder,
    found: &FoundDispute,
) -> Result<(), Error> {
    let known =
        orders::disputes::of(transaction, locked.order.business_id, locked.order.id).await?;
    let known = known
        .into_iter()
        .find(|one| one.provider == locked.intent.provider && one.provider_id == found.id);
    let now = as_found(locked, found, known.as_ref());
    let (action, before) = match &known {
        Some(known) if *known == now => return Ok(()),
        Some(known) => {
            update(transaction, &now).await?;
            (Action::DisputeChanged, Some(audit_snapshot(locked, known)))
        }
        None => {
            insert(transaction, &now).await?;
            (Action::DisputeOpened, None)
        }
    };
    let change = Change {
        action,
        entity_type: "dispute",
        entity_id: now.id.0,
        before,
        after: audit_snapshot(locked, &now),
    };
    audit::record_as(transaction, actor, change).await
}

/// The row to write. A dispute in another currency than the order counts as the whole payment.
fn as_found(
    locked: &LockedOrder,
    found: &FoundDispute,
    known: Option<&disputes::Model>,
) -> disputes::Model {
    let is_ours = found.amount.currency == locked.currency.to_string();
    let amount = found.amount.amount.filter(|_| is_ours);
    let new = || disputes::Model {
        business_id: locked.order.business_id,
        id: DisputeId::new(),
        order_id: locked.order.id,
        provider: locked.intent.provider.clone(),
        provider_id: found.id.clone(),
        amount: locked.order.amount_paid(),
        reason: String::new(),
        status: found.status,
        evidence_due_at: None,
        funds_withdrawn: false,
        created_at: chrono::DateTime::UNIX_EPOCH,
        updated_at: chrono::DateTime::UNIX_EPOCH,
    };
    let before = known.cloned().unwrap_or_else(new);
    disputes::Model {
        amount: amount.unwrap_or(before.amount),
        reason: found.reason.clone(),
        status: found.status,
        evidence_due_at: found.evidence_due_at,
        funds_withdrawn: found.funds_withdrawn,
        ..before
    }
}

async fn insert(transaction: &Transaction, dispute: &disputes::Model) -> Result<(), Error> {
    let row = disputes::ActiveModel {
        business_id: Set(dispute.business_id),
        id: Set(dispute.id),
        order_id: Set(dispute.order_id),
        provider: Set(dispute.provider.clone()),
        provider_id: Set(dispute.provider_id.clone()),
        amount: Set(dispute.amount),
        reason: Set(dispute.reason.clone()),
        status: Set(dispute.status),
        evidence_due_at: Set(dispute.evidence_due_at),
        funds_withdrawn: Set(dispute.funds_withdrawn),
        ..Default::default()
    };
    disputes::Entity::insert(row)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

async fn update(transaction: &Transaction, dispute: &disputes::Model) -> Result<(), Error> {
    use disputes::Column;

    disputes::Entity::update_of(dispute.business_id)
        .filter(Column::Id.eq(dispute.id))
        .col_expr(Column::Amount, Expr::value(dispute.amount))
        .col_expr(Column::Reason, Expr::value(dispute.reason.clone()))
        .col_expr(Column::Status, Expr::value(dispute.status))
        .col_expr(Column::EvidenceDueAt, Expr::value(dispute.evidence_due_at))
        .col_expr(Column::FundsWithdrawn, Expr::value(dispute.funds_withdrawn))
        .col_expr(Column::UpdatedAt, Expr::current_timestamp())
        .exec(transaction)
        .await?;
    Ok(())
}

/// The dispute in the format of audit entries.
fn audit_snapshot(locked: &LockedOrder, dispute: &disputes::Model) -> Value {
    json!({
        "order_id": dispute.order_id,
        "provider_id": dispute.provider_id,
        "amount": dispute.amount.to_text(locked.currency),
        "reason": dispute.reason,
        "status": dispute.status,
        "evidence_due_at": dispute.evidence_due_at,
        "funds_withdrawn": dispute.funds_withdrawn,
    })
}
