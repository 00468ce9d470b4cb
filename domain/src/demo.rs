//! Demo data of the embedded start: two businesses with some history.
//!
//! Loaded once, in one transaction, by the role that owns the tables: past dates cannot be written by the service's own
//! role. The logins are public, so the data is never loaded into a database that an operator configured. There the
//! platform creates the first business.

use std::collections::HashMap;

use chrono::{DateTime, Days, Utc};
use entity::ledger_entries::Kind;
use entity::orders::{PaymentMethod, Status};
use entity::stock_movements::Reason;
use entity::users::Role;
use entity::{
    AllocationId, BusinessId, Currency, CustomerId, LedgerEntryId, Money, MovementId, OrderId,
    PaymentId, ProductId, Tenant, UserId, allocations, businesses, customers, inventory,
    ledger_entries, order_items, orders, payments, stock_movements, users,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
};
use serde_json::json;
use uuid::{Uuid, uuid};

use crate::audit::{self, Action, Change};
use crate::catalogue::products::{Details, NewProduct};
use crate::identity::customers::{CreditTerms, CustomerDetails, NewCustomer};
use crate::identity::passwords;
use crate::receivables::ledger::{Account, Posting};
use crate::{Authority, Caller, Database, Error, Transaction};

/// The business of most examples.
pub const ACME: BusinessId = BusinessId(uuid!("550e8400-e29b-41d4-a716-446655440099"));
/// The customer of most examples, with a credit limit of 1000.00.
pub const ACME_CUSTOMER: CustomerId = CustomerId(uuid!("550e8400-e29b-41d4-a716-446655440000"));
/// The user of Acme who buys for that customer.
pub const ACME_BUYER: UserId = UserId(uuid!("550e8400-e29b-41d4-a716-446655440001"));
/// A product of Acme at 100.00.
pub const ACME_HEADPHONES: ProductId = ProductId(uuid!("650e8400-e29b-41d4-a716-446655440001"));
/// A product of Acme at 50.00.
pub const ACME_KEYBOARD: ProductId = ProductId(uuid!("750e8400-e29b-41d4-a716-446655440002"));
/// The second business.
pub const GLOBEX: BusinessId = BusinessId(uuid!("11111111-1111-1111-1111-111111111111"));
/// The customer of Globex.
pub const GLOBEX_CUSTOMER: CustomerId = CustomerId(uuid!("22222222-2222-2222-2222-222222222222"));
/// A product of Globex.
pub const GLOBEX_DESK: ProductId = ProductId(uuid!("33333333-3333-3333-3333-333333333333"));
/// A second product of Globex.
pub const GLOBEX_CHAIR: ProductId = ProductId(uuid!("44444444-4444-4444-4444-444444444444"));

/// SKU, name, price.
type CatalogueLine = (&'static str, &'static str, &'static str);

/// The other products of a small shop, with five units each on hand.
const SMALL_STOCK: [CatalogueLine; 15] = [
    ("CAM-200", "Action camera", "249.00"),
    ("CHG-030", "USB-C charger 65 W", "39.90"),
    ("HUB-007", "USB hub, seven ports", "29.95"),
    ("LMP-011", "Desk lamp", "34.50"),
    ("MIC-010", "Podcast microphone", "119.00"),
    ("MOU-002", "Wireless mouse", "25.00"),
    ("PWR-020", "Power bank 20,000 mAh", "45.00"),
    ("SPK-003", "Bluetooth speaker", "79.00"),
    ("TAB-101", "Drawing tablet", "189.00"),
    ("BAL-005", "Football, size 5", "24.99"),
    ("BTL-075", "Steel bottle 0.75 l", "18.00"),
    ("DMB-010", "Dumbbells, 2 × 5 kg", "49.90"),
    ("MAT-180", "Yoga mat", "22.50"),
    ("RKT-300", "Tennis racket", "139.00"),
    ("TNT-002", "Tent for two", "159.00"),
];

/// A customer with past orders.
struct History {
    name: &'static str,
    credit_limit: &'static str,
    orders: &'static [PastOrder],
}

/// A past order for keyboards at 50.00, and what was paid of it some days later.
struct PastOrder {
    days_ago: u64,
    keyboards: i64,
    paid: &'static str,
}

const fn past(days_ago: u64, keyboards: i64, paid: &'static str) -> PastOrder {
    PastOrder {
        days_ago,
        keyboards,
        paid,
    }
}

const HISTORIES: [History; 6] = [
    History {
        name: "Birch & Sons",
        credit_limit: "5000.00",
        orders: &[past(120, 12, "200.00"), past(45, 6, "0"), past(5, 2, "0")],
    },
    History {
        name: "Corner Electronics",
        credit_limit: "2500.00",
        orders: &[past(95, 10, "500.00"), past(38, 8, "150.00")],
    },
    History {
        name: "Delta Sports Club",
        credit_limit: "3000.00",
        orders: &[past(64, 20, "400.00"), past(20, 5, "0")],
    },
    History {
        name: "Elm Street School",
        credit_limit: "1500.00",
        orders: &[past(33, 4, "0")],
    },
    History {
        name: "Foxglove Media",
        credit_limit: "800.00",
        orders: &[past(75, 3, "150.00"), past(12, 6, "100.00")],
    },
    History {
        name: "Granite Outdoor",
        credit_limit: "4000.00",
        orders: &[past(28, 15, "0"), past(9, 3, "50.00")],
    },
];

/// Days from an order to its payment, and days since the keyboards of all orders were received.
const PAID_AFTER_DAYS: u64 = 4;
const STOCKED_DAYS_AGO: u64 = 150;

/// Loads the demo data unless it exists. Returns whether it was loaded.
///
/// # Errors
/// Those of the database.
pub async fn load(owner: &Database) -> Result<bool, Error> {
    let transaction = owner.begin(ACME).await?;
    let there = customers::Entity::by_id(ACME, ACME_CUSTOMER)
        .one(&transaction)
        .await?;
    if there.is_some() {
        return Ok(false);
    }
    acme(&transaction).await?;
    transaction
        .execute_unprepared(&format!("SET LOCAL app.business_id = '{GLOBEX}'"))
        .await?;
    globex(&transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn acme(transaction: &Transaction) -> Result<(), Error> {
    let admin = business(
        transaction,
        (ACME, "acme", "Acme Supplies"),
        ("admin@example.com", "admin123"),
    )
    .await?;
    customer(
        transaction,
        &admin,
        ACME_CUSTOMER,
        ("Example Retail Ltd", "1000.00"),
    )
    .await?;
    let buyer = users::ActiveModel {
        email: Set("customer@example.com".into()),
        name: Set("Example Buyer".into()),
        password_hash: Set(passwords::hash("customer123")?),
        role: Set(Role::Customer),
        customer_id: Set(Some(ACME_CUSTOMER)),
        ..user(&admin, ACME_BUYER)
    };
    buyer.insert(transaction).await?;

    let headphones = ("HDP-001", "Wireless headphones", "100.00");
    product(transaction, &admin, ACME_HEADPHONES, headphones, 1000).await?;
    let keyboard = ("KEY-001", "Mechanical keyboard", "50.00");
    product(transaction, &admin, ACME_KEYBOARD, keyboard, 0).await?;
    for line in SMALL_STOCK {
        product(transaction, &admin, ProductId::new(), line, 5).await?;
    }
    trade(transaction, &admin).await
}

async fn globex(transaction: &Transaction) -> Result<(), Error> {
    let admin = business(
        transaction,
        (GLOBEX, "globex", "Globex Office"),
        ("admin@globex.example", "admin123"),
    )
    .await?;
    customer(transaction, &admin, GLOBEX_CUSTOMER, ("Initech", "2000.00")).await?;
    let desk = ("DSK-160", "Standing desk", "399.00");
    product(transaction, &admin, GLOBEX_DESK, desk, 100).await?;
    let chair = ("CHR-001", "Office chair", "149.00");
    product(transaction, &admin, GLOBEX_CHAIR, chair, 100).await
}

/// Adds a business and its admin, who is the actor of the rest.
async fn business(
    transaction: &Transaction,
    (id, slug, name): (BusinessId, &str, &str),
    (email, password): (&str, &str),
) -> Result<Caller, Error> {
    let row = businesses::ActiveModel {
        id: Set(id),
        slug: Set(slug.into()),
        name: Set(name.into()),
        currency: Set(Currency::USD),
        ..Default::default()
    };
    businesses::Entity::insert(row)
        .exec_without_returning(transaction)
        .await?;
    let admin = Caller {
        business_id: id,
        currency: Currency::USD,
        user_id: UserId::new(),
        authority: Authority::Admin,
        request_id: "demo".into(),
    };
    let row = users::ActiveModel {
        email: Set(email.into()),
        name: Set(format!("{name} admin")),
        password_hash: Set(passwords::hash(password)?),
        role: Set(Role::Admin),
        ..user(&admin, admin.user_id)
    };
    row.insert(transaction).await?;
    Ok(admin)
}

fn user(admin: &Caller, id: UserId) -> users::ActiveModel {
    users::ActiveModel {
        business_id: Set(admin.business_id),
        id: Set(id),
        ..Default::default()
    }
}

async fn customer(
    transaction: &Transaction,
    admin: &Caller,
    id: CustomerId,
    (name, credit_limit): (&str, &str),
) -> Result<(), Error> {
    let new = NewCustomer {
        name: name.into(),
        email: None,
        details: CustomerDetails::default(),
        credit: CreditTerms {
            credit_limit: Some(money(credit_limit)?),
            ..CreditTerms::default()
        },
        self_registered: false,
    };
    crate::identity::customers::insert(transaction, admin, id, &new).await?;
    Ok(())
}

async fn product(
    transaction: &Transaction,
    admin: &Caller,
    id: ProductId,
    (sku, name, price): CatalogueLine,
    stock: i64,
) -> Result<(), Error> {
    let new = NewProduct {
        details: Details {
            sku: sku.into(),
            name: name.into(),
            description: None,
            price: money(price)?,
            limit_per_customer: None,
            active: true,
            metadata: None,
            image_url: None,
        },
        stock,
    };
    crate::catalogue::products::insert(transaction, admin, id, &new).await?;
    Ok(())
}

/// Writes the past orders with their items, entries and payments, and the stock that they were sold from. A thousand
/// keyboards are left.
async fn trade(transaction: &Transaction, admin: &Caller) -> Result<(), Error> {
    let mut sales = Vec::new();
    for history in &HISTORIES {
        let id = CustomerId::new();
        customer(transaction, admin, id, (history.name, history.credit_limit)).await?;
        sales.extend(history.orders.iter().map(|order| (id, order)));
    }
    sales.sort_by_key(|(_, order)| std::cmp::Reverse(order.days_ago));

    let sold: i64 = sales.iter().map(|(_, order)| order.keyboards).sum();
    let mut on_hand = 1000 + sold;
    stock_keyboards(transaction, admin, on_hand).await?;
    let mut entries = Vec::new();
    for (customer, past) in sales {
        on_hand -= past.keyboards;
        entries.extend(sell(transaction, admin, customer, past, on_hand).await?);
    }
    write_ledger(transaction, admin, entries).await?;
    inventory::Entity::update_of(admin.business_id)
        .filter(inventory::Column::ProductId.eq(ACME_KEYBOARD))
        .col_expr(inventory::Column::OnHand, Expr::value(on_hand))
        .exec(transaction)
        .await?;
    Ok(())
}

async fn stock_keyboards(
    transaction: &Transaction,
    admin: &Caller,
    quantity: i64,
) -> Result<(), Error> {
    let (at, id) = moment(STOCKED_DAYS_AGO);
    let movement = stock_movements::ActiveModel {
        business_id: Set(admin.business_id),
        product_id: Set(ACME_KEYBOARD),
        id: Set(MovementId(id)),
        quantity: Set(quantity),
        on_hand_after: Set(quantity),
        reason: Set(Reason::Received),
        actor_id: Set(admin.user_id),
        created_at: Set(at),
        ..Default::default()
    };
    stock_movements::Entity::insert(movement)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// An entry before its balance is known. A charge has the date of its order.
struct Entry {
    at: DateTime<Utc>,
    id: Uuid,
    customer_id: CustomerId,
    kind: Kind,
    amount: Money,
    order_id: OrderId,
}

/// Writes a past order and its item. Returns its charge, and its payment if there was one.
async fn sell(
    transaction: &Transaction,
    admin: &Caller,
    customer_id: CustomerId,
    past: &PastOrder,
    on_hand_after: i64,
) -> Result<Vec<Entry>, Error> {
    let (at, id) = moment(past.days_ago);
    let order_id = OrderId(id);
    let unit_price = money("50.00")?;
    let total = unit_price.times(past.keyboards);
    let paid = money(past.paid)?;
    let order = orders::ActiveModel {
        business_id: Set(admin.business_id),
        id: Set(order_id),
        customer_id: Set(customer_id),
        status: Set(Status::Approved),
        payment_method: Set(PaymentMethod::Credit),
        total_amount: Set(total),
        amount_settled: Set(paid),
        due_at: Set(at + Days::new(30)),
        created_by: Set(admin.user_id),
        created_at: Set(at),
        updated_at: Set(at),
        ..Default::default()
    };
    orders::Entity::insert(order)
        .exec_without_returning(transaction)
        .await?;
    let item = order_items::ActiveModel {
        business_id: Set(admin.business_id),
        order_id: Set(order_id),
        product_id: Set(ACME_KEYBOARD),
        line: Set(0),
        sku: Set("KEY-001".into()),
        name: Set("Mechanical keyboard".into()),
        quantity: Set(past.keyboards),
        unit_price: Set(unit_price),
        line_total: Set(total),
        on_hand_after: Set(Some(on_hand_after)),
    };
    order_items::Entity::insert(item)
        .exec_without_returning(transaction)
        .await?;
    let entry = |(at, id), kind, amount| Entry {
        at,
        id,
        customer_id,
        kind,
        amount,
        order_id,
    };
    let charge = entry((at, id), Kind::Charge, total);
    let paid_days_ago = past.days_ago.saturating_sub(PAID_AFTER_DAYS);
    let payment = (paid > Money::ZERO).then(|| entry(moment(paid_days_ago), Kind::Payment, -paid));
    Ok([Some(charge), payment].into_iter().flatten().collect())
}

/// Writes the entries by time, each with the balance after it, and the final balances.
async fn write_ledger(
    transaction: &Transaction,
    admin: &Caller,
    mut entries: Vec<Entry>,
) -> Result<(), Error> {
    entries.sort_by_key(|entry| entry.at);
    let mut accounts: HashMap<CustomerId, Account> = HashMap::new();
    for entry in entries {
        let account = accounts.entry(entry.customer_id).or_default();
        let posting = account.post(entry.amount);
        let (at, id) = (entry.at, entry.id);
        let is_charge = entry.kind == Kind::Charge;
        let row = ledger_entries::ActiveModel {
            business_id: Set(admin.business_id),
            customer_id: Set(entry.customer_id),
            number: Set(posting.number),
            id: Set(LedgerEntryId(id)),
            kind: Set(entry.kind),
            amount: Set(posting.amount),
            balance_after: Set(posting.balance_after),
            order_id: Set(is_charge.then_some(entry.order_id)),
            effective_at: Set(at),
            created_at: Set(at),
        };
        ledger_entries::Entity::insert(row)
            .exec_without_returning(transaction)
            .await?;
        if !is_charge {
            write_payment(transaction, admin, &entry, posting).await?;
        }
        audit::record(transaction, admin, change(admin, &entry, posting)).await?;
    }
    for (customer, account) in accounts {
        customers::Entity::update_of(admin.business_id)
            .filter(customers::Column::Id.eq(customer))
            .col_expr(customers::Column::Balance, Expr::value(account.balance))
            .col_expr(
                customers::Column::EntryCount,
                Expr::value(account.entry_count),
            )
            .exec(transaction)
            .await?;
    }
    Ok(())
}

/// The audit entry of a past order or payment, without which no system could follow it.
fn change(admin: &Caller, entry: &Entry, posting: Posting) -> Change {
    let text = |amount: Money| amount.to_text(admin.currency);
    let (action, entity_type, entity_id, amount) = match entry.kind {
        Kind::Charge => (
            Action::OrderApproved,
            "order",
            entry.order_id.0,
            "total_amount",
        ),
        _ => (Action::PaymentReceived, "payment", entry.id, "amount"),
    };
    let mut after = json!({
        "customer_id": entry.customer_id,
        "customer_balance": text(posting.balance_after),
    });
    after[amount] = match entry.kind {
        Kind::Charge => text(entry.amount).into(),
        _ => text(-entry.amount).into(),
    };
    Change {
        action,
        entity_type,
        entity_id,
        before: None,
        after,
    }
}

/// Writes the payment behind an entry, and its allocation to the order.
async fn write_payment(
    transaction: &Transaction,
    admin: &Caller,
    entry: &Entry,
    posting: Posting,
) -> Result<(), Error> {
    let (at, id) = (entry.at, entry.id);
    let payment = payments::ActiveModel {
        business_id: Set(admin.business_id),
        id: Set(PaymentId(id)),
        customer_id: Set(entry.customer_id),
        entry_number: Set(posting.number),
        amount: Set(-posting.amount),
        method: Set("bank_transfer".into()),
        reference: Set(None),
        metadata: Set(None),
        received_at: Set(at),
        created_by: Set(admin.user_id),
        created_at: Set(at),
    };
    payments::Entity::insert(payment)
        .exec_without_returning(transaction)
        .await?;
    let allocation = allocations::ActiveModel {
        business_id: Set(admin.business_id),
        order_id: Set(entry.order_id),
        id: Set(AllocationId(id)),
        customer_id: Set(entry.customer_id),
        entry_number: Set(posting.number),
        amount: Set(-posting.amount),
        effective_at: Set(at),
        created_at: Set(at),
    };
    allocations::Entity::insert(allocation)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// A moment this many days ago, and an id that sorts by that moment.
fn moment(days_ago: u64) -> (DateTime<Utc>, Uuid) {
    let at = Utc::now() - Days::new(days_ago);
    let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
    let timestamp =
        uuid::Timestamp::from_unix(uuid::NoContext, seconds, at.timestamp_subsec_nanos());
    (at, Uuid::new_v7(timestamp))
}

fn money(text: &str) -> Result<Money, Error> {
    Money::parse(text, Currency::USD).map_err(|error| Error::Bug(format!("{text}: {error}")))
}
