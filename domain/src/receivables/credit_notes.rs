//! Credit notes: what a customer need not pay of an order, by amount or by items.
//!
//! Restocked items are credited at their price, limited to what is left of the order. That may be 0: goods can come
//! back after the whole order was credited. Such a note posts an entry of 0.

use std::collections::HashMap;

use entity::ledger_entries::Kind;
use entity::{
    BusinessId, CreditNoteId, Money, OrderId, ProductId, Quantity, Tenant, credit_note_items,
    credit_notes, orders as order_rows,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder,
};
use serde_json::json;

use crate::audit::{self, Action, Change};
use crate::foundation::retry::retry;
use crate::orders::goods::{self, Goods, Units};
use crate::orders::{self, About, credited};
use crate::receivables::accounts::{LockedAccount, Posted};
use crate::receivables::reversals::{self, CreditState, Reversal, ReversibleCredit};
use crate::stock::inventory::returns;
use crate::{Caller, Database, Error, Outcome, Page, Paging, Transaction, WriteRequest};

/// Input of a new credit note.
#[derive(Debug, Clone)]
pub struct NewCreditNote {
    /// The order that is credited.
    pub order_id: OrderId,
    /// The amount, or the items.
    pub credited: What,
    /// Why, as the caller wrote it.
    pub reason: String,
}

/// The scope of a credit note.
#[derive(Debug, Clone)]
pub enum What {
    /// An amount. More than 0.
    Amount(Money),
    /// Items, at the price of their sale. Quantities of one product are added up.
    Items {
        /// Products with their quantities.
        items: Vec<(ProductId, Quantity)>,
        /// Whether the items are restocked. Then the note is limited to what is left of the order.
        restock: bool,
    },
}

/// A credit note with what it settles now.
#[derive(Debug, Clone)]
pub struct CreditNote {
    /// The credit note.
    pub note: credit_notes::Model,
    /// Products with the units credited. Empty when the note is by amount.
    pub items: Vec<(ProductId, i64)>,
    /// The part that settles each order: first its own, then others that the rest was allocated to.
    pub allocations: Vec<(OrderId, Money)>,
    /// The part that was paid out to the customer.
    pub paid_out: Money,
    /// `Some` once the note is reversed.
    pub reversal: Option<Reversal>,
}

impl CreditNote {
    /// The part that settles orders.
    #[must_use]
    pub fn allocated(&self) -> Money {
        self.allocations.iter().map(|(_, amount)| *amount).sum()
    }

    /// The part that is on account. 0 once the note is reversed.
    #[must_use]
    pub fn unallocated(&self) -> Money {
        match self.reversal {
            Some(_) => Money::ZERO,
            None => self.note.amount - self.allocated() - self.paid_out,
        }
    }
}

/// Credits part of an order. The note settles the order up to its amount due; the rest becomes credit on account.
///
/// # Errors
/// [`Error::OrderNotFound`], also for an order that is not on credit; [`Error::MoreThanSold`]; those of
/// [`WriteRequest`]. Without restocked items also [`Error::MoreThanCharged`], [`Error::NothingToCredit`], and
/// [`Error::OrderCancelled`] for a cancelled order.
pub async fn create(
    database: &Database,
    request: &WriteRequest<'_, Posted<CreditNote>>,
    new: &NewCreditNote,
) -> Result<Outcome<Posted<CreditNote>>, Error> {
    let caller = request.caller;
    let (asked, restock) = match &new.credited {
        What::Amount(_) => (Units::new(), false),
        What::Items { items, restock } => {
            let items = items.iter().map(|(id, quantity)| (*id, quantity.get()));
            (goods::add_up(items), *restock)
        }
    };
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let customer = orders::owner(transaction, caller, new.order_id).await?;
            let mut locked = LockedAccount::of(transaction, caller, customer).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            // Includes items that are not restocked: the note's items refer to their stock rows.
            let mut locked_stock = returns::lock_stock(
                transaction,
                caller,
                asked.iter().map(|(id, count)| (*id, *count)),
            )
            .await?;
            let order = locked.lock_order(transaction, new.order_id).await?;
            let amount = worth(transaction, &order, new, &asked).await?;
            let entry_number = locked
                .state
                .credit(Kind::CreditNote, new.order_id, amount)?;
            locked.write(transaction).await?;
            let note = credit_notes::Model {
                business_id: caller.business_id,
                id: CreditNoteId::new(),
                customer_id: customer,
                entry_number,
                order_id: new.order_id,
                amount,
                reason: new.reason.clone(),
                restock,
                created_by: caller.user_id,
                created_at: locked.state.now,
            };
            let note = CreditNote {
                note,
                items: asked
                    .iter()
                    .map(|(id, quantity)| (*id, *quantity))
                    .collect(),
                allocations: crate::receivables::allocations::by_order(&locked.state.shares),
                paid_out: Money::ZERO,
                reversal: None,
            };
            insert(transaction, &note).await?;
            if restock {
                returns::restock(
                    transaction,
                    caller,
                    new.order_id,
                    &mut locked_stock,
                    &note.items,
                )
                .await?;
            }
            audit::record(transaction, caller, created(&locked, &note, caller)).await?;
            write.finish(locked.posted(note)).await
        })
        .await
}

/// The amount of the note, or why it is rejected.
async fn worth(
    transaction: &Transaction,
    order: &order_rows::Model,
    new: &NewCreditNote,
    asked: &Units,
) -> Result<Money, Error> {
    let credited = credited::of(transaction, order.business_id, order.id).await?;
    let (restock, amount) = match &new.credited {
        What::Amount(amount) => (false, *amount),
        What::Items { restock, .. } => {
            let goods = Goods::of(transaction, order.business_id, order.id).await?;
            (*restock, goods.price(asked, *restock)?)
        }
    };
    if restock {
        return Ok(amount.min(credited::left(order, &credited)));
    }
    credited::check(order, &credited, amount)?;
    if amount == Money::ZERO {
        return Err(Error::NothingToCredit);
    }
    Ok(amount)
}

async fn insert(transaction: &Transaction, note: &CreditNote) -> Result<(), Error> {
    credit_notes::Entity::insert(note.note.clone().into_active_model().reset_all())
        .exec_without_returning(transaction)
        .await?;
    if note.items.is_empty() {
        return Ok(());
    }
    let items = note
        .items
        .iter()
        .map(|(product, quantity)| credit_note_items::ActiveModel {
            business_id: Set(note.note.business_id),
            credit_note_id: Set(note.note.id),
            product_id: Set(*product),
            quantity: Set(*quantity),
        });
    credit_note_items::Entity::insert_many(items)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

fn created(locked: &LockedAccount, note: &CreditNote, caller: &Caller) -> Change {
    let mut after = locked.audit_snapshot();
    after["order_id"] = json!(note.note.order_id);
    after["amount"] = note.note.amount.to_text(caller.currency).into();
    after["reason"] = json!(note.note.reason);
    after["restock"] = json!(note.note.restock);
    let items = note
        .items
        .iter()
        .map(|(id, quantity)| json!({"product_id": id, "quantity": quantity}));
    after["items"] = items.collect::<Vec<_>>().into();
    Change {
        action: Action::CreditNoteCreated,
        entity_type: "credit_note",
        entity_id: note.note.id.0,
        before: Some(locked.audit_snapshot_before()),
        after,
    }
}

/// Reads a credit note.
///
/// # Errors
/// [`Error::CreditNoteNotFound`].
pub async fn read(
    database: &Database,
    caller: &Caller,
    id: CreditNoteId,
) -> Result<CreditNote, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let note = find(&transaction, caller, id).await?;
        transaction.commit().await?;
        Ok(note)
    })
    .await
}

/// Lists credit notes, the newest first. Five round trips.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    filter: &About,
    paging: &Paging<CreditNoteId>,
) -> Result<Page<CreditNote, CreditNoteId>, Error> {
    use credit_notes::Column;

    let business = caller.business_id;
    let columns = (Column::OrderId, Column::CreatedAt);
    let rows = filter
        .rows::<credit_notes::Entity>(database, caller, columns)
        .await?;
    let rows = paging.descending(rows, Column::Id);
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let rows = rows.clone().all(&transaction).await?;
        let page = Page::of(rows, paging, |note| note.id);
        let mut items = items_of(&transaction, business, &page.rows).await?;
        let entry = |note: &credit_notes::Model| (note.customer_id, note.entry_number);
        let entries: Vec<_> = page.rows.iter().map(entry).collect();
        let mut states = reversals::states(&transaction, business, &entries).await?;
        transaction.commit().await?;
        let notes = page.rows.into_iter().map(|note| {
            let state = states.remove(&entry(&note)).unwrap_or_default();
            CreditNote {
                items: items.remove(&note.id).unwrap_or_default(),
                note,
                allocations: state.allocations,
                paid_out: state.paid_out,
                reversal: state.reversal,
            }
        });
        Ok(Page {
            rows: notes.collect(),
            next: page.next,
        })
    })
    .await
}

/// The items of these notes, by product.
async fn items_of(
    transaction: &Transaction,
    business: BusinessId,
    notes: &[credit_notes::Model],
) -> Result<HashMap<CreditNoteId, Vec<(ProductId, i64)>>, Error> {
    let ids: Vec<CreditNoteId> = notes.iter().map(|note| note.id).collect();
    let rows = credit_note_items::Entity::of(business)
        .filter(credit_note_items::Column::CreditNoteId.eq_any(ids))
        .order_by_asc(credit_note_items::Column::ProductId)
        .all(transaction)
        .await?;
    let mut items: HashMap<CreditNoteId, Vec<(ProductId, i64)>> = HashMap::new();
    for row in rows {
        let of_note = items.entry(row.credit_note_id).or_default();
        of_note.push((row.product_id, row.quantity));
    }
    Ok(items)
}

async fn find(
    transaction: &Transaction,
    caller: &Caller,
    id: CreditNoteId,
) -> Result<CreditNote, Error> {
    let note = credit_notes::Entity::by_id(caller.business_id, id)
        .one(transaction)
        .await?
        .ok_or(Error::CreditNoteNotFound(id))?;
    let items = credit_note_items::Entity::of(caller.business_id)
        .filter(credit_note_items::Column::CreditNoteId.eq(id))
        .order_by_asc(credit_note_items::Column::ProductId)
        .all(transaction)
        .await?;
    let entry = (note.customer_id, note.entry_number);
    let CreditState {
        allocations,
        paid_out,
        reversal,
    } = reversals::state(transaction, caller.business_id, entry).await?;
    Ok(CreditNote {
        note,
        items: items
            .into_iter()
            .map(|item| (item.product_id, item.quantity))
            .collect(),
        allocations,
        paid_out,
        reversal,
    })
}

/// Reverses a credit note: what it settled is due again, and restocked items are taken out of stock again.
///
/// # Errors
/// [`Error::CreditNoteNotFound`]; [`Error::InsufficientStock`]; [`Error::AlreadyReversed`]; [`Error::CreditPaidOut`];
/// [`Error::OrderCancelled`] for a note of a cancelled order whose amount is not 0; those of [`WriteRequest`].
pub async fn reverse(
    database: &Database,
    request: &WriteRequest<'_, Posted<CreditNote>>,
    id: CreditNoteId,
    reason: &str,
) -> Result<Outcome<Posted<CreditNote>>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let mut note = find(transaction, caller, id).await?;
            let mut locked = LockedAccount::of(transaction, caller, note.note.customer_id).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let goods = note.items.iter().filter(|_| note.note.restock);
            let goods: Vec<(ProductId, i64)> = goods.map(|(id, count)| (*id, -count)).collect();
            let mut locked_stock =
                returns::lock_stock(transaction, caller, goods.iter().copied()).await?;
            let credit = ReversibleCredit {
                entry_number: note.note.entry_number,
                kind: Kind::CreditNote,
                amount: note.note.amount,
                about: Some(note.note.order_id),
            };
            let reversal =
                reversals::undo(transaction, caller, &mut locked, credit, reason).await?;
            returns::restock(
                transaction,
                caller,
                note.note.order_id,
                &mut locked_stock,
                &goods,
            )
            .await?;
            let event = reversals::reversed(
                &locked,
                Action::CreditNoteReversed,
                "credit_note",
                id.0,
                reason,
            );
            audit::record(transaction, caller, event).await?;
            note.allocations = Vec::new();
            note.paid_out = Money::ZERO;
            note.reversal = Some(reversal);
            write.finish(locked.posted(note)).await
        })
        .await
}
