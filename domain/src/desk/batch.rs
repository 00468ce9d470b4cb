//! One batch of commands: one transaction, or several when an attempt fails for a reason outside the batch.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use entity::reservations::Status;
use entity::{BusinessId, OrderId, ReservationId};

use super::command::{Command, Confirmation, Work};
use super::decision::{BatchState, Ordered, Sale};
use super::lock::{LockedBatch, begin, lock};
use super::outcome::{Done, Executed, stored_order};
use super::pipeline::{self, Predictions};
use super::queue::SharedRow;
use super::queues::InFlight;
use super::write::{self, Stock};
use crate::audit::{self, Written};
use crate::card::checkout::PlacedOrder;
use crate::desk::purchase::Receipt;
use crate::foundation::database::Session;
use crate::foundation::dates;
use crate::foundation::idempotency::{
    self, IdempotencyKey, Outcome, Record, Records, StoredResponse,
};
use crate::foundation::retry::{ATTEMPTS, is_retryable, pause};
use crate::stock::reservations::{CurrentReservation, Reservation};
use crate::{Error, Transaction};

/// One answer per command, in the order of the commands.
type Answers = Vec<Result<Outcome<Executed>, Error>>;

/// Executes a batch. Returns one answer per command, in the same order.
///
/// A transient failure is retried. When the database is unavailable, every command gets that error. After any other
/// failure the commands are executed one by one. A command that the database rejects, or whose row stays locked, then
/// affects no other.
pub(super) async fn execute(
    session: &mut Session,
    business: BusinessId,
    commands: Vec<Command>,
    mut in_flight: InFlight,
) -> Answers {
    let flight = Some(&mut in_flight);
    match execute_together(session, business, &commands, flight, ATTEMPTS).await {
        Ok(answers) => answers,
        Err(error) if fails_whole_batch(&error) || commands.len() == 1 => commands
            .iter()
            .map(|_| Err(reported(error.clone())))
            .collect(),
        Err(error) => {
            tracing::warn!(%error, purchases = commands.len(), "a batch failed; its commands are executed one by one");
            execute_one_by_one(session, business, &commands, &mut in_flight, &error).await
        }
    }
}

/// Errors that each command alone would meet too.
fn fails_whole_batch(error: &Error) -> bool {
    matches!(
        error,
        Error::Overloaded | Error::DatabaseUnavailable(_) | Error::OutcomeUnknown
    )
}

/// The error that the caller gets. [`Error::Contention`] is internal.
fn reported(error: Error) -> Error {
    match error {
        Error::Contention => Error::Overloaded,
        other => other,
    }
}

/// Executes the commands one by one. After [`Error::Contention`] each command has a single attempt. A command that
/// shares a row with one that did not get its locks is refused without an attempt. A row that stays locked thus costs
/// its lock timeout once, not once per command.
async fn execute_one_by_one(
    session: &mut Session,
    business: BusinessId,
    commands: &[Command],
    in_flight: &mut InFlight,
    why: &Error,
) -> Answers {
    let attempts = match why {
        Error::Contention => 1,
        _ => ATTEMPTS,
    };
    let mut kept_locked: HashSet<SharedRow> = HashSet::new();
    let mut answers = Vec::with_capacity(commands.len());
    for (at, command) in commands.iter().enumerate() {
        let rows = command.rows();
        if rows.iter().any(|row| kept_locked.contains(row)) {
            answers.push(Err(Error::Overloaded));
            continue;
        }
        // The rows are released with the last command. An earlier release would let a later arrival in between.
        let flight = (at + 1 == commands.len()).then_some(&mut *in_flight);
        let alone = std::slice::from_ref(command);
        match execute_together(session, business, alone, flight, attempts).await {
            Ok(sold) => answers.extend(sold),
            Err(error) => {
                if matches!(error, Error::Contention) {
                    kept_locked.extend(rows);
                }
                answers.push(Err(reported(error)));
            }
        }
    }
    answers
}

/// Executes commands in one transaction. Follows earlier batches if they have predicted stock and these commands
/// allow it. Otherwise, and from the second attempt on, it relies on its locks alone.
///
/// # Errors
/// [`Error::Contention`] when it did not get its locks in `attempts` attempts.
async fn execute_together(
    session: &mut Session,
    business: BusinessId,
    commands: &[Command],
    mut in_flight: Option<&mut InFlight>,
    attempts: u32,
) -> Result<Answers, Error> {
    let mut tried = 1;
    let mut unconfirmed: Option<UnconfirmedCommit> = None;
    let mut predicted = match &mut in_flight {
        Some(in_flight) => in_flight.take_predictions(),
        None => Predictions::new(),
    };
    if !predicted.is_empty() && !only_purchases(commands) {
        pipeline::ended(&predicted).await;
        predicted.clear();
    }
    loop {
        let flight = in_flight.as_deref_mut();
        let error = match attempt(
            session,
            (business, commands),
            flight,
            &mut unconfirmed,
            &predicted,
        )
        .await
        {
            Ok(answers) => {
                if !predicted.is_empty() {
                    metrics::counter!("tradeline_desk_pipelined_validated_total").increment(1);
                }
                return Ok(answers);
            }
            Err(error) => error,
        };
        if let Some(in_flight) = &mut in_flight {
            in_flight.withdraw();
        }
        if !predicted.is_empty() {
            // The attempt with locks first would hide a statement that always fails.
            if !is_retryable(&error) {
                tracing::error!(%error, "a pipelined batch failed; it runs again with locks first");
            }
            // A lost answer to a commit implies that the earlier batches have ended: their locks were granted.
            if unconfirmed.is_none() {
                pipeline::ended(&predicted).await;
            }
            predicted.clear();
            continue;
        }
        match &unconfirmed {
            // Until an attempt can look up the result of the commit, any other answer could be false, whatever the
            // failure.
            Some(commit) if commit.at.elapsed() > CONFIRMATION_TIMEOUT => {
                return Err(Error::OutcomeUnknown);
            }
            Some(_) => {}
            None if !is_retryable(&error) => return Err(error),
            None if tried >= attempts => return Err(error),
            None => {}
        }
        metrics::counter!("tradeline_transaction_retries_total").increment(1);
        pause(tried).await;
        tried += 1;
    }
}

/// The longest time for which a batch tries to find out the result of its commit.
const CONFIRMATION_TIMEOUT: Duration = Duration::from_secs(10);

/// The decisions of an attempt whose commit was not confirmed, and an audit entry that it wrote.
struct UnconfirmedCommit {
    at: Instant,
    written: Written,
    answers: Answers,
}

/// One transaction: lock, decide, write, commit. A pipelined batch locks its customers, decides, writes, locks its
/// stock, commits.
///
/// # Errors
/// [`Error::Contention`] when the stock differs from the predicted stock.
#[expect(clippy::too_many_lines, reason = "one transaction, step by step")]
async fn attempt(
    session: &mut Session,
    (business, commands): (BusinessId, &[Command]),
    mut in_flight: Option<&mut InFlight>,
    unconfirmed: &mut Option<UnconfirmedCommit>,
    predicted: &Predictions,
) -> Result<Answers, Error> {
    let transaction = begin(session, business).await?;
    let mut locked = lock(&transaction, business, commands, predicted).await?;
    if let Some(answers) = responses_of_unconfirmed(&transaction, business, unconfirmed).await? {
        return Ok(answers);
    }
    let is_pipelined = !predicted.is_empty();
    let assumed = std::mem::take(&mut locked.assumed);
    let is_plain = only_purchases(commands) && locked.has_no_holds;
    if is_pipelined && !is_plain {
        transaction.rollback().await;
        return Err(Error::Contention);
    }
    let records = records(&transaction, business, commands).await?;
    let decided = decide(locked, records, commands);
    let locked_stock = &decided.state.locked_stock;
    // The waitlist is allocated even when every command is refused. In a rush no other transaction may come to do it.
    let is_idle = decided.done.is_empty() && !locked_stock.is_changed();
    if is_plain
        && !is_idle
        && let Some(in_flight) = &mut in_flight
    {
        in_flight.predict(pipeline::left(&assumed, locked_stock), !is_pipelined);
    }
    let stock = if is_pipelined {
        Stock::Later
    } else {
        Stock::Now
    };
    let mut written = None;
    if !is_idle {
        let batch =
            write::write(&transaction, business, &decided.done, &decided.state, stock).await?;
        written = batch.entry;
        if let Some(in_flight) = &in_flight {
            in_flight.wrote(batch.versions);
        }
    }
    // Refusals depend on the predicted stock too, so it is validated for them as well.
    if is_pipelined {
        let taken =
            pipeline::take(&transaction, business, predicted, &assumed, locked_stock).await?;
        let Some(versions) = taken else {
            transaction.rollback().await;
            if let Some(in_flight) = in_flight {
                in_flight.back_off();
            }
            return Err(Error::Contention);
        };
        if let Some(in_flight) = &in_flight {
            in_flight.wrote(versions);
        }
    }
    if is_idle {
        transaction.rollback().await;
        return Ok(decided.into_answers());
    }
    // The next batches that need these rows may start. Until the commit they wait for the row locks, behind no other
    // batch.
    if let Some(in_flight) = in_flight {
        in_flight.release();
    }
    match transaction.commit().await {
        // A batch of refusals changes only expired holds and waitlists, and the next batch repeats that. A failed
        // commit of it is not an error.
        Err(error) if !decided.done.is_empty() => {
            if let (Error::OutcomeUnknown, Some(written)) = (&error, written) {
                *unconfirmed = Some(UnconfirmedCommit {
                    at: Instant::now(),
                    written,
                    answers: decided.into_answers(),
                });
            }
            Err(error)
        }
        _ => Ok(decided.into_answers()),
    }
}

/// The answers of the earlier attempt, if it was committed. This attempt holds the rows that the earlier one had
/// locked, so the earlier one has ended. A server that has taken over after a failover either has the earlier commit,
/// or has lost it for good.
async fn responses_of_unconfirmed(
    transaction: &Transaction,
    business: BusinessId,
    unconfirmed: &mut Option<UnconfirmedCommit>,
) -> Result<Option<Answers>, Error> {
    let Some(earlier) = unconfirmed.take() else {
        return Ok(None);
    };
    match audit::is_written(transaction, business, earlier.written).await {
        Ok(committed) => Ok(committed.then_some(earlier.answers)),
        Err(error) => {
            *unconfirmed = Some(earlier);
            Err(error)
        }
    }
}

/// True if no command depends on reservations, which are read under the locks of the stock.
fn only_purchases(commands: &[Command]) -> bool {
    let buys = |command: &Command| matches!(command.work, Work::Purchase(..));
    commands.iter().all(buys)
}

/// The stored responses of the batch's idempotency keys.
async fn records(
    transaction: &Transaction,
    business: BusinessId,
    commands: &[Command],
) -> Result<Records, Error> {
    let keys = commands.iter().filter_map(|command| {
        let key = command.key.as_ref()?;
        Some((command.caller.user_id, key.key.clone()))
    });
    idempotency::find(transaction, business, keys).await
}

/// A batch after its decisions.
struct Decided<'a> {
    /// The commands that change something, in the order of the commands.
    done: Vec<Done<'a>>,
    /// One answer per command. The value of a command that changes something is in `done`.
    answers: Vec<Result<Outcome<()>, Error>>,
    state: BatchState,
}

impl Decided<'_> {
    fn into_answers(self) -> Answers {
        let mut done = self.done.into_iter();
        let answers = self.answers.into_iter().map(|answer| match answer? {
            Outcome::Replayed(response) => Ok(Outcome::Replayed(response)),
            Outcome::Done { response, .. } => {
                let one = done.next().ok_or_else(|| {
                    Error::Bug("a command has an outcome and was not done".into())
                })?;
                Ok(Outcome::Done {
                    value: one.executed,
                    response,
                })
            }
        });
        answers.collect()
    }
}

fn decide(locked: LockedBatch, mut records: Records, commands: &[Command]) -> Decided<'_> {
    let LockedBatch {
        mut state,
        terms,
        time_zone,
        ..
    } = locked;
    let mut done = Vec::with_capacity(commands.len());
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        let name = |key: &IdempotencyKey| (command.caller.user_id, key.key.clone());
        if let Some(key) = &command.key
            && let Some(record) = records.get(&name(key))
        {
            answers.push(record.replay(key).map(Outcome::Replayed));
            continue;
        }
        let terms_days = terms.get(&command.customer()).copied().unwrap_or(0);
        let due_at = dates::due_at(time_zone, state.locked_stock.now, terms_days);
        let (executed, response) = match execute_command(&mut state, command, due_at) {
            Ok(executed) => executed,
            Err(refusal) => {
                answers.push(Err(refusal));
                continue;
            }
        };
        if let Some(key) = &command.key {
            // A second command with the same idempotency key in this batch gets this response.
            let record = Record {
                request_hash: key.request_hash,
                response: response.clone(),
            };
            records.insert(name(key), record);
        }
        answers.push(Ok(Outcome::Done {
            value: (),
            response: response.clone(),
        }));
        done.push(Done {
            command,
            executed,
            response,
        });
    }
    Decided {
        done,
        answers,
        state,
    }
}

/// Decides one command and renders its response. Ids are made here, while the rows are locked. The ids of one
/// product's orders and corrections, and of one customer's orders, are thus in the order of the events.
fn execute_command(
    state: &mut BatchState,
    command: &Command,
    due_at: DateTime<Utc>,
) -> Result<(Executed, StoredResponse), Error> {
    // An order is dated by its decision. A sale that opened while the command waited for its rows applies.
    let now = state.locked_stock.now;
    let actor = command.caller.user_id;
    let currency = command.caller.currency;
    let order_id = OrderId::of_business(command.caller.business_id);
    let sold = |sale: Sale| Receipt {
        order_id,
        customer_id: command.customer(),
        currency,
        lines: sale.lines,
        details: command.details().cloned(),
        total: sale.total,
        charge: sale.charge,
        credit_used: sale.credit_used,
        available_credit: sale.available_credit,
        created_at: now,
        due_at,
    };
    let placed = |ordered: Ordered| PlacedOrder {
        order_id,
        customer_id: command.customer(),
        reservation_id: ordered.reservation_id,
        currency,
        lines: ordered.lines,
        total: ordered.total,
        created_at: ordered.created_at,
        expires_at: ordered.expires_at,
    };
    Ok(match &command.work {
        Work::Purchase(purchase, render) => {
            let receipt = sold(state.purchase(purchase, order_id, actor)?);
            let response = render(&receipt);
            (Executed::Sold(receipt), response)
        }
        Work::Confirm(Confirmation { reservation, .. }, render) => {
            let receipt = sold(state.confirm(reservation.id, order_id, actor)?);
            let response = render(&receipt);
            (Executed::Sold(receipt), response)
        }
        Work::Checkout(purchase, terms) => {
            let ids = (order_id, ReservationId::new());
            let placed = placed(state.checkout(purchase, terms, ids, actor)?);
            (Executed::PlacedOrder(placed), stored_order(order_id))
        }
        Work::ConfirmByCard(Confirmation { reservation, .. }, terms) => {
            let placed = placed(state.confirm_by_card(reservation.id, terms, order_id)?);
            (Executed::PlacedOrder(placed), stored_order(order_id))
        }
        Work::Reserve(request, render) => {
            let made = state.reserve(request, ReservationId::new(), actor)?.clone();
            let current = current_reservation(state, made);
            let response = render(&current, currency);
            (Executed::Reserved(current), response)
        }
        Work::Cancel(target, render) => {
            let before = state.locked_stock.reservations.get(&target.id);
            let before = before.map_or(Status::Active, |one| one.status);
            let cancelled = state.cancel(target.id, actor)?.clone();
            let current = current_reservation(state, cancelled);
            let response = render(&current, currency);
            (Executed::Cancelled { current, before }, response)
        }
    })
}

/// A reservation right after it was made or cancelled. If it waits, its position is the last of the waitlist.
fn current_reservation(state: &BatchState, reservation: Reservation) -> CurrentReservation {
    let waits = reservation.items.iter().find(|item| item.place.is_some());
    let counts = waits.and_then(|item| state.locked_stock.counts.get(&item.product_id));
    CurrentReservation {
        status: reservation.status,
        place: counts.map(|counts| counts.waiting),
        reservation,
    }
}
