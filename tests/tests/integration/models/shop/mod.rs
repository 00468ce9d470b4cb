//! The reference model of a shop: its own plain re-implementation of the rules (`model`), random histories
//! (`random_steps`), their execution by the service and the model (`steps`), and the comparison of both (`checks`). The
//! provider loses responses, rejects requests and sends events at any time. The test moves the clock, and no background
//! task runs.

mod checks;
pub(crate) mod concurrent;
pub(crate) mod model;
mod provider;
pub(crate) mod random_steps;
pub(crate) mod service;
pub(crate) mod steps;

use std::fmt::Write;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use model::TICK;
use random_steps::StepWeights;
use service::Shop;
use steps::Step;

/// The seeds of a test; the variable `TRADELINE_TEST_SEED` replaces them by one.
pub(crate) fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    match std::env::var("TRADELINE_TEST_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => first..first + count,
    }
}

/// The number of intents and refunds that the payment worker has to process, now or later.
const DUE: &str = "
SELECT (SELECT count(*) FROM payment_intents WHERE next_try_at IS NOT NULL)
     + (SELECT count(*) FROM refunds WHERE next_try_at IS NOT NULL) AS count";

impl Shop {
    /// Executes a random history and compares the service with the model after each step.
    pub(crate) async fn agree(&mut self, weights: &StepWeights, steps: usize) {
        let mut dice = StdRng::seed_from_u64(self.seed);
        for number in 0..steps {
            let step = weights.step(&self.model, &mut dice);
            writeln!(self.history, "{number}: {step:?}").unwrap();
            self.perform(&step).await;
            self.check().await;
            let all = self.model.holds.len();
            if all > 0 {
                self.read_one(dice.random_range(0..all)).await;
            }
            if number % 40 == 39 {
                self.keep_the_laws().await;
            }
        }
    }

    /// Sweeps, and asserts the invariants of a finished history. Returns how often stock was allocated to a waitlist.
    pub(crate) async fn end(&mut self) -> usize {
        writeln!(self.history, "the end").unwrap();
        self.perform(&Step::Sweep).await;
        self.check().await;
        let open = "SELECT FROM reservations WHERE status IN ('waiting', 'active') AND expires_at <= now()";
        assert!(self.rows(open).await.is_empty(), "{}", self.at());
        self.keep_the_laws().await;
        assert_eq!(self.database.deadlocks().await, 0);
        self.allocated_in_order().await
    }

    /// Stops the provider's faults, sends all remaining events, and runs the payment worker until nothing is due.
    pub(crate) async fn settle_everything(&mut self) {
        self.provider.lock().trouble = 0;
        while !self.model.provider_account.under_way().is_empty() {
            self.perform(&Step::Settle(true)).await;
        }
        for at in 0..self.model.orders.len() {
            // Payments in progress now either succeed or fail.
            let total = self.model.orders[at].total;
            let step = match at % 2 {
                0 if self.model.is_processing(at) => Step::Pay(at, total, "USD"),
                _ => Step::Decline(at),
            };
            self.perform(&step).await;
        }
        let mut rounds = 0;
        loop {
            for index in 0..self.model.provider_account.events.len() {
                if !self.model.sent.get(index).copied().unwrap_or(false) {
                    self.perform(&Step::SendEvent(index, false)).await;
                }
            }
            writeln!(self.history, "quiet").unwrap();
            self.work().await;
            self.check().await;
            if self.rows(DUE).await[0]["count"] == 0 {
                break;
            }
            self.perform(&Step::Pass(2 * TICK)).await;
            rounds += 1;
            assert!(
                rounds < 30,
                "the payment worker still has work {}",
                self.at()
            );
        }
    }
}
