//! This program measures a flash sale: many buyers reserve one product at once, some wait, and some never pay.
//! `bench/run` starts it.
//!
//! `flash_sale <bases> <token> <product> <buyers> <connections> <leavers>` reserves one unit for each buyer of
//! `bench/data.sql`, confirms what is held and prints one line of JSON. Every second buyer joins the waitlist if
//! necessary. One buyer in `leavers` holds a unit for a minute and never pays; 0 means none. `bases` is a list
//! separated by commas: a buyer whose service is gone asks the next one with the same idempotency key.

#![expect(clippy::unwrap_used, reason = "a failed measurement stops the program")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

const CUSTOMERS: u128 = 0x0000_0000_0000_7000_8001_0000_0000_0000;
/// Maximum number of attempts without a response, with a pause between them.
const TRIES: usize = 600;
const PAUSE: Duration = Duration::from_millis(50);
/// Interval at which a buyer on the waitlist asks for their status.
const POLL: Duration = Duration::from_millis(500);

struct Sale {
    http: Client,
    bases: Vec<String>,
    token: String,
    product: String,
    next: AtomicU64,
    buyers: u64,
    leavers: u64,
    asked: Mutex<Vec<Asked>>,
    confirmed: Mutex<Vec<Duration>>,
}

/// A buyer's request, with its time and response.
#[derive(Clone)]
struct Asked {
    sent: Instant,
    heard: Instant,
    status: u16,
    place: Option<u64>,
    id: Option<String>,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bases, token, product, buyers, connections, leavers] = arguments.as_slice() else {
        panic!("flash_sale <bases> <token> <product> <buyers> <connections> <leavers>")
    };
    let connections: usize = connections.parse().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sale = Arc::new(Sale {
        http: Client::builder()
            .pool_max_idle_per_host(connections)
            .build()
            .unwrap(),
        bases: bases.split(',').map(str::to_owned).collect(),
        token: token.clone(),
        product: product.clone(),
        next: AtomicU64::new(1),
        buyers: buyers.parse().unwrap(),
        leavers: leavers.parse().unwrap(),
        asked: Mutex::default(),
        confirmed: Mutex::default(),
    });
    let started = Instant::now();
    side_by_side(connections, || Arc::clone(&sale).rush()).await;
    let rush = started.elapsed();
    let asked = sale.asked.lock().await.clone();
    let mut waiting: Vec<&Asked> = asked.iter().filter(|one| one.status == 202).collect();
    waiting.sort_by_key(|one| one.place);
    let waiting: VecDeque<String> = waiting.iter().filter_map(|one| one.id.clone()).collect();
    let line = Arc::new(Mutex::new(waiting));
    let turns = Arc::new(Mutex::new((0_u64, 0_u64)));
    side_by_side(connections, || {
        Arc::clone(&sale).wait(Arc::clone(&line), Arc::clone(&turns))
    })
    .await;
    let (served, turned_away) = *turns.lock().await;
    let confirmed = sale.confirmed.lock().await.clone();
    let times = |status: u16| -> Vec<Duration> {
        let those = asked.iter().filter(|one| one.status == status);
        those.map(|one| one.heard - one.sent).collect()
    };
    let count = |status: u16| asked.iter().filter(|one| one.status == status).count();
    let others = asked.len() - count(201) - count(202) - count(409);
    println!(
        "{}",
        json!({
            "rush_seconds": rush.as_secs_f64(),
            "seconds": started.elapsed().as_secs_f64(),
            "held": count(201), "waited": count(202), "refused": count(409), "others": others,
            "sold": confirmed.len(), "allocated_from_waitlist": served, "turned_away": turned_away,
            "held_p50_ms": quantile(times(201), 0.5), "held_p99_ms": quantile(times(201), 0.99),
            "waited_p99_ms": quantile(times(202), 0.99),
            "refused_p50_ms": quantile(times(409), 0.5), "refused_p99_ms": quantile(times(409), 0.99),
            "confirmed_p99_ms": quantile(confirmed, 0.99),
            "out_of_order": out_of_order(&asked),
        })
    );
}

async fn side_by_side<F>(count: usize, mut task: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(task())).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

impl Sale {
    /// Sends reservations one after another until all buyers have asked.
    async fn rush(self: Arc<Self>) {
        loop {
            let buyer = self.next.fetch_add(1, Ordering::Relaxed);
            if buyer > self.buyers {
                return;
            }
            let leaves = self.leavers != 0 && buyer % self.leavers == 3;
            let body = json!({
                "customer_id": Uuid::from_u128(CUSTOMERS + u128::from(buyer)),
                "items": [{"product_id": self.product, "quantity": 1}],
                "ttl_seconds": if leaves { 60 } else { 600 },
                "wait": buyer.is_multiple_of(2),
            });
            let sent = Instant::now();
            let key = format!("reserve-{buyer}");
            let (status, answer) = self.post("/api/reservations", &key, &body).await;
            let heard = Instant::now();
            let id = answer["reservation_id"].as_str().map(str::to_owned);
            self.asked.lock().await.push(Asked {
                sent,
                heard,
                status,
                place: answer["place"].as_u64(),
                id: id.clone(),
            });
            if let Some(id) = id.filter(|_| status == 201 && !leaves) {
                self.confirm(&id).await;
            }
        }
    }

    /// Polls waiting buyers until none is left.
    async fn wait(
        self: Arc<Self>,
        line: Arc<Mutex<VecDeque<String>>>,
        turns: Arc<Mutex<(u64, u64)>>,
    ) {
        loop {
            let Some(id) = line.lock().await.pop_front() else {
                return;
            };
            loop {
                let path = format!("/api/reservations/{id}");
                let (_, answer) = self
                    .ask(|base| self.http.get(format!("{base}{path}")))
                    .await;
                match answer["status"].as_str() {
                    Some("waiting") => tokio::time::sleep(POLL).await,
                    Some("active") => {
                        self.confirm(&id).await;
                        turns.lock().await.0 += 1;
                        break;
                    }
                    Some("sold_out") => {
                        turns.lock().await.1 += 1;
                        break;
                    }
                    _ => panic!("on the waitlist, and then {answer}"),
                }
            }
        }
    }

    async fn confirm(&self, id: &str) {
        let sent = Instant::now();
        let path = format!("/api/reservations/{id}/confirm");
        let body = json!({"payment_method": "credit"});
        let key = format!("confirm-{id}");
        let (status, answer) = self.post(&path, &key, &body).await;
        assert_eq!(status, 201, "the held units were not sold: {answer}");
        self.confirmed.lock().await.push(sent.elapsed());
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        self.ask(|base| {
            let request = self.http.post(format!("{base}{path}"));
            request
                .header("Idempotency-Key", key)
                .body(body.to_string())
        })
        .await
    }

    /// The response of the first service that gives one.
    async fn ask(&self, request: impl Fn(&str) -> RequestBuilder) -> (u16, Value) {
        for base in self.bases.iter().cycle().take(TRIES) {
            let answer = request(base).bearer_auth(&self.token).send().await;
            if let Ok(answer) = answer
                && let status @ ..500 = answer.status().as_u16()
                && let Ok(body) = answer.json().await
            {
                return (status, body);
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("nobody answers")
    }
}

fn quantile(mut times: Vec<Duration>, which: f64) -> f64 {
    times.sort_unstable();
    let at = (times.len() as f64 * which) as usize;
    let time = times.get(at.min(times.len().saturating_sub(1)));
    time.map_or(0.0, Duration::as_secs_f64) * 1000.0
}

/// The number of buyers who were overtaken by someone who asked after they had a response. Buyers who got a unit
/// directly precede the waitlist, which is ordered by position. Two concurrent requests may be in either order.
fn out_of_order(asked: &[Asked]) -> usize {
    let mut served: Vec<&Asked> = asked.iter().filter(|one| one.status < 300).collect();
    served.sort_by_key(|one| one.place.unwrap_or(0));
    let mut violations = 0;
    let mut at = 0;
    let mut latest_before: Option<Instant> = None;
    while at < served.len() {
        let place = served[at].place;
        let same = served[at..].iter().take_while(|one| one.place == place);
        let group: Vec<&&Asked> = same.collect();
        let passed = group
            .iter()
            .filter(|one| latest_before.is_some_and(|sent| one.heard < sent));
        violations += passed.count();
        at += group.len();
        latest_before = group.iter().map(|one| one.sent).chain(latest_before).max();
    }
    violations
}
