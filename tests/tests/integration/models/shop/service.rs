//! This module holds the system under test together with the model, and translates between the two.

use std::sync::Arc;

use domain::card::checkout::{Event, EventKind, Terms};
use domain::card::provider::Limits;
use domain::card::refunds;
use domain::desk::purchase::Purchase;
use domain::desk::{Command, Desk, Executed, Work};
use domain::stock::inventory::{self, Correction, NewCorrection};
use domain::stock::reservations::{NewReservation, ReservationRows};
use domain::{Authority, Caller, Error, Outcome, demo};
use entity::stock_movements::Reason;
use entity::{Currency, CustomerId, Money, OrderId, ProductId, Quantity, ReservationId, UserId};
use rust_decimal::Decimal;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use tests::clerk::{unread, unread_reservation};
use tests::{Client, Database, SERVICE, Service};

use super::model::{CommandOutcome, Customer, Line, Model, Product, Refusal, Request};
use super::provider::{self, InMemoryProvider, NAME, ProviderAccount, minor};

/// The customers, products and stock of a shop at its start.
#[derive(Debug)]
pub(crate) struct Opening {
    /// The credit limit of each customer.
    pub(crate) credits: &'static [i64],
    /// The price, the stock and the limit per customer of each product.
    pub(crate) products: &'static [(i64, i64, Option<i64>)],
}

/// A database, a desk and a provider, together with the model of their expected state.
pub(crate) struct Shop {
    pub(crate) database: Database,
    /// A permanent connection for the many queries.
    connection: DatabaseConnection,
    pub(crate) pool: domain::Database,
    pub(crate) desk: Arc<Desk>,
    pub(crate) provider: InMemoryProvider,
    pub(crate) model: Model,
    pub(crate) history: String,
    pub(crate) seed: u64,
    /// True if two sweepers run while the desk executes commands.
    pub(crate) is_swept: bool,
    /// The number of events that were sent.
    pub(crate) new_event_ids: usize,
}

/// The rows that a command has made, and its outcome in the model's terms.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) order: Option<OrderId>,
    pub(crate) hold: Option<ReservationId>,
    pub(crate) outcome: CommandOutcome,
}

pub(crate) fn made(outcome: Outcome<Executed>) -> Made {
    match outcome.value().unwrap() {
        Executed::Sold(receipt) => Made {
            order: Some(receipt.order_id),
            hold: None,
            outcome: CommandOutcome::Sold {
                total: minor(receipt.total),
                balance: minor(receipt.charge.balance_after),
                available: minor(receipt.available_credit),
            },
        },
        Executed::PlacedOrder(placed) => Made {
            order: Some(placed.order_id),
            hold: Some(placed.reservation_id),
            outcome: CommandOutcome::Placed(minor(placed.total)),
        },
        Executed::Reserved(found) | Executed::Cancelled { current: found, .. } => {
            let place = found.place.map(|place| usize::try_from(place).unwrap());
            Made {
                order: None,
                hold: Some(found.reservation.id),
                outcome: CommandOutcome::Hold(found.status, place),
            }
        }
    }
}

pub(crate) fn caller(authority: Authority) -> Caller {
    Caller {
        business_id: demo::ACME,
        currency: Currency::USD,
        user_id: UserId::new(),
        authority,
        request_id: "model".to_owned(),
    }
}

pub(crate) fn money(minor: i64) -> Money {
    Money::new(Decimal::new(minor, 2), Currency::USD).unwrap()
}

/// An amount in major units, as the API writes it.
pub(crate) fn decimal(minor: i64) -> String {
    format!("{:.2}", Decimal::new(minor, 2))
}

pub(crate) fn refund_of(what: refunds::What) -> refunds::NewRefund {
    refunds::NewRefund {
        what,
        reason: "scratched".to_owned(),
        takes: None,
    }
}

/// An event of the provider with this id.
pub(crate) fn event(order: OrderId, event_kind: EventKind, id: String) -> Event {
    Event {
        provider: NAME,
        id,
        kind: "model".to_owned(),
        business_id: demo::ACME,
        order_id: order,
        intent: provider::intent_id(order),
        event_kind,
    }
}

impl Model {
    /// Creates customers and products with a service's API.
    pub(crate) async fn open(admin: &Client, opening: &Opening) -> Self {
        let mut model = Self {
            now: 0,
            customers: Vec::new(),
            nobody: CustomerId::new(),
            products: Vec::new(),
            holds: Vec::new(),
            orders: Vec::new(),
            refunds: std::collections::BTreeMap::new(),
            provider_account: ProviderAccount::default(),
            sent: Vec::new(),
        };
        for (number, credit) in opening.credits.iter().enumerate() {
            let name = format!("Model {number}");
            model.customers.push(Customer {
                id: admin.add_customer(&name, &decimal(*credit)).await,
                credit: *credit,
                on_hold: false,
            });
        }
        for (number, (price, on_hand, limit)) in opening.products.iter().enumerate() {
            let sku = format!("M{number}");
            let id = admin.add_product(&sku, &decimal(*price), *on_hand).await;
            if limit.is_some() {
                let body = json!({"limit_per_customer": limit});
                let path = format!("/api/products/{id}");
                admin.patch(&path, &body).await.ok(200);
            }
            model.products.push(Product {
                id,
                price: *price,
                on_hand: *on_hand,
                limit: *limit,
            });
        }
        model
    }
}

impl Shop {
    /// Opens a shop whose provider has this percentage of trouble. The service that made it is stopped, together with
    /// its background tasks.
    pub(crate) async fn open(seed: u64, opening: &Opening, trouble: u32) -> Self {
        let service = Service::start().await;
        let mut model = Model::open(&service.admin(), opening).await;
        let database = service.database.clone();
        service.stop().await;
        let (pool, desk) = Self::another(&database);
        let provider = InMemoryProvider::new(seed, trouble);
        model.provider_account = provider.lock().provider_account.clone();
        Self {
            connection: database.connect("postgres").await,
            database,
            pool,
            desk,
            provider,
            model,
            history: String::new(),
            seed,
            is_swept: false,
            new_event_ids: 0,
        }
    }

    pub(crate) fn another(database: &Database) -> (domain::Database, Arc<Desk>) {
        let pool = domain::Database::new(&database.url(SERVICE), 6).unwrap();
        let desk = Desk::open(&pool, 2);
        (pool, desk)
    }

    pub(crate) fn commands(&self, requests: &[Request]) -> Vec<Command> {
        let commands = requests.iter().map(|request| Command {
            caller: caller(Authority::Staff),
            work: self.work_of(request),
            key: None,
        });
        commands.collect()
    }

    fn work_of(&self, request: &Request) -> Work {
        let purchase = |who: usize, lines: &[Line]| Purchase {
            customer_id: self.model.customer_id(who),
            lines: self.lines(lines),
            details: None,
        };
        match request {
            Request::Buy(who, lines) => Work::Purchase(purchase(*who, lines), unread),
            Request::Checkout(who, lines, seconds) => {
                Work::Checkout(purchase(*who, lines), terms(*seconds))
            }
            Request::Reserve(who, lines, ttl, wait) => {
                let new = NewReservation {
                    customer_id: self.model.customer_id(*who),
                    lines: self.lines(lines),
                    ttl_seconds: i32::try_from(*ttl).unwrap(),
                    wait: *wait,
                };
                Work::Reserve(new, unread_reservation)
            }
            Request::Confirm(at) => Work::Confirm(self.reservation_rows(*at).into(), unread),
            Request::ConfirmByCard(at, seconds) => {
                Work::ConfirmByCard(self.reservation_rows(*at).into(), terms(*seconds))
            }
            Request::GiveUp(at) => Work::Cancel(self.reservation_rows(*at), unread_reservation),
        }
    }

    fn lines(&self, lines: &[Line]) -> Vec<domain::stock::Line> {
        let lines = lines.iter();
        let lines = lines.map(|(product, quantity, quoted)| domain::stock::Line {
            product_id: self.model.products[*product].id,
            quantity: Quantity::new(*quantity).unwrap(),
            quoted: quoted.map(money),
        });
        lines.collect()
    }

    fn reservation_rows(&self, at: usize) -> ReservationRows {
        let hold = &self.model.holds[at];
        let items = hold.items.iter();
        let items = items.map(|item| (self.model.products[item.product].id, item.quantity));
        ReservationRows {
            id: hold.id,
            customer_id: self.model.customer_id(hold.customer),
            items: items.collect(),
        }
    }

    /// The error as the model's refusal.
    pub(crate) fn refusal(&self, error: &Error) -> Refusal {
        let number = |id: &ProductId| {
            let mut all = self.model.products.iter();
            all.position(|product| product.id == *id).unwrap()
        };
        match error {
            Error::CustomerNotFound(_) => Refusal::NoCustomer,
            Error::CustomerOnHold(_) => Refusal::OnHold,
            Error::PriceChanged {
                product_id,
                quoted,
                current,
            } => Refusal::PriceChanged {
                product: number(product_id),
                quoted: minor(*quoted),
                current: minor(*current),
            },
            Error::PricesDiffer { product_id, prices } => {
                let prices = prices.iter();
                let prices = prices.map(|(quantity, price)| (*quantity, minor(*price)));
                Refusal::PricesDiffer(number(product_id), prices.collect())
            }
            Error::PurchaseLimitReached {
                product_id, bought, ..
            } => Refusal::Limit(number(product_id), *bought),
            Error::InsufficientStock(short) => {
                let short = short.iter();
                let short =
                    short.map(|one| (number(&one.product_id), one.requested, one.available));
                Refusal::Short(short.collect())
            }
            Error::CreditLimitExceeded {
                credit_limit,
                balance,
                amount,
            } => Refusal::Credit {
                amount: minor(*amount),
                balance: minor(*balance),
                limit: minor(*credit_limit),
            },
            Error::CountedBelowReserved {
                on_hand, reserved, ..
            } => Refusal::CountedBelowReserved {
                on_hand: *on_hand,
                reserved: *reserved,
            },
            Error::ReservationResolved { from, .. } => Refusal::Resolved(*from),
            Error::MoreThanSold {
                product_id,
                creditable,
                ..
            } => Refusal::MoreThanSold(number(product_id), *creditable),
            Error::MoreThanPaid { refundable } => Refusal::MoreThanPaid(minor(*refundable)),
            other => {
                let refusal = plain_refusal(other);
                refusal.unwrap_or_else(|| panic!("{other:?} {}", self.at()))
            }
        }
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<Value> {
        let sql = format!("SELECT to_jsonb(r)::text FROM ({sql}) AS r");
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let rows = self.connection.query_all_raw(statement).await.unwrap();
        let texts = rows.iter().map(|row| row.try_get_by_index(0).unwrap());
        texts
            .map(|text: String| serde_json::from_str(&text).unwrap())
            .collect()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.connection.execute_unprepared(sql).await.unwrap();
    }

    pub(crate) async fn correct(&self, product: usize, by: Correction) -> Result<(), Error> {
        let new = NewCorrection {
            correction: by,
            reason: Reason::Correction,
            note: None,
        };
        let (staff, id) = (caller(Authority::Staff), self.model.products[product].id);
        let done = inventory::correct(&self.pool, &staff, id, &new).await;
        done.map(|_| ())
    }

    /// Moves the clock forward by making all times in the database older.
    pub(crate) async fn pass(&self, seconds: i64) {
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

    /// The seed and the steps so far, for a failure's message.
    pub(crate) fn at(&self) -> String {
        format!("TRADELINE_TEST_SEED={}\n{}", self.seed, self.history)
    }
}

/// A refusal that has no figures.
fn plain_refusal(error: &Error) -> Option<Refusal> {
    Some(match error {
        Error::ReservationLimitReached { .. } => Refusal::TooManyReservations,
        Error::SoldOut(_) => Refusal::SoldOut,
        Error::ReservationExpired { .. } => Refusal::Expired,
        Error::InvalidTransition { .. } => Refusal::InvalidTransition,
        Error::Forbidden => Refusal::Forbidden,
        Error::OrderNotFound(_) => Refusal::NoOrder,
        Error::NotPaid(_) => Refusal::NotPaid,
        Error::NotPaidByCard(_) => Refusal::NotPaidByCard,
        Error::AlreadyRefunded(_) => Refusal::AlreadyRefunded,
        Error::NothingToRefund => Refusal::NothingToRefund,
        Error::NothingToPay => Refusal::NothingToPay,
        Error::PaymentProvider { .. } | Error::PaymentRefused { .. } => Refusal::Provider,
        _ => return None,
    })
}

/// The terms of an order by card with this many seconds to pay.
fn terms(seconds: i64) -> Terms {
    Terms {
        provider: NAME,
        seconds: i32::try_from(seconds).unwrap(),
        limits: Some(Limits::NONE),
    }
}
