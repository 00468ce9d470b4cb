//! This test compares random histories of purchases, payments, credits, payouts and reversals with a model of plain
//! lists.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Days, Utc};
use domain::verify::Difference;
use entity::{CustomerId, ProductId};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tests::{Client, Reply, Service};

/// The expected state of receivables. Amounts are in cents, and objects are referred to by their index in a list.
struct Model {
    product: ProductId,
    on_hand: i64,
    customers: Vec<Customer>,
}

#[derive(Clone)]
struct Customer {
    id: CustomerId,
    limit: i64,
    terms: i64,
    orders: Vec<Order>,
    /// In order of their entries: payments, credit notes, write-offs and cancellations.
    credits: Vec<Credit>,
    payouts: Vec<Payout>,
}

#[derive(Clone)]
struct Order {
    id: String,
    units: i64,
    /// Units that are back in stock.
    returned: i64,
    due_day: i64,
    cancelled: bool,
}

#[derive(Clone)]
struct Credit {
    kind: Kind,
    amount: i64,
    /// The index of the order that the credit is about.
    about: usize,
    /// Units that the credit note is for, and whether they are back in stock.
    units: i64,
    restocked: bool,
    /// Index of each order that the credit settles, with the amount.
    settles: Vec<(usize, i64)>,
    /// Index of each payout that the credit covers, with the amount.
    covers: Vec<(usize, i64)>,
    /// The age in days of the credit's part on account.
    days: u64,
    reversed: bool,
    location: String,
}

#[derive(Clone)]
struct Payout {
    amount: i64,
    reversed: bool,
    location: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Payment,
    Note,
    WriteOff,
    Cancellation,
}

/// An action for one of the customers.
#[derive(Debug, Clone)]
enum Action {
    /// A number of units, and the age of the order in days.
    Buy(i64, i64),
    /// The amount, the age in days, whether the rest stays on account, one named order, and orders with their shares.
    Pay(i64, u64, bool, Option<usize>, Vec<(usize, i64)>),
    Allocate(Vec<(usize, i64)>),
    /// The amount and the age in days.
    PayOut(i64, u64),
    ReversePayout(usize),
    Reverse(usize),
    CreditAmount(usize, i64),
    CreditItems(usize, i64, bool),
    WriteOff(usize, Option<i64>),
    Cancel(usize),
    SetLimit(i64),
    SetTerms(i64),
}

type Outcome = Result<(), (u16, &'static str)>;

const PRICE: i64 = 137;

impl Customer {
    fn total(&self, order: usize) -> i64 {
        self.orders[order].units * PRICE
    }

    fn settled(&self, order: usize, which: impl Fn(Kind) -> bool) -> i64 {
        let credits = self.credits.iter().filter(|credit| which(credit.kind));
        let shares = credits.flat_map(|credit| &credit.settles);
        shares
            .filter(|(id, _)| *id == order)
            .map(|(_, share)| share)
            .sum()
    }

    fn due(&self, order: usize) -> i64 {
        self.total(order) - self.settled(order, |_| true)
    }

    fn all_due(&self) -> i64 {
        (0..self.orders.len()).map(|order| self.due(order)).sum()
    }

    fn left(&self, credit: usize) -> i64 {
        let credit = &self.credits[credit];
        let uses = credit.settles.iter().chain(&credit.covers);
        let used: i64 = uses.map(|(_, share)| share).sum();
        if credit.reversed {
            0
        } else {
            credit.amount - used
        }
    }

    fn on_account(&self) -> i64 {
        (0..self.credits.len())
            .map(|credit| self.left(credit))
            .sum()
    }

    fn balance(&self) -> i64 {
        let charged: i64 = (0..self.orders.len()).map(|order| self.total(order)).sum();
        let credits = self.credits.iter().filter(|credit| !credit.reversed);
        let payouts = self.payouts.iter().filter(|payout| !payout.reversed);
        charged - credits.map(|credit| credit.amount).sum::<i64>()
            + payouts.map(|payout| payout.amount).sum::<i64>()
    }

    fn oldest_due(&self) -> Vec<usize> {
        let mut orders: Vec<usize> = (0..self.orders.len())
            .filter(|order| self.due(*order) > 0)
            .collect();
        orders.sort_by_key(|order| (self.orders[*order].due_day, *order));
        orders
    }

    /// Credits about an order that were not reversed.
    fn own(&self, order: usize) -> Vec<usize> {
        let own = |credit: &Credit| {
            matches!(credit.kind, Kind::Note | Kind::WriteOff)
                && credit.about == order
                && !credit.reversed
        };
        (0..self.credits.len())
            .filter(|place| own(&self.credits[*place]))
            .collect()
    }

    fn creditable(&self, order: usize) -> i64 {
        let own = self.own(order);
        self.total(order)
            - own
                .iter()
                .map(|place| self.credits[*place].amount)
                .sum::<i64>()
    }

    fn credited_units(&self, order: usize, which: impl Fn(&Credit) -> bool) -> i64 {
        let own = self.own(order).into_iter();
        let own = own.map(|place| &self.credits[place]);
        own.filter(|credit| which(credit))
            .map(|credit| credit.units)
            .sum()
    }

    /// Units that no credit note is for.
    fn uncredited_units(&self, order: usize) -> i64 {
        (self.orders[order].units - self.credited_units(order, |_| true)).max(0)
    }

    /// Units that are not back in stock.
    fn outside(&self, order: usize) -> i64 {
        self.orders[order].units - self.orders[order].returned
    }

    /// Units that a cancellation restocks.
    fn returning(&self, order: usize) -> i64 {
        let kept = self.credited_units(order, |credit| !credit.restocked);
        (self.outside(order) - kept).max(0)
    }

    /// Covers an amount of a payout with credit that was on account for at least `days` days, oldest credit first.
    fn cover(&mut self, payout: usize, amount: i64, days: u64) {
        let mut missing = amount;
        for place in 0..self.credits.len() {
            let share = missing.min(self.left(place));
            if share > 0 && self.credits[place].days >= days {
                self.credits[place].covers.push((payout, share));
                missing -= share;
            }
        }
    }

    /// Removes what these credits cover, and returns the amounts by payout and credit.
    fn uncover(&mut self, credits: &[usize]) -> Vec<(usize, usize, i64)> {
        let mut taken = BTreeMap::new();
        for place in credits {
            let credit = &mut self.credits[*place];
            for (payout, share) in credit.covers.drain(..) {
                *taken.entry((payout, *place)).or_insert(0) += share;
                credit.days = 0;
            }
        }
        let taken = taken.into_iter();
        taken
            .map(|((payout, credit), share)| (payout, credit, share))
            .collect()
    }

    fn cover_anew(&mut self, taken: &[(usize, usize, i64)]) -> Outcome {
        if taken.iter().map(|(.., share)| share).sum::<i64>() > self.on_account() {
            return Err((409, "credit_paid_out"));
        }
        for (payout, _, share) in taken {
            self.cover(*payout, *share, 0);
        }
        Ok(())
    }

    fn settle(&mut self, credit: usize, order: usize, up_to: i64) {
        let share = up_to.min(self.left(credit)).min(self.due(order));
        if share > 0 {
            self.credits[credit].settles.push((order, share));
        }
    }

    fn use_credit(&mut self, order: usize, up_to: i64) {
        let wanted = self.due(order) - up_to.min(self.due(order));
        for credit in 0..self.credits.len() {
            let rest = self.due(order) - wanted;
            self.settle(credit, order, rest);
        }
    }

    fn grant(&mut self, kind: Kind, amount: i64, about: usize) -> usize {
        self.credits.push(Credit {
            kind,
            amount,
            about,
            units: 0,
            restocked: false,
            settles: Vec::new(),
            covers: Vec::new(),
            days: 0,
            reversed: false,
            location: String::new(),
        });
        self.credits.len() - 1
    }
}

impl Model {
    fn apply(&mut self, who: usize, action: &Action) -> Outcome {
        let on_hand = &mut self.on_hand;
        let customer = &mut self.customers[who];
        match action {
            Action::Buy(units, days) => {
                if units > on_hand {
                    return Err((409, "insufficient_stock"));
                }
                if customer.balance() + units * PRICE > customer.limit {
                    return Err((409, "credit_limit_exceeded"));
                }
                *on_hand -= units;
                let due_day = customer.terms - days;
                let order = Order {
                    id: String::new(),
                    units: *units,
                    returned: 0,
                    due_day,
                    cancelled: false,
                };
                customer.orders.push(order);
                customer.use_credit(customer.orders.len() - 1, units * PRICE);
            }
            Action::Pay(amount, days, keep, None, shares) if shares.is_empty() => {
                if *amount > customer.all_due() && !keep {
                    return Err((409, "overpayment"));
                }
                let credit = customer.grant(Kind::Payment, *amount, 0);
                customer.credits[credit].days = *days;
                for order in customer.oldest_due() {
                    customer.settle(credit, order, *amount);
                }
            }
            Action::Pay(amount, days, keep, Some(order), _) => {
                if *amount > customer.due(*order) && !keep {
                    return Err((409, "overpayment"));
                }
                let credit = customer.grant(Kind::Payment, *amount, 0);
                customer.credits[credit].days = *days;
                customer.settle(credit, *order, *amount);
            }
            Action::Pay(amount, days, keep, None, shares) => {
                let all: i64 = shares.iter().map(|(_, share)| share).sum();
                let fits = shares
                    .iter()
                    .all(|(order, share)| *share <= customer.due(*order));
                if !fits {
                    return Err((409, "overpayment"));
                }
                if all < *amount && !keep {
                    return Err((409, "allocations_do_not_add_up"));
                }
                let credit = customer.grant(Kind::Payment, *amount, 0);
                customer.credits[credit].days = *days;
                for (order, share) in shares {
                    customer.settle(credit, *order, *share);
                }
            }
            Action::Allocate(shares) if shares.is_empty() => {
                for order in customer.oldest_due() {
                    customer.use_credit(order, i64::MAX);
                }
            }
            Action::Allocate(shares) => {
                if shares
                    .iter()
                    .any(|(order, share)| *share > customer.due(*order))
                {
                    return Err((409, "overpayment"));
                }
                if shares.iter().map(|(_, share)| share).sum::<i64>() > customer.on_account() {
                    return Err((409, "credit_on_account_exceeded"));
                }
                for (order, share) in shares {
                    customer.use_credit(*order, *share);
                }
            }
            Action::PayOut(amount, days) => {
                let there = (0..customer.credits.len())
                    .filter(|place| customer.credits[*place].days >= *days)
                    .map(|place| customer.left(place));
                if *amount > there.sum() {
                    return Err((409, "credit_on_account_exceeded"));
                }
                customer.payouts.push(Payout {
                    amount: *amount,
                    reversed: false,
                    location: String::new(),
                });
                customer.cover(customer.payouts.len() - 1, *amount, *days);
            }
            Action::ReversePayout(place) => {
                if customer.payouts[*place].reversed {
                    return Err((409, "already_reversed"));
                }
                customer.payouts[*place].reversed = true;
                for credit in &mut customer.credits {
                    if credit.covers.iter().any(|(payout, _)| payout == place) {
                        credit.covers.retain(|(payout, _)| payout != place);
                        credit.days = 0;
                    }
                }
            }
            Action::Reverse(place) => {
                let credit = customer.credits[*place].clone();
                let closed =
                    credit.kind != Kind::Payment && customer.orders[credit.about].cancelled;
                if credit.reversed {
                    return Err((409, "already_reversed"));
                }
                if closed && credit.amount > 0 {
                    return Err((409, "order_cancelled"));
                }
                let mut after = customer.clone();
                let taken = after.uncover(&[*place]);
                after.credits[*place].settles.clear();
                after.credits[*place].reversed = true;
                after.cover_anew(&taken)?;
                if credit.restocked {
                    if *on_hand < credit.units {
                        return Err((409, "insufficient_stock"));
                    }
                    *on_hand -= credit.units;
                    after.orders[credit.about].returned -= credit.units;
                }
                *customer = after;
            }
            Action::CreditAmount(order, amount) => {
                if customer.orders[*order].cancelled {
                    return Err((409, "order_cancelled"));
                }
                if *amount > customer.creditable(*order) {
                    return Err((409, "creditable_amount_exceeded"));
                }
                let credit = customer.grant(Kind::Note, *amount, *order);
                customer.settle(credit, *order, *amount);
            }
            Action::CreditItems(order, units, restock) => {
                let cancelled = customer.orders[*order].cancelled;
                let uncredited = customer.uncredited_units(*order);
                let left = match cancelled {
                    true => 0,
                    false => customer.creditable(*order),
                };
                let amount = if *restock {
                    if *units > customer.outside(*order) {
                        return Err((409, "creditable_quantity_exceeded"));
                    }
                    customer.orders[*order].returned += units;
                    (uncredited.min(*units) * PRICE).min(left)
                } else {
                    if *units > uncredited {
                        return Err((409, "creditable_quantity_exceeded"));
                    }
                    if cancelled {
                        return Err((409, "order_cancelled"));
                    }
                    if units * PRICE > left {
                        return Err((409, "creditable_amount_exceeded"));
                    }
                    units * PRICE
                };
                let credit = customer.grant(Kind::Note, amount, *order);
                customer.credits[credit].units = *units;
                customer.credits[credit].restocked = *restock;
                *on_hand += if *restock { *units } else { 0 };
                customer.settle(credit, *order, amount);
            }
            Action::WriteOff(order, amount) => {
                let amount = amount.unwrap_or(customer.due(*order));
                if amount > customer.due(*order) || amount == 0 {
                    return Err((409, "overpayment"));
                }
                if amount > customer.creditable(*order) {
                    return Err((409, "creditable_amount_exceeded"));
                }
                let credit = customer.grant(Kind::WriteOff, amount, *order);
                customer.settle(credit, *order, amount);
            }
            Action::Cancel(order) => {
                if customer.orders[*order].cancelled {
                    return Err((409, "invalid_transition"));
                }
                let mut after = customer.clone();
                let returning = after.returning(*order);
                after.cancel(*order)?;
                after.orders[*order].returned += returning;
                *on_hand += returning;
                *customer = after;
            }
            Action::SetLimit(limit) => customer.limit = *limit,
            Action::SetTerms(days) => customer.terms = *days,
        }
        Ok(())
    }

    fn random_action(&self, who: usize, dice: &mut StdRng) -> Action {
        let customer = &self.customers[who];
        let orders: Vec<usize> = (0..customer.orders.len()).collect();
        let reversible = (0..customer.credits.len())
            .filter(|credit| customer.credits[*credit].kind != Kind::Cancellation)
            .collect::<Vec<_>>();
        let (Some(order), Some(credit)) = (
            orders.choose(dice).copied(),
            reversible.choose(dice).copied(),
        ) else {
            return match dice.random_range(0..3) {
                0 => Action::Pay(dice.random_range(1..9_000), 3, true, None, Vec::new()),
                _ => Action::Buy(dice.random_range(1..40), dice.random_range(0..90)),
            };
        };
        let about = |most: i64, dice: &mut StdRng| match dice.random_range(0..4) {
            0 => most.max(1),
            1 => most + 1,
            _ => dice.random_range(1..most.max(1) + 1),
        };
        let shares = |dice: &mut StdRng| {
            let some = orders.sample(dice, 3).copied().collect::<Vec<_>>();
            let shares = some
                .into_iter()
                .filter(|order| customer.due(*order) > 0 || dice.random_range(0..9) == 0);
            let shares = shares.collect::<Vec<_>>();
            shares
                .into_iter()
                .map(|order| {
                    (
                        order,
                        dice.random_range(1..customer.due(order).max(1) + 1 + PRICE / 20),
                    )
                })
                .collect::<Vec<_>>()
        };
        match dice.random_range(0..112) {
            100..108 => {
                let days = match dice.random_range(0..2) {
                    0 => 0,
                    _ => dice.random_range(1..60),
                };
                Action::PayOut(about(customer.on_account(), dice), days)
            }
            108.. if !customer.payouts.is_empty() => {
                Action::ReversePayout(dice.random_range(0..customer.payouts.len()))
            }
            0..26 => {
                let days = if customer.on_account() > 0 {
                    0
                } else {
                    dice.random_range(0..90)
                };
                Action::Buy(dice.random_range(1..40), days)
            }
            26..40 => {
                let amount = about(customer.all_due(), dice).min(9_000);
                Action::Pay(
                    amount,
                    dice.random_range(0..90),
                    dice.random_range(0..3) > 0,
                    None,
                    Vec::new(),
                )
            }
            40..48 => {
                let amount = about(customer.due(order), dice);
                Action::Pay(
                    amount,
                    dice.random_range(0..90),
                    dice.random_range(0..2) > 0,
                    Some(order),
                    Vec::new(),
                )
            }
            48..56 => {
                let shares = shares(dice);
                let all: i64 = shares.iter().map(|(_, share)| share).sum();
                let more = if dice.random_range(0..3) == 0 {
                    dice.random_range(1..3_000)
                } else {
                    0
                };
                let keep = dice.random_range(0..2) > 0;
                Action::Pay(
                    (all + more).max(1),
                    dice.random_range(0..90),
                    keep,
                    None,
                    shares,
                )
            }
            56..62 => Action::Allocate(Vec::new()),
            62..66 => Action::Allocate(shares(dice)),
            66..76 => Action::Reverse(credit),
            76..82 => Action::CreditAmount(order, about(customer.creditable(order), dice)),
            82..87 => Action::CreditItems(
                order,
                about(customer.outside(order), dice),
                dice.random_range(0..3) > 0,
            ),
            87..91 => {
                let amount = about(customer.due(order), dice);
                Action::WriteOff(order, (dice.random_range(0..2) > 0).then_some(amount))
            }
            91..96 => Action::Cancel(order),
            96..98 => Action::SetLimit(dice.random_range(0..40_000)),
            _ => Action::SetTerms(dice.random_range(0..60)),
        }
    }
}

impl Customer {
    /// Settlements by other credits become free, and the order's own credits return to it. A cancellation credit
    /// settles the rest. Payouts and orders that lose credit by this are covered and settled with free credit.
    fn cancel(&mut self, order: usize) -> Outcome {
        let own = self.own(order);
        for credit in 0..self.credits.len() {
            let settles = |(other, _): &(usize, i64)| *other == order;
            if !own.contains(&credit) && self.credits[credit].settles.iter().any(settles) {
                self.credits[credit].settles.retain(|one| !settles(one));
                self.credits[credit].days = 0;
            }
        }
        let taken = self.uncover(&own);
        let mut bereft = Vec::new();
        for credit in own {
            let settles = &mut self.credits[credit].settles;
            bereft.extend(settles.extract_if(.., |(other, _)| *other != order));
            self.settle(credit, order, i64::MAX);
        }
        let rest = self.due(order);
        let credit = self.grant(Kind::Cancellation, rest, order);
        self.settle(credit, order, rest);
        self.orders[order].cancelled = true;
        self.cover_anew(&taken)?;
        bereft.sort_unstable();
        for (other, share) in bereft {
            self.use_credit(other, share);
        }
        Ok(())
    }
}

/// Executes an action through the API; `customer` is the model's state before it.
async fn perform(
    client: &Client,
    product: ProductId,
    customer: &Customer,
    action: &Action,
) -> Reply {
    let id = customer.id;
    let order = |place: usize| customer.orders[place].id.clone();
    let shares = |shares: &[(usize, i64)]| {
        let shares = shares.iter();
        let shares = shares
            .map(|(place, share)| json!({"order_id": order(*place), "amount": cents(*share)}));
        shares.collect::<Vec<Value>>()
    };
    match action {
        Action::Buy(units, _) => client.buy_for(id, &[(product, *units)]).await,
        Action::Pay(amount, days, keep, target, list) => {
            let mut body = json!({"customer_id": id, "amount": cents(*amount), "method": "cash", "on_account": keep,
                                  "received_at": Utc::now() - Days::new(*days)});
            if let Some(place) = target {
                body["order_id"] = json!(order(*place));
            } else if !list.is_empty() {
                body["allocations"] = json!(shares(list));
            }
            client.post("/api/payments", &body).await
        }
        Action::Allocate(list) => {
            let body = if list.is_empty() {
                json!({})
            } else {
                json!({"allocations": shares(list)})
            };
            client
                .post(&format!("/api/customers/{id}/allocations"), &body)
                .await
        }
        Action::PayOut(amount, days) => {
            let mut body = json!({"amount": cents(*amount), "method": "bank transfer"});
            if *days > 0 {
                body["paid_at"] = json!(Utc::now() - Days::new(*days));
            }
            client
                .post(&format!("/api/customers/{id}/payouts"), &body)
                .await
        }
        Action::ReversePayout(place) => {
            let path = format!("{}/reverse", customer.payouts[*place].location);
            client.post(&path, &json!({"reason": "came back"})).await
        }
        Action::Reverse(place) => {
            let path = format!("{}/reverse", customer.credits[*place].location);
            client.post(&path, &json!({"reason": "a mistake"})).await
        }
        Action::CreditAmount(place, amount) => {
            let body = json!({"amount": cents(*amount), "reason": "late"});
            client
                .post(
                    &format!("/api/orders/{}/credit-notes", order(*place)),
                    &body,
                )
                .await
        }
        Action::CreditItems(place, units, restock) => {
            let items = json!([{"product_id": product, "quantity": units}]);
            let body = json!({"items": items, "restock": restock, "reason": "returned"});
            client
                .post(
                    &format!("/api/orders/{}/credit-notes", order(*place)),
                    &body,
                )
                .await
        }
        Action::WriteOff(place, amount) => {
            let body = json!({"amount": amount.map(cents), "reason": "lost"});
            client
                .post(&format!("/api/orders/{}/write-offs", order(*place)), &body)
                .await
        }
        Action::Cancel(place) => {
            client
                .post(&format!("/api/orders/{}/cancel", order(*place)), &json!({}))
                .await
        }
        Action::SetLimit(limit) => {
            let body = json!({"credit_limit": cents(*limit), "reason": "reviewed"});
            client.patch(&format!("/api/customers/{id}"), &body).await
        }
        Action::SetTerms(days) => {
            let body = json!({"payment_terms_days": days});
            client.patch(&format!("/api/customers/{id}"), &body).await
        }
    }
}

/// Makes an unsettled order older by this number of days, as the desk would have written it then.
async fn age(service: &Service, order: &str, days: i64) {
    let sql = format!(
        "UPDATE orders SET created_at = created_at - interval '{days} days', due_at = due_at - interval '{days} days'
          WHERE id = '{order}';
         UPDATE ledger_entries SET effective_at = effective_at - interval '{days} days' WHERE order_id = '{order}'"
    );
    service.database.execute(&sql).await;
}

/// Asserts that the service's figures equal the model's and that all figures agree with their sources.
async fn agree(service: &Service, client: &Client, model: &Model, at: &impl Fn() -> String) {
    for customer in &model.customers {
        let found = client
            .get(&format!("/api/customers/{}", customer.id))
            .await
            .ok(200);
        for (name, expected) in [
            ("balance", customer.balance()),
            ("available_credit", customer.limit - customer.balance()),
            ("credit_on_account", customer.on_account()),
        ] {
            assert_eq!(found[name], cents(expected), "{name} {}", at());
        }
        let path = format!("/api/orders?customer_id={}", customer.id);
        let mut orders = client.pages(&path, 200).await;
        orders.reverse();
        assert_eq!(orders.len(), customer.orders.len(), "{}", at());
        for (place, found) in orders.iter().enumerate() {
            let is_money = |kind| kind == Kind::Payment;
            for (name, expected) in [
                ("amount_due", customer.due(place)),
                ("amount_paid", customer.settled(place, is_money)),
                (
                    "amount_credited",
                    customer.settled(place, |kind| !is_money(kind)),
                ),
            ] {
                assert_eq!(
                    found[name],
                    cents(expected),
                    "{name} of order {place} {}",
                    at()
                );
            }
            let status = if customer.orders[place].cancelled {
                "cancelled"
            } else {
                "approved"
            };
            assert_eq!(found["status"], status, "{}", at());
        }
        reports_agree(client, customer, &orders, at).await;
    }
    let stock = client
        .get(&format!("/api/inventory/{}", model.product))
        .await
        .ok(200);
    assert_eq!(stock["on_hand"], model.on_hand, "{}", at());
    let wrong = tests::differences(&service.database).await;
    assert!(wrong.is_empty(), "{wrong:#?} {}", at());
    let wrong = verified(service).await;
    assert!(wrong.is_empty(), "{wrong:#?} {}", at());
}

/// The differences that `tradeline verify` finds, but for the kept figures of sales: these tests make orders older by
/// SQL, of which kept figures cannot know.
async fn verified(service: &Service) -> Vec<Difference> {
    let mut found = tests::verified(&service.database).await;
    found.retain(|difference| !difference.check.starts_with("figures_of_a_"));
    found
}

const BUCKETS: [&str; 5] = [
    "current",
    "days_1_30",
    "days_31_60",
    "days_61_90",
    "days_over_90",
];

/// Asserts that the aging report equals the model's amounts, and that all reports agree at a past date.
async fn reports_agree(
    client: &Client,
    customer: &Customer,
    orders: &[Value],
    at: &impl Fn() -> String,
) {
    let time = |text: &Value| -> DateTime<Utc> { text.as_str().unwrap().parse().unwrap() };
    let (aging, row) = aged(client, customer, "").await;
    let today = time(&aging["as_of"]).date_naive();
    let mut buckets = [0; 5];
    for (place, order) in orders.iter().enumerate() {
        let late = (today - time(&order["due_at"]).date_naive()).num_days();
        let bucket = usize::try_from((late + 29) / 30).unwrap_or(0).min(4);
        buckets[bucket] += customer.due(place);
    }
    for (name, expected) in BUCKETS.iter().zip(buckets) {
        let found = row.as_ref().map_or(json!("0.00"), |row| row[name].clone());
        assert_eq!(found, cents(expected), "{name} {}", at());
    }

    let days = 30;
    let made_before = Utc::now() - Days::new(days);
    let due_before = today - Days::new(days);
    for by in ["due_date", "order_date"] {
        let counts = |order: &Value| match by {
            "due_date" => time(&order["due_at"]).date_naive() < due_before,
            _ => time(&order["created_at"]) < made_before,
        };
        let old = orders.iter().enumerate().filter(|(_, order)| counts(order));
        let overdue: i64 = old.map(|(place, _)| customer.due(place)).sum();
        let path = format!("/api/customers/overdue?days={days}&by={by}");
        let listed = client.pages(&path, 200).await;
        let listed = listed
            .iter()
            .find(|row| row["customer_id"] == json!(customer.id));
        let listed = listed.map_or(json!("0.00"), |row| row["overdue_amount"].clone());
        assert_eq!(listed, cents(overdue), "{by} {}", at());
    }

    let path = format!("/api/customers/{}/statement", customer.id);
    let whole = client.get(&path).await.ok(200);
    assert_eq!(whole["opening_balance"], "0.00", "{}", at());
    assert_eq!(whole["closing_balance"], cents(customer.balance()));
    for past in [1, 20, 45, 80] {
        let date = today - Days::new(past);
        let (_, row) = aged(client, customer, &format!("&as_of={date}")).await;
        let of = |name: &str| row.as_ref().map_or(0, |row| in_cents(&row[name]));
        let until = client.get(&format!("{path}?to={date}")).await.ok(200);
        assert_eq!(
            until["closing_balance"],
            cents(of("balance")),
            "{date} {}",
            at()
        );
        let due: i64 = BUCKETS.iter().map(|name| of(name)).sum();
        assert_eq!(
            due - of("credit_on_account"),
            of("balance"),
            "{date} {}",
            at()
        );
        assert!(BUCKETS.iter().all(|name| of(name) >= 0), "{date} {}", at());
        assert!(of("credit_on_account") >= 0, "{date} {}", at());
    }
}

/// The aging report, and the customer's row if there is one.
async fn aged(client: &Client, customer: &Customer, more: &str) -> (Value, Option<Value>) {
    let path = format!("/api/reports/aging?limit=200{more}");
    let report = client.get(&path).await.ok(200);
    let mut rows = report["data"].as_array().unwrap().iter();
    let row = rows.find(|row| row["customer_id"] == json!(customer.id));
    let row = row.cloned();
    (report, row)
}

fn in_cents(amount: &Value) -> i64 {
    amount.as_str().unwrap().replace('.', "").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_history_of_receivables_agrees_with_a_plain_model_step_by_step() {
    let seed =
        std::env::var("TRADELINE_TEST_SEED").map_or(20_260_505, |seed| seed.parse().unwrap());
    let (one, two) = Service::two().await;
    let clients = [one.admin(), two.admin()];
    let product = clients[0].add_product("UNIT", &cents(PRICE), 400).await;
    let mut model = Model {
        product,
        on_hand: 400,
        customers: Vec::new(),
    };
    for name in ["First", "Second"] {
        let id = clients[0].add_customer(name, "200.00").await;
        let customer = Customer {
            id,
            limit: 20_000,
            terms: 30,
            orders: Vec::new(),
            credits: Vec::new(),
            payouts: Vec::new(),
        };
        model.customers.push(customer);
    }
    let mut dice = StdRng::seed_from_u64(seed);
    let mut history = String::new();
    for step in 0..280 {
        let who = dice.random_range(0..2);
        let client = &clients[dice.random_range(0..2)];
        let action = model.random_action(who, &mut dice);
        writeln!(history, "{step}: {who} {action:?}").unwrap();
        let before = model.customers[who].clone();
        let expected = model.apply(who, &action);
        let reply = perform(client, product, &before, &action).await;
        let at = || format!("TRADELINE_TEST_SEED={seed}, {}\n{history}", reply.text);
        match expected {
            Ok(()) => assert!(reply.status < 300, "{}", at()),
            Err((status, code)) => {
                assert_eq!(
                    (reply.status, reply.json()["code"].as_str()),
                    (status, Some(code)),
                    "{}",
                    at()
                );
            }
        }
        let customer = &mut model.customers[who];
        if let (Action::Buy(_, days), 201) = (&action, reply.status) {
            let id = reply.json()["order_id"].as_str().unwrap().to_owned();
            age(&one, &id, *days).await;
            customer.orders.last_mut().unwrap().id = id;
        } else if customer.credits.len() > before.credits.len() {
            reply
                .header("location")
                .clone_into(&mut customer.credits.last_mut().unwrap().location);
        } else if customer.payouts.len() > before.payouts.len() {
            reply
                .header("location")
                .clone_into(&mut customer.payouts.last_mut().unwrap().location);
        }
        agree(&one, client, &model, &at).await;
    }
    let wrong = tests::differences(&one.database).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    let wrong = verified(&one).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn cents(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}
