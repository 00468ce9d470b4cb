//! This program measures the upper limit of the desk's throughput: the same batches without HTTP, JSON or tokens.
//! `bench/run` starts it.
//!
//! `desk <database url> <seconds> <customers> <products>` purchases from 64 tasks at the business of `bench/data.sql`
//! and prints purchases per second.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed measurement stops the program"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::desk::purchase::{Purchase, Receipt};
use domain::desk::{Command, Desk, Work};
use domain::stock::Line;
use domain::{Authority, Caller, Database, StoredResponse};
use entity::{BusinessId, Currency, CustomerId, ProductId, Quantity, UserId};
use rand::RngExt;
use uuid::Uuid;

const TASKS: usize = 64;

const BUSINESS: u128 = 0x0000_0000_0000_7000_8000_0000_0000_0000;
const CUSTOMERS: u128 = 0x0000_0000_0000_7000_8001_0000_0000_0000;
const PRODUCTS: u128 = 0x0000_0000_0000_7000_8002_0000_0000_0000;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, seconds, customers, products] = arguments.as_slice() else {
        panic!("desk <database url> <seconds> <customers> <products>")
    };
    let seconds = Duration::from_secs(seconds.parse().unwrap());
    let (customers, products): (u128, u128) =
        (customers.parse().unwrap(), products.parse().unwrap());
    let lanes = std::thread::available_parallelism().map_or(1, usize::from);
    let desk = Desk::open(&Database::new(url, 1).unwrap(), lanes);
    let started = Instant::now();
    let sellers: Vec<_> = (0..TASKS)
        .map(|_| {
            tokio::spawn(sell(
                Arc::clone(&desk),
                started + seconds,
                customers,
                products,
            ))
        })
        .collect();
    let mut sold = 0;
    for seller in sellers {
        sold += seller.await.unwrap();
    }
    println!("{:.0}", f64::from(sold) / started.elapsed().as_secs_f64());
}

async fn sell(desk: Arc<Desk>, until: Instant, customers: u128, products: u128) -> u32 {
    let mut sold = 0;
    while Instant::now() < until {
        let pick =
            |base: u128, most: u128| Uuid::from_u128(base + rand::rng().random_range(1..=most));
        let line = || Line {
            product_id: ProductId(pick(PRODUCTS, products)),
            quantity: Quantity::new(1).unwrap(),
            quoted: None,
        };
        let command = Command {
            caller: Caller {
                business_id: BusinessId(Uuid::from_u128(BUSINESS)),
                currency: Currency::USD,
                user_id: UserId(Uuid::nil()),
                authority: Authority::Staff,
                request_id: "bench".to_owned(),
            },
            work: Work::Purchase(
                Purchase {
                    customer_id: CustomerId(pick(CUSTOMERS, customers)),
                    lines: vec![line(), line()],
                    details: None,
                },
                render,
            ),
            key: None,
        };
        desk.execute(command)
            .await
            .expect("the bench sells less than there is");
        sold += 1;
    }
    sold
}

fn render(receipt: &Receipt) -> StoredResponse {
    StoredResponse::new(receipt.order_id.to_string().into_bytes())
}
