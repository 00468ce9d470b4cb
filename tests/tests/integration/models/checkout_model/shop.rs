//! This module holds the system under test with its model, and turns model commands into commands for the desk.

use std::sync::Arc;

use domain::card::checkout::{Event, EventKind, Terms};
use domain::card::provider::Limits;
use domain::card::refunds;
use domain::desk::purchase::Purchase;
use domain::desk::{Command, Desk, Executed, Work};
use domain::stock::Line;
use domain::stock::inventory::{self, Correction, NewCorrection};
use domain::stock::reservations::{self, LockedIds};
use domain::{Authority, Caller, Error, Outcome, demo};
use entity::stock_movements::Reason;
use entity::{Currency, Money, OrderId, ProductId, Quantity, UserId};
use rust_decimal::Decimal;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::Value;
use tests::clerk::{unread, unread_reservation};
use tests::{Database, SERVICE, Service};

use super::lists::{Ask, Customer, Lists, Product};
use super::till::{self, Counter, NAME};

/// A database, a desk and a provider, together with the model of their expected state.
pub(super) struct Shop {
    pub(super) database: Database,
    /// A permanent connection for the many queries.
    eyes: DatabaseConnection,
    pub(super) pool: domain::Database,
    pub(super) desk: Arc<Desk>,
    pub(super) counter: Counter,
    pub(super) lists: Lists,
    pub(super) history: String,
    /// For each of the provider's events, whether it was sent.
    pub(super) told: Vec<bool>,
    pub(super) seed: u64,
    pub(super) events: usize,
}

/// What came of it in the model's words, after its id; of an order by card the id of what holds its stock follows.
pub(super) fn words(outcome: Outcome<Executed>) -> String {
    match outcome.value().unwrap() {
        Executed::Sold(receipt) => format!("{} sold", receipt.order_id),
        Executed::PlacedOrder(placed) => {
            format!("{} placed {}", placed.order_id, placed.reservation_id)
        }
        Executed::Reserved(found) | Executed::Cancelled { current: found, .. } => {
            format!("{} {:?}", found.reservation.id, found.status)
        }
    }
}

pub(super) fn caller(authority: Authority) -> Caller {
    Caller {
        business_id: demo::ACME,
        currency: Currency::USD,
        user_id: UserId::new(),
        authority,
        request_id: "model".to_owned(),
    }
}

pub(super) fn money(units: i64) -> Money {
    Money::new(Decimal::from(units), Currency::USD).unwrap()
}

pub(super) fn wish(what: refunds::What) -> refunds::NewRefund {
    refunds::NewRefund {
        what,
        reason: "scratched".to_owned(),
        takes: None,
    }
}

impl Shop {
    /// Creates four customers, one with little credit, and four products, one with a limit per customer. The service
    /// that made them is stopped, together with its background tasks.
    pub(super) async fn open(seed: u64, trouble: u32) -> Self {
        let service = Service::start().await;
        let admin = service.admin();
        let mut lists = Lists::default();
        for (number, credit) in [100_000, 100_000, 100_000, 20].into_iter().enumerate() {
            let name = format!("Model {number}");
            let id = admin.add_customer(&name, &credit.to_string()).await;
            lists.customers.push(Customer { id, credit });
        }
        for (number, on_hand) in [3, 5, 8, 6].into_iter().enumerate() {
            let price = 1 + i64::try_from(number).unwrap();
            let id = admin
                .add_product(&format!("M{number}"), &format!("{price}.00"), on_hand)
                .await;
            let limit = (number == 3).then_some(4);
            if let Some(limit) = limit {
                let body = serde_json::json!({"limit_per_customer": limit});
                admin
                    .patch(&format!("/api/products/{id}"), &body)
                    .await
                    .ok(200);
            }
            lists.products.push(Product {
                id,
                price,
                on_hand,
                limit,
            });
        }
        let database = service.database.clone();
        service.stop().await;
        let (pool, desk) = Self::another(&database);
        let counter = Counter::new(seed, trouble);
        lists.till = counter.look().till.clone();
        Self {
            eyes: database.connect("postgres").await,
            database,
            pool,
            desk,
            counter,
            lists,
            history: String::new(),
            told: Vec::new(),
            seed,
            events: 0,
        }
    }

    pub(super) fn another(database: &Database) -> (domain::Database, Arc<Desk>) {
        let pool = domain::Database::new(&database.url(SERVICE), 6).unwrap();
        let desk = Desk::open(&pool, 2);
        (pool, desk)
    }

    pub(super) fn commands(&self, asks: &[Ask]) -> Vec<Command> {
        let lines = |items: &[(usize, i64)]| -> Vec<Line> {
            let lines = items.iter().map(|(product, quantity)| Line {
                product_id: self.lists.products[*product].id,
                quantity: Quantity::new(*quantity).unwrap(),
                quoted: None,
            });
            lines.collect()
        };
        let purchase = |who: usize, items: &[(usize, i64)]| Purchase {
            customer_id: self.lists.customers[who].id,
            lines: lines(items),
        };
        let target = |at: usize| {
            let hold = &self.lists.holds[at];
            let items = hold.items.iter();
            let items = items.map(|item| (self.lists.products[item.product].id, item.quantity));
            LockedIds {
                id: hold.id,
                customer_id: self.lists.customers[hold.customer].id,
                items: items.collect(),
            }
        };
        let terms = |seconds: i64| Terms {
            provider: NAME,
            seconds: i32::try_from(seconds).unwrap(),
            limits: Some(Limits::NONE),
        };
        let work = |ask: &Ask| match ask {
            Ask::Buy(who, items) => Work::Purchase(purchase(*who, items), unread),
            Ask::Checkout(who, items, seconds) => {
                Work::Checkout(purchase(*who, items), terms(*seconds))
            }
            Ask::Reserve(who, items, ttl, wait) => {
                let wish = reservations::NewReservation {
                    customer_id: self.lists.customers[*who].id,
                    lines: lines(items),
                    ttl_seconds: i32::try_from(*ttl).unwrap(),
                    wait: *wait,
                };
                Work::Reserve(wish, unread_reservation)
            }
            Ask::Confirm(at) => Work::Confirm(target(*at), unread),
            Ask::ConfirmByCard(at, seconds) => Work::ConfirmByCard(target(*at), terms(*seconds)),
            Ask::GiveUp(at) => Work::Cancel(target(*at), unread_reservation),
        };
        let commands = asks.iter().map(|ask| Command {
            caller: caller(Authority::Staff),
            work: work(ask),
            key: None,
        });
        commands.collect()
    }

    /// The error as the model words it.
    pub(super) fn refusal(&self, error: &Error) -> String {
        let number = |id: &ProductId| {
            let mut all = self.lists.products.iter();
            all.position(|product| product.id == *id).unwrap()
        };
        match error {
            Error::PurchaseLimitReached {
                product_id, bought, ..
            } => format!("limit of {}: {bought}", number(product_id)),
            Error::InsufficientStock(short) => {
                let short = short.iter();
                let short =
                    short.map(|one| (number(&one.product_id), one.requested, one.available));
                format!("short {:?}", short.collect::<Vec<_>>())
            }
            Error::CreditLimitExceeded { .. } => "credit".to_owned(),
            Error::ReservationLimitReached { .. } => "too many".to_owned(),
            Error::SoldOut(_) => "sold out".to_owned(),
            Error::ReservationExpired { .. } => "expired".to_owned(),
            Error::ReservationResolved { from, .. } => format!("resolved: {from:?}"),
            Error::InvalidTransition { .. } => "invalid".to_owned(),
            Error::Forbidden => "forbidden".to_owned(),
            Error::OrderNotFound(_) => "no order".to_owned(),
            Error::ProductNotFound(_) => "no product".to_owned(),
            Error::NotPaid(_) => "not paid".to_owned(),
            Error::NotPaidByCard(_) => "not paid by card".to_owned(),
            Error::AlreadyPaid(_) => "already paid".to_owned(),
            Error::AlreadyRefunded(_) => "already refunded".to_owned(),
            Error::NothingToRefund => "nothing to refund".to_owned(),
            Error::NothingToPay => "nothing to pay".to_owned(),
            Error::PaymentProvider { .. } | Error::PaymentRefused { .. } => "provider".to_owned(),
            Error::MoreThanPaid { refundable } => {
                format!("more than paid: {}", till::minor(*refundable) / 100)
            }
            Error::MoreThanSold {
                product_id,
                creditable,
                ..
            } => format!("more than sold of {}: {creditable}", number(product_id)),
            other => panic!("{other:?} {}", self.at()),
        }
    }

    pub(super) async fn rows(&self, sql: &str) -> Vec<Value> {
        let sql = format!("SELECT to_jsonb(r)::text FROM ({sql}) AS r");
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let rows = self.eyes.query_all_raw(statement).await.unwrap();
        let texts = rows.iter().map(|row| row.try_get_by_index(0).unwrap());
        texts
            .map(|text: String| serde_json::from_str(&text).unwrap())
            .collect()
    }

    pub(super) async fn execute(&self, sql: &str) {
        self.eyes.execute_unprepared(sql).await.unwrap();
    }

    pub(super) async fn goods(&self, product: ProductId, quantity: i64) {
        let new = NewCorrection {
            correction: Correction::Adjust(quantity),
            reason: Reason::Correction,
            note: None,
        };
        let staff = caller(Authority::Staff);
        inventory::correct(&self.pool, &staff, product, &new)
            .await
            .unwrap();
    }

    /// Moves the clock forward by making all times in the database older.
    pub(super) async fn pass(&self, seconds: i64) {
        let older = format!("- interval '{seconds} seconds'");
        let all = format!(
            "UPDATE reservations SET expires_at = expires_at {older}, created_at = created_at {older};
             UPDATE reservation_items SET expires_at = expires_at {older};
             UPDATE payment_intents SET expires_at = expires_at {older}, next_try_at = next_try_at {older};
             UPDATE refunds SET next_try_at = next_try_at {older};
             UPDATE orders SET due_at = due_at {older} WHERE payment_method = 'card'"
        );
        self.execute(&all).await;
    }

    pub(super) fn at(&self) -> String {
        format!("TRADELINE_TEST_SEED={}\n{}", self.seed, self.history)
    }
}

/// An event of the provider with this id.
pub(super) fn event(order: OrderId, told: EventKind, id: String) -> Event {
    Event {
        provider: NAME,
        id,
        kind: "told".to_owned(),
        business_id: demo::ACME,
        order_id: order,
        intent: till::intent_id(order),
        event_kind: told,
    }
}
