//! One batch of purchases: one transaction, or several when something outside it gets in the way.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, Utc};
use entity::{BusinessId, OrderId, Tenant, UserId, orders};
use sea_orm::{QueryFilter, QuerySelect};

use super::Command;
use super::decision::{Books, Sale};
use super::lanes::InFlight;
use super::lock::{Locked, begin, is_any, lock};
use super::write::{self, Sold};
use crate::database::Session;
use crate::idempotency::{self, Answer, Answered, Claim};
use crate::purchase::Receipt;
use crate::retry::{ATTEMPTS, is_worth_another_try, pause};
use crate::{Error, Transaction};

type Answers = Vec<Result<Answered, Error>>;

/// Sells a batch; one answer a job, in the same order.
///
/// A failure that is nobody's fault is retried. When it persists, everyone hears of it; when it is of another kind, the
/// jobs are taken one by one, so that one that the database will not have harms no other.
pub(super) async fn sell(
    session: &mut Session,
    business: BusinessId,
    jobs: Vec<Command>,
    in_flight: InFlight,
) -> Answers {
    let mut in_flight = Some(in_flight);
    let error = match sell_together(session, business, &jobs, &mut in_flight).await {
        Ok(answers) => return answers,
        Err(error) => error,
    };
    let shared = matches!(
        error,
        Error::Overloaded | Error::DatabaseUnavailable(_) | Error::OutcomeUnknown
    );
    if shared || jobs.len() == 1 {
        return jobs.iter().map(|_| Err(error.clone())).collect();
    }
    tracing::warn!(%error, purchases = jobs.len(), "a batch failed and is sold one by one");
    let mut answers = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let alone =
            sell_together(session, business, std::slice::from_ref(job), &mut in_flight).await;
        answers.extend(alone.unwrap_or_else(|error| vec![Err(error)]));
    }
    answers
}

async fn sell_together(
    session: &mut Session,
    business: BusinessId,
    jobs: &[Command],
    in_flight: &mut Option<InFlight>,
) -> Result<Answers, Error> {
    let mut tried = 1;
    let mut unheard: Option<Unheard> = None;
    loop {
        let error = match attempt(session, business, jobs, in_flight, &mut unheard).await {
            Ok(answers) => return Ok(answers),
            Err(error) => error,
        };
        match &unheard {
            // Until an attempt can ask what became of the commit, no other answer would be true, whatever the failure.
            Some(commit) if commit.at.elapsed() > PATIENCE => return Err(Error::OutcomeUnknown),
            Some(_) => {}
            None if !is_worth_another_try(&error) => return Err(error),
            None if tried >= ATTEMPTS => {
                return Err(match error {
                    Error::Contention => Error::Overloaded,
                    other => other,
                });
            }
            None => {}
        }
        metrics::counter!("tradeline_transaction_retries_total").increment(1);
        pause(tried).await;
        tried += 1;
    }
}

/// How long a batch tries to find out what became of its commit.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an attempt decided whose commit was not answered, and the orders that are there if it was made.
struct Unheard {
    at: Instant,
    order_ids: Vec<OrderId>,
    answers: Answers,
}

/// One transaction: lock, decide, write, commit.
async fn attempt(
    session: &mut Session,
    business: BusinessId,
    jobs: &[Command],
    in_flight: &mut Option<InFlight>,
    unheard: &mut Option<Unheard>,
) -> Result<Answers, Error> {
    let transaction = begin(session, business).await?;
    let locked = lock(&transaction, business, jobs).await?;
    if let Some(earlier) = unheard.take() {
        // The rows that the earlier attempt had locked are ours now, so it is over: its orders are there, or never
        // will be.
        match was_committed(&transaction, business, &earlier.order_ids).await {
            Ok(true) => return Ok(earlier.answers),
            Ok(false) => {}
            Err(error) => {
                *unheard = Some(earlier);
                return Err(error);
            }
        }
    }
    let known = known_answers(&transaction, business, jobs).await?;
    let decided = decide(locked, known, jobs);
    if decided.sold.is_empty() {
        transaction.rollback().await;
        return Ok(decided.answers);
    }
    write::write(&transaction, business, &decided.sold, &decided.books).await?;
    // The next that want these rows may set out: until the commit is made they wait for the locks, behind nobody else.
    drop(in_flight.take());
    match transaction.commit().await {
        Ok(()) => Ok(decided.answers),
        Err(Error::OutcomeUnknown) => {
            *unheard = Some(Unheard {
                at: Instant::now(),
                order_ids: order_ids(&decided.sold),
                answers: decided.answers,
            });
            Err(Error::OutcomeUnknown)
        }
        Err(error) => Err(error),
    }
}

/// The answers that callers of this batch have had before under the keys that they use now.
type Known = HashMap<(UserId, String), ([u8; 32], Answer)>;

async fn known_answers(
    transaction: &Transaction,
    business: BusinessId,
    jobs: &[Command],
) -> Result<Known, Error> {
    let claims = jobs.iter().filter_map(|job| {
        let claim = job.claim.as_ref()?;
        Some((job.caller.user_id, claim.key.clone()))
    });
    idempotency::find(transaction, business, claims).await
}

fn order_ids(sold: &[Sold<'_>]) -> Vec<OrderId> {
    sold.iter().map(|sale| sale.receipt.order_id).collect()
}

async fn was_committed(
    transaction: &Transaction,
    business: BusinessId,
    order_ids: &[OrderId],
) -> Result<bool, Error> {
    let ids = order_ids.iter().map(|id| id.0).collect();
    let found = orders::Entity::of(business)
        .select_only()
        .column(orders::Column::Id)
        .filter(is_any(orders::Column::Id, ids))
        .limit(1)
        .into_tuple::<OrderId>()
        .one(transaction)
        .await?;
    Ok(found.is_some())
}

/// A batch after its decisions: what to write, what to answer, and the books as they are now.
struct Decided<'a> {
    sold: Vec<Sold<'a>>,
    answers: Answers,
    books: Books,
}

fn decide(locked: Locked, mut known: Known, jobs: &[Command]) -> Decided<'_> {
    let Locked {
        mut books,
        terms,
        now,
    } = locked;
    let mut sold = Vec::with_capacity(jobs.len());
    let mut answers = Vec::with_capacity(jobs.len());
    for command in jobs {
        let name = |claim: &Claim| (command.caller.user_id, claim.key.clone());
        if let Some(claim) = &command.claim
            && let Some((request_hash, answer)) = known.get(&name(claim))
        {
            answers.push(idempotency::replay(claim, request_hash, answer));
            continue;
        }
        let sale = match books.decide(&command.purchase) {
            Ok(sale) => sale,
            Err(refusal) => {
                answers.push(Err(refusal));
                continue;
            }
        };
        let days = terms
            .get(&command.purchase.customer_id)
            .copied()
            .unwrap_or(0);
        let receipt = receipt(command, sale, now, days);
        let answer = (command.render)(&receipt);
        if let Some(claim) = &command.claim {
            // A twin in the same batch gets this answer.
            known.insert(name(claim), (claim.request_hash, answer.clone()));
        }
        answers.push(Ok(Answered {
            answer: answer.clone(),
            replayed: false,
        }));
        sold.push(Sold {
            command,
            receipt,
            answer,
        });
    }
    Decided {
        sold,
        answers,
        books,
    }
}

/// The receipt of a sale. Its order's id is made here, while the rows are locked, so that orders and corrections of one
/// product, and orders of one customer, have ids in the order in which they happened.
fn receipt(command: &Command, sale: Sale, now: DateTime<Utc>, terms_days: i32) -> Receipt {
    let terms = Days::new(u64::try_from(terms_days).unwrap_or(0));
    Receipt {
        order_id: OrderId::new(),
        customer_id: command.purchase.customer_id,
        currency: command.caller.currency,
        lines: sale.lines,
        total: sale.total,
        charge: sale.charge,
        credit_used: sale.credit_used,
        available_credit: sale.available_credit,
        created_at: now,
        due_at: now.checked_add_days(terms).unwrap_or(now),
    }
}
