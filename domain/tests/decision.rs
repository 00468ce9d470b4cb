//! These tests check invariants of the decision for arbitrary customers, stock and purchases, without a database.

#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration};
use domain::card::checkout::Terms;
use domain::card::provider::Limits;
use domain::catalogue::sales::Offer;
use domain::desk::decision::{
    BatchState, Bought, Buyer, CatalogueItem, Holds, Ordered, OverdueOrder, Sale, Selling,
};
use domain::desk::purchase::Purchase;
use domain::receivables::ledger::{self, Credit};
use domain::stock::Line;
use domain::stock::locked_stock::{LockedStock, StockLevel};
use domain::stock::reservations::NewReservation;
use domain::{Error, HoldLimit};
use entity::ledger_entries::Kind;
use entity::reservations::{CancelReason, Status};
use entity::sales::Kind as SaleKind;
use entity::{
    Currency, CustomerId, Money, OrderId, ProductId, Quantity, ReservationId, SaleId, UserId,
};
use proptest::prelude::*;
use uuid::Uuid;

fn customer(number: u128) -> CustomerId {
    CustomerId(Uuid::from_u128(number))
}

fn product(number: u128) -> ProductId {
    ProductId(Uuid::from_u128(number))
}

fn cents(amount: i64) -> Money {
    let text = format!("{}.{:02}", amount / 100, amount % 100);
    Money::parse(&text, Currency::USD).unwrap()
}

fn buyer_with(credit_limit: i64, balance: i64) -> Buyer {
    Buyer {
        credit_limit: cents(credit_limit),
        ledger: ledger::Account {
            balance: cents(balance),
            entry_count: 0,
            on_account: BTreeMap::new(),
        },
        on_hold: false,
        overdue: None,
        bought: HashMap::new(),
        holds: Holds::default(),
    }
}

fn catalogue_item(price: i64) -> CatalogueItem {
    CatalogueItem {
        sku: "SKU".into(),
        name: "Name".into(),
        price: cents(price),
        active: true,
        limit_per_customer: None,
        selling: Selling::Always,
    }
}

fn stock(price: i64, on_hand: i64) -> (CatalogueItem, StockLevel) {
    (catalogue_item(price), StockLevel::new(on_hand, 0, 0, 0))
}

/// The state of these customers and of these products, which are numbered from 1.
fn state(
    buyers: HashMap<CustomerId, Buyer>,
    stock: Vec<(CatalogueItem, StockLevel)>,
) -> BatchState {
    let mut state = BatchState {
        buyers,
        catalogue: HashMap::new(),
        locked_stock: LockedStock::new(DateTime::UNIX_EPOCH, HashMap::new()),
    };
    for (number, stock) in (1..).zip(stock) {
        put(&mut state, number, stock);
    }
    state
}

fn put(
    state: &mut BatchState,
    number: u128,
    (catalogue_item, counts): (CatalogueItem, StockLevel),
) {
    state.catalogue.insert(product(number), catalogue_item);
    state.locked_stock.counts.insert(product(number), counts);
}

fn order() -> OrderId {
    OrderId(Uuid::from_u128(7))
}

fn actor() -> UserId {
    UserId(Uuid::from_u128(8))
}

fn line(number: u128, quantity: i64) -> Line {
    Line {
        product_id: product(number),
        quantity: Quantity::new(quantity).unwrap(),
        quoted: None,
    }
}

fn purchase(buyer: u128, lines: &[Line]) -> Purchase {
    Purchase {
        customer_id: customer(buyer),
        lines: lines.to_vec(),
        details: None,
    }
}

/// One customer (credit limit 10.00, balance 1.00) and two products at 1.00 each, with 5 and 3 on hand.
fn small_shop() -> BatchState {
    state(
        [(customer(1), buyer_with(1000, 100))].into(),
        [stock(100, 5), stock(100, 3)].into(),
    )
}

/// Executes a purchase and asserts that it is rejected and leaves the state unchanged.
fn refusal(state: &mut BatchState, purchase: &Purchase) -> Error {
    let before = state.clone();
    let refusal = state.purchase(purchase, order(), actor()).unwrap_err();
    assert_eq!(*state, before, "a refused purchase changes nothing");
    refusal
}

#[test]
fn a_sale_takes_stock_and_credit() {
    let mut state = small_shop();
    let sale = state
        .purchase(&purchase(1, &[line(1, 2), line(2, 3)]), order(), actor())
        .unwrap();
    assert_eq!(sale.total, cents(500));
    assert_eq!((sale.charge.number, sale.charge.amount), (1, cents(500)));
    assert_eq!(sale.charge.balance_after, cents(600));
    assert_eq!(sale.credit_used, []);
    assert_eq!(sale.available_credit, cents(400));
    assert_eq!(state.buyers[&customer(1)].ledger.balance, cents(600));
    assert_eq!(state.locked_stock.counts[&product(1)].on_hand, 3);
    assert_eq!(state.locked_stock.counts[&product(2)].on_hand, 0);
    assert_eq!(sale.lines[1].on_hand_after, Some(0));
}

#[test]
fn two_lines_of_one_product_are_one_demand() {
    let mut state = small_shop();
    let twice = purchase(1, &[line(1, 3), line(2, 1), line(1, 3)]);
    let Error::InsufficientStock(shortages) = refusal(&mut state, &twice) else {
        panic!("sold six of five units")
    };
    assert_eq!(shortages.len(), 1);
    assert_eq!((shortages[0].requested, shortages[0].available), (6, 5));

    let sale = state
        .purchase(
            &purchase(1, &[line(1, 2), line(2, 1), line(1, 3)]),
            order(),
            actor(),
        )
        .unwrap();
    let sold: Vec<_> = sale
        .lines
        .iter()
        .map(|line| (line.product_id, line.quantity))
        .collect();
    assert_eq!(
        sold,
        [(product(1), 5), (product(2), 1)],
        "in the order of the request"
    );
}

#[test]
fn every_short_product_is_named_at_once() {
    let mut state = small_shop();
    let Error::InsufficientStock(shortages) =
        refusal(&mut state, &purchase(1, &[line(2, 9), line(1, 9)]))
    else {
        panic!("sold nine of five units")
    };
    let named: Vec<_> = shortages
        .iter()
        .map(|short| (short.product_id, short.available))
        .collect();
    assert_eq!(named, [(product(2), 3), (product(1), 5)]);
}

#[test]
fn reserved_units_are_not_for_sale() {
    let mut state = small_shop();
    state
        .locked_stock
        .counts
        .get_mut(&product(1))
        .unwrap()
        .reserved = 4;
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[line(1, 2)])),
        Error::InsufficientStock(_)
    ));
    state
        .purchase(&purchase(1, &[line(1, 1)]), order(), actor())
        .unwrap();
}

#[test]
fn the_last_cent_of_credit_can_be_spent_and_not_one_more() {
    let mut state = small_shop();
    put(&mut state, 3, stock(900, 10));
    put(&mut state, 4, stock(901, 10));
    let Error::CreditLimitExceeded {
        credit_limit,
        balance,
        amount,
    } = refusal(&mut state, &purchase(1, &[line(4, 1)]))
    else {
        panic!("the credit limit was exceeded by a cent")
    };
    assert_eq!(
        (credit_limit, balance, amount),
        (cents(1000), cents(100), cents(901))
    );
    let sale = state
        .purchase(&purchase(1, &[line(3, 1)]), order(), actor())
        .unwrap();
    assert_eq!(sale.available_credit, Money::ZERO);
}

#[test]
fn credit_on_account_settles_orders_at_once_the_oldest_credit_first() {
    let mut state = small_shop();
    let buyer = state.buyers.get_mut(&customer(1)).unwrap();
    buyer.ledger.post(-cents(450));
    for (number, kind, amount) in [(1, Kind::Payment, 250), (3, Kind::CreditNote, 200)] {
        let credit = Credit {
            kind,
            amount: cents(amount),
            since: DateTime::UNIX_EPOCH,
        };
        buyer.ledger.on_account.insert(number, credit);
    }
    let mut settled = |quantity| {
        let sale = state
            .purchase(&purchase(1, &[line(1, quantity)]), order(), actor())
            .unwrap();
        let used = sale.credit_used.iter();
        used.map(|used| (used.entry_number, used.amount))
            .collect::<Vec<_>>()
    };
    assert_eq!(settled(2), [(1, cents(200))]);
    assert_eq!(settled(2), [(1, cents(50)), (3, cents(150))]);
    assert_eq!(settled(1), [(3, cents(50))]);
    assert_eq!(state.buyers[&customer(1)].ledger.credit(), Money::ZERO);
}

#[test]
fn credit_on_account_raises_what_can_be_bought() {
    let mut state = small_shop();
    let ledger = &mut state.buyers.get_mut(&customer(1)).unwrap().ledger;
    // The customer owed 100 cents of a limit of 1,000, and then paid 300.
    ledger.post(-cents(300));
    put(&mut state, 3, stock(1200, 10));
    let sale = state
        .purchase(&purchase(1, &[line(3, 1)]), order(), actor())
        .unwrap();
    assert_eq!(sale.available_credit, Money::ZERO);
}

#[test]
fn a_customer_that_is_long_overdue_buys_nothing() {
    let mut state = small_shop();
    let overdue = OverdueOrder {
        id: order(),
        due_at: DateTime::UNIX_EPOCH,
    };
    state.buyers.get_mut(&customer(1)).unwrap().overdue = Some(overdue);
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[line(1, 1)])),
        Error::CustomerOverdue { order_id, due_at, .. }
            if (order_id, due_at) == (overdue.id, overdue.due_at)
    ));
}

#[test]
fn a_balance_over_a_lowered_limit_buys_nothing() {
    let mut state = small_shop();
    state.buyers.insert(customer(1), buyer_with(1000, 2000));
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[line(1, 1)])),
        Error::CreditLimitExceeded { .. }
    ));
}

#[test]
fn the_price_is_the_products_and_a_stale_quote_is_refused() {
    let mut state = small_shop();
    let quoted = |amount| Line {
        quoted: Some(cents(amount)),
        ..line(1, 1)
    };
    let Error::PriceChanged { current, .. } = refusal(&mut state, &purchase(1, &[quoted(1)]))
    else {
        panic!("sold at the buyer's price")
    };
    assert_eq!(current, cents(100));
    state
        .purchase(&purchase(1, &[quoted(100)]), order(), actor())
        .unwrap();
}

#[test]
fn unknown_products_and_customers_are_refused_by_id() {
    let mut state = small_shop();
    assert!(matches!(
        refusal(&mut state, &purchase(9, &[line(1, 1)])),
        Error::CustomerNotFound(id) if id == customer(9)
    ));
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[line(1, 1), line(9, 1)])),
        Error::ProductNotFound(id) if id == product(9)
    ));
    state.catalogue.get_mut(&product(2)).unwrap().active = false;
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[line(2, 1)])),
        Error::ProductNotFound(id) if id == product(2)
    ));
}

#[test]
fn a_customer_on_hold_buys_nothing() {
    let mut state = small_shop();
    state.buyers.get_mut(&customer(1)).unwrap().on_hold = true;
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[line(1, 1)])),
        Error::CustomerOnHold(_)
    ));
}

#[test]
fn a_limit_per_customer_counts_what_was_bought_before() {
    let mut state = small_shop();
    state
        .catalogue
        .get_mut(&product(1))
        .unwrap()
        .limit_per_customer = Some(3);
    let buyer = state.buyers.get_mut(&customer(1)).unwrap();
    buyer.bought.insert(
        product(1),
        Bought {
            ever: 1,
            in_sales: BTreeMap::new(),
        },
    );
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[line(1, 2), line(1, 1)])),
        Error::PurchaseLimitReached {
            limit: 3,
            bought: 1,
            requested: 3,
            ..
        }
    ));
    state
        .purchase(&purchase(1, &[line(1, 2)]), order(), actor())
        .unwrap();
    assert!(
        matches!(
            refusal(&mut state, &purchase(1, &[line(1, 1)])),
            Error::PurchaseLimitReached { bought: 3, .. }
        ),
        "the sales of this batch count too"
    );
}

#[test]
fn an_order_beyond_every_column_is_refused_and_does_not_overflow() {
    let mut state = small_shop();
    let mut dear = stock(0, i64::MAX);
    dear.0.price = Money::parse("999999999999999.99", Currency::USD).unwrap();
    put(&mut state, 3, dear);
    let lines = vec![line(3, 1_000_000); 500];
    assert!(matches!(
        refusal(&mut state, &purchase(1, &lines)),
        Error::CreditLimitExceeded { .. }
    ));
}

/// The time for which an order by card holds its stock, in seconds.
const PAYMENT_SECONDS: i32 = 1800;

/// Terms of orders by card, without limits on the amount.
const TERMS: Terms = Terms {
    provider: "none",
    seconds: PAYMENT_SECONDS,
    limits: Some(Limits::NONE),
};

fn reservation(number: u128) -> ReservationId {
    ReservationId(Uuid::from_u128(number))
}

fn order_by_card(
    state: &mut BatchState,
    purchase: &Purchase,
    hold: u128,
) -> Result<Ordered, Error> {
    state.checkout(purchase, &TERMS, (order(), reservation(hold)), actor())
}

/// Does the same as [`refusal`] for an order by card.
fn refusal_by_card(state: &mut BatchState, purchase: &Purchase) -> Error {
    let before = state.clone();
    let refusal = order_by_card(state, purchase, 99).unwrap_err();
    assert_eq!(*state, before, "a refused order changes nothing");
    refusal
}

/// Does the same as [`refusal`] for the confirmation of a reservation by card.
fn refusal_to_confirm(state: &mut BatchState, hold: u128) -> Error {
    let before = state.clone();
    let refusal = state
        .confirm_by_card(reservation(hold), &TERMS, order())
        .unwrap_err();
    assert_eq!(*state, before, "a refused confirmation changes nothing");
    refusal
}

fn reserve(state: &mut BatchState, buyer: u128, lines: &[Line], hold: u128) -> Status {
    let request = NewReservation {
        customer_id: customer(buyer),
        lines: lines.to_vec(),
        ttl_seconds: 600,
        wait: true,
    };
    let made = state.reserve(&request, reservation(hold), actor()).unwrap();
    made.status
}

fn status_of(state: &BatchState, hold: u128) -> (Status, Option<OrderId>) {
    let reservation = &state.locked_stock.reservations[&reservation(hold)];
    (reservation.status, reservation.order_id)
}

fn counts(state: &BatchState, number: u128) -> (i64, i64) {
    let counts = &state.locked_stock.counts[&product(number)];
    (counts.on_hand, counts.reserved)
}

#[test]
fn an_order_by_card_holds_stock_and_owes_nothing() {
    let mut state = small_shop();
    let buyer = state.buyers[&customer(1)].clone();
    let ordered = order_by_card(&mut state, &purchase(1, &[line(2, 3), line(1, 2)]), 1).unwrap();
    assert_eq!(ordered.total, cents(500));
    let lines = ordered.lines.iter();
    let lines: Vec<_> = lines
        .map(|line| (line.product_id, line.quantity, line.on_hand_after))
        .collect();
    assert_eq!(lines, [(product(2), 3, None), (product(1), 2, None)]);
    assert_eq!((counts(&state, 1), counts(&state, 2)), ((5, 2), (3, 3)));
    assert_eq!(state.buyers[&customer(1)], buyer);
    assert_eq!(status_of(&state, 1), (Status::Confirmed, Some(order())));
    let hold = &state.locked_stock.reservations[&ordered.reservation_id];
    assert!(hold.items.iter().all(|item| item.held));
    assert_eq!(hold.expires_at, ordered.expires_at);
    let life = ordered.expires_at - ordered.created_at;
    assert_eq!(life, Duration::seconds(PAYMENT_SECONDS.into()));
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[line(2, 1)])),
        Error::InsufficientStock(short) if short[0].available == 0
    ));
}

#[test]
fn neither_credit_nor_what_is_overdue_matters_to_an_order_by_card() {
    let mut state = small_shop();
    state.buyers.insert(customer(1), buyer_with(0, 5_000));
    state.buyers.get_mut(&customer(1)).unwrap().overdue = Some(OverdueOrder {
        id: order(),
        due_at: DateTime::UNIX_EPOCH,
    });
    assert_eq!(reserve(&mut state, 1, &[line(2, 1)], 2), Status::Active);
    order_by_card(&mut state, &purchase(1, &[line(1, 5)]), 1).unwrap();
    state
        .confirm_by_card(reservation(2), &TERMS, order())
        .unwrap();
}

#[test]
fn a_customer_on_hold_orders_nothing_by_card() {
    let mut state = small_shop();
    assert_eq!(reserve(&mut state, 1, &[line(1, 1)], 2), Status::Active);
    state.buyers.get_mut(&customer(1)).unwrap().on_hold = true;
    assert!(matches!(
        refusal_by_card(&mut state, &purchase(1, &[line(1, 1)])),
        Error::CustomerOnHold(_)
    ));
    assert!(matches!(
        refusal_to_confirm(&mut state, 2),
        Error::CustomerOnHold(_)
    ));
    assert!(matches!(
        refusal_by_card(&mut state, &purchase(9, &[line(1, 1)])),
        Error::CustomerNotFound(_)
    ));
}

#[test]
fn a_card_is_charged_neither_with_nothing_nor_with_more_than_an_order_can_be() {
    let mut state = small_shop();
    put(&mut state, 3, stock(0, 10));
    assert!(matches!(
        refusal_by_card(&mut state, &purchase(1, &[line(3, 1)])),
        Error::NothingToPay
    ));
    assert_eq!(reserve(&mut state, 1, &[line(3, 1)], 2), Status::Active);
    assert!(matches!(
        refusal_to_confirm(&mut state, 2),
        Error::NothingToPay
    ));
    let mut dear = stock(0, i64::MAX);
    dear.0.price = Money::parse("999999999999999.99", Currency::USD).unwrap();
    put(&mut state, 4, dear);
    assert!(matches!(
        refusal_by_card(&mut state, &purchase(1, &vec![line(4, 1_000_000); 500])),
        Error::AmountTooLarge(_)
    ));
    order_by_card(&mut state, &purchase(1, &[line(3, 1), line(1, 1)]), 3).unwrap();
}

/// The quantity of a product in a reservation.
fn has(state: &BatchState, hold: u128, number: u128) -> i64 {
    state.locked_stock.reservations[&reservation(hold)].quantity_of(product(number))
}

#[test]
fn an_order_takes_as_much_of_what_its_customer_holds_as_it_buys_and_of_the_oldest_first() {
    for by_card in [false, true] {
        let mut state = small_shop();
        assert_eq!(reserve(&mut state, 1, &[line(1, 3)], 1), Status::Active);
        state.locked_stock.now += Duration::seconds(1);
        let both = [line(1, 2), line(2, 1)];
        assert_eq!(reserve(&mut state, 1, &both, 2), Status::Active);
        let before = counts(&state, 1);
        assert_eq!(before, (5, 5));
        let four = purchase(1, &[line(1, 4)]);
        if by_card {
            order_by_card(&mut state, &four, 3).unwrap();
            assert_eq!(counts(&state, 1), (5, 5));
        } else {
            state.purchase(&four, order(), actor()).unwrap();
            assert_eq!(counts(&state, 1), (1, 1));
        }
        assert_eq!(status_of(&state, 1), (Status::Confirmed, Some(order())));
        assert_eq!(status_of(&state, 2), (Status::Active, None));
        assert_eq!((has(&state, 2, 1), has(&state, 2, 2)), (1, 1));
        assert_eq!(counts(&state, 2), (3, 1));
        // Uses up the last held unit of the product.
        state
            .purchase(&purchase(1, &[line(1, 1)]), order(), actor())
            .unwrap();
        assert_eq!((has(&state, 2, 1), has(&state, 2, 2)), (0, 1));
        assert_eq!(status_of(&state, 2), (Status::Active, None));
    }
}

#[test]
fn held_units_are_bought_at_their_price_and_only_the_rest_at_the_current_one() {
    let mut state = small_shop();
    assert_eq!(reserve(&mut state, 1, &[line(1, 2)], 1), Status::Active);
    state.catalogue.get_mut(&product(1)).unwrap().price = cents(120);
    // An order has one price per product.
    let Error::PricesDiffer { product_id, prices } =
        refusal(&mut state, &purchase(1, &[line(1, 3)]))
    else {
        panic!("sold at two prices")
    };
    assert_eq!(product_id, product(1));
    assert_eq!(prices, [(2, cents(100)), (1, cents(120))]);
    let quoted = Line {
        quoted: Some(cents(120)),
        ..line(1, 2)
    };
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[quoted])),
        Error::PriceChanged { current, .. } if current == cents(100)
    ));
    let sale = state
        .purchase(&purchase(1, &[line(1, 2)]), order(), actor())
        .unwrap();
    assert_eq!(
        (sale.total, sale.lines[0].unit_price),
        (cents(200), cents(100))
    );
    let sale = state
        .purchase(&purchase(1, &[line(1, 1)]), order(), actor())
        .unwrap();
    assert_eq!(sale.total, cents(120));
}

#[test]
fn held_units_of_a_product_off_sale_can_be_bought_and_no_more() {
    let mut state = small_shop();
    for hold in [1, 2, 3] {
        assert_eq!(reserve(&mut state, 1, &[line(1, 1)], hold), Status::Active);
    }
    state.catalogue.get_mut(&product(1)).unwrap().active = false;
    state
        .locked_stock
        .counts
        .get_mut(&product(1))
        .unwrap()
        .inactive = true;
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[line(1, 4)])),
        Error::ProductNotFound(_)
    ));
    state
        .purchase(&purchase(1, &[line(1, 1)]), order(), actor())
        .unwrap();
    order_by_card(&mut state, &purchase(1, &[line(1, 1)]), 4).unwrap();
    state.confirm(reservation(3), order(), actor()).unwrap();
    assert_eq!(counts(&state, 1), (3, 1));
}

#[test]
fn the_first_position_may_buy_unreserved_stock_and_waits_for_the_rest() {
    for by_card in [false, true] {
        let mut state = small_shop();
        for buyer in [2, 3] {
            state.buyers.insert(customer(buyer), buyer_with(1000, 0));
        }
        // Three of five are held. The first position on the waitlist wants four, the second one.
        assert_eq!(reserve(&mut state, 3, &[line(1, 3)], 1), Status::Active);
        assert_eq!(reserve(&mut state, 1, &[line(1, 4)], 2), Status::Waiting);
        assert_eq!(reserve(&mut state, 2, &[line(1, 1)], 3), Status::Waiting);
        for (buyer, quantity, available) in [(2, 1, 0), (3, 4, 3), (1, 3, 2)] {
            assert!(matches!(
                refusal(&mut state, &purchase(buyer, &[line(1, quantity)])),
                Error::InsufficientStock(short) if short[0].available == available
            ));
        }
        let two = purchase(1, &[line(1, 2)]);
        if by_card {
            order_by_card(&mut state, &two, 4).unwrap();
        } else {
            state.purchase(&two, order(), actor()).unwrap();
        }
        assert_eq!(status_of(&state, 2), (Status::Waiting, None));
        assert_eq!(has(&state, 2, 1), 2);
        // Released units go first to the rest of the first position, and then to the next.
        state.cancel(reservation(1), actor()).unwrap();
        assert_eq!(status_of(&state, 2).0, Status::Active);
        assert_eq!(status_of(&state, 3).0, Status::Active);
        assert_eq!(has(&state, 2, 1), 2);
    }
}

#[test]
fn a_place_counts_within_a_limit_once_when_its_customer_buys() {
    let mut state = small_shop();
    state.buyers.insert(customer(2), buyer_with(1000, 0));
    let catalogue_item = state.catalogue.get_mut(&product(1)).unwrap();
    catalogue_item.limit_per_customer = Some(4);
    assert_eq!(reserve(&mut state, 2, &[line(1, 4)], 1), Status::Active);
    assert_eq!(reserve(&mut state, 1, &[line(1, 4)], 2), Status::Waiting);
    state
        .purchase(&purchase(1, &[line(1, 1)]), order(), actor())
        .unwrap();
    assert_eq!(has(&state, 2, 1), 3);
}

#[test]
fn places_end_when_their_product_is_off_sale() {
    let mut state = small_shop();
    state.buyers.insert(customer(2), buyer_with(1000, 0));
    assert_eq!(reserve(&mut state, 2, &[line(1, 4)], 1), Status::Active);
    assert_eq!(reserve(&mut state, 1, &[line(1, 4)], 2), Status::Waiting);
    state
        .locked_stock
        .counts
        .get_mut(&product(1))
        .unwrap()
        .inactive = true;
    state.cancel(reservation(1), actor()).unwrap();
    assert_eq!(status_of(&state, 2), (Status::Cancelled, None));
    assert_eq!(
        state.locked_stock.reservations[&reservation(2)].cancel_reason,
        Some(CancelReason::ProductInactive)
    );
    assert_eq!(counts(&state, 1), (5, 0));
    assert_eq!(state.locked_stock.counts[&product(1)].waiting, 0);
}

fn limited(limit: i32, price: Option<i64>) -> Offer {
    Offer {
        sale_id: SaleId::new(),
        name: "Sale".into(),
        kind: SaleKind::Discount,
        opens_at: DateTime::UNIX_EPOCH,
        closes_at: DateTime::UNIX_EPOCH + Duration::days(1),
        price: price.map(cents),
        limit_per_customer: Some(limit),
    }
}

#[test]
fn each_buys_at_the_cheapest_price_that_is_left_to_them_and_holds_count() {
    let mut state = small_shop();
    state.buyers.insert(customer(2), buyer_with(1000, 0));
    let offers = [limited(1, Some(70)), limited(2, Some(80))];
    let catalogue_item = state.catalogue.get_mut(&product(1)).unwrap();
    catalogue_item.selling = Selling::at(&offers, cents(100), DateTime::UNIX_EPOCH);
    let buy = |state: &mut BatchState, buyer| {
        let sale = state.purchase(&purchase(buyer, &[line(1, 1)]), order(), actor());
        sale.unwrap().total
    };
    assert_eq!(buy(&mut state, 1), cents(70));
    assert_eq!(buy(&mut state, 1), cents(80));
    assert_eq!(reserve(&mut state, 2, &[line(1, 1)], 1), Status::Active);
    let held = state.locked_stock.reservations[&reservation(1)].total();
    assert_eq!(held, cents(70));
    // The first customer has used up the discount.
    assert_eq!(buy(&mut state, 1), cents(100));
    let two = purchase(2, &[line(1, 2)]);
    assert!(matches!(
        refusal(&mut state, &two),
        Error::PricesDiffer { .. }
    ));
}

#[test]
fn more_than_is_left_of_a_sale_is_refused_and_not_sold_dearer() {
    let mut state = small_shop();
    let catalogue_item = state.catalogue.get_mut(&product(1)).unwrap();
    catalogue_item.selling = Selling::at(&[limited(2, Some(70))], cents(100), DateTime::UNIX_EPOCH);
    assert!(matches!(
        refusal(&mut state, &purchase(1, &[line(1, 3)])),
        Error::PurchaseLimitReached {
            limit: 2,
            bought: 0,
            requested: 3,
            ..
        }
    ));
}

fn hold_limit(state: &mut BatchState, max_units: Option<i64>, max_value: Option<i64>) {
    let buyer = state.buyers.get_mut(&customer(1)).unwrap();
    buyer.holds = Holds {
        max_units,
        max_value: max_value.map(cents),
        units: 1,
        value: cents(100),
    };
}

#[test]
fn a_customer_holds_at_most_their_limit_and_buying_on_credit_is_not_holding() {
    let mut state = small_shop();
    hold_limit(&mut state, Some(4), None);
    assert_eq!(reserve(&mut state, 1, &[line(1, 1)], 1), Status::Active);
    order_by_card(&mut state, &purchase(1, &[line(2, 1)]), 2).unwrap();
    let request = NewReservation {
        customer_id: customer(1),
        lines: vec![line(1, 2)],
        ttl_seconds: 600,
        wait: true,
    };
    let before = state.clone();
    let refused = state
        .reserve(&request, reservation(3), actor())
        .unwrap_err();
    let expected = HoldLimit::Units {
        limit: 4,
        held: 3,
        requested: 2,
    };
    assert!(matches!(refused, Error::HoldLimitExceeded(limit) if limit == expected));
    assert_eq!(state, before);
    // The customer's own holds prevent neither an order by card nor a purchase on credit.
    assert!(matches!(
        refusal_by_card(&mut state, &purchase(1, &[line(1, 3)])),
        Error::HoldLimitExceeded(HoldLimit::Units {
            held: 2,
            requested: 3,
            ..
        })
    ));
    order_by_card(&mut state, &purchase(1, &[line(1, 2)]), 4).unwrap();
    state
        .purchase(&purchase(1, &[line(1, 3)]), order(), actor())
        .unwrap();
}

#[test]
fn the_value_limit_of_holds_counts_waitlist_positions() {
    let mut state = small_shop();
    state.buyers.insert(customer(2), buyer_with(1000, 0));
    hold_limit(&mut state, None, Some(400));
    assert_eq!(reserve(&mut state, 2, &[line(1, 5)], 1), Status::Active);
    assert_eq!(reserve(&mut state, 1, &[line(1, 2)], 2), Status::Waiting);
    let expected = HoldLimit::Value {
        limit: cents(400),
        held: cents(300),
        requested: cents(200),
    };
    assert!(matches!(
        refusal_by_card(&mut state, &purchase(1, &[line(2, 2)])),
        Error::HoldLimitExceeded(limit) if limit == expected
    ));
    order_by_card(&mut state, &purchase(1, &[line(2, 1)]), 3).unwrap();
}

#[test]
fn units_of_an_own_reservation_beyond_the_order_stay_held() {
    let mut state = small_shop();
    for buyer in [2, 3] {
        state.buyers.insert(customer(buyer), buyer_with(1000, 0));
    }
    assert_eq!(reserve(&mut state, 1, &[line(2, 3)], 1), Status::Active);
    assert_eq!(reserve(&mut state, 2, &[line(2, 1)], 2), Status::Waiting);
    // New customers come after the waitlist, for every payment method.
    assert!(matches!(
        refusal_by_card(&mut state, &purchase(3, &[line(2, 1)])),
        Error::InsufficientStock(short) if short[0].available == 0
    ));
    order_by_card(&mut state, &purchase(1, &[line(2, 2)]), 4).unwrap();
    assert_eq!(status_of(&state, 1), (Status::Active, None));
    assert_eq!(status_of(&state, 2), (Status::Waiting, None));
    assert_eq!((has(&state, 1, 2), counts(&state, 2)), (1, (3, 3)));
}

#[test]
fn every_short_product_is_named_to_the_buyer_by_card() {
    let mut state = small_shop();
    let Error::InsufficientStock(short) =
        refusal_by_card(&mut state, &purchase(1, &[line(1, 6), line(2, 4)]))
    else {
        panic!("held six of five units")
    };
    assert_eq!((short[0].requested, short[0].available), (6, 5));
    assert_eq!((short[1].requested, short[1].available), (4, 3));
}

#[test]
fn units_ordered_by_card_count_as_bought() {
    let mut state = small_shop();
    let catalogue_item = state.catalogue.get_mut(&product(1)).unwrap();
    catalogue_item.limit_per_customer = Some(4);
    assert_eq!(reserve(&mut state, 1, &[line(1, 1)], 1), Status::Active);
    order_by_card(&mut state, &purchase(1, &[line(1, 1), line(2, 1)]), 2).unwrap();
    let reached = |refusal: Error| match refusal {
        Error::PurchaseLimitReached { bought, limit, .. } => (bought, limit),
        other => panic!("{other:?}"),
    };
    // The unit that the order used up counts as bought, not as held.
    let four = purchase(1, &[line(1, 4)]);
    assert_eq!(reached(refusal_by_card(&mut state, &four)), (1, 4));
    assert_eq!(reserve(&mut state, 1, &[line(1, 1)], 3), Status::Active);
    state
        .confirm_by_card(reservation(3), &TERMS, order())
        .unwrap();
    assert_eq!(reached(refusal_by_card(&mut state, &four)), (2, 4));
    assert_eq!(reached(refusal(&mut state, &four)), (2, 4));
    order_by_card(&mut state, &purchase(1, &[line(1, 2)]), 5).unwrap();
}

#[test]
fn a_reservation_confirmed_by_card_keeps_what_it_holds_at_its_prices_and_is_confirmed_once() {
    let mut state = small_shop();
    let both = [line(2, 1), line(1, 2)];
    assert_eq!(reserve(&mut state, 1, &both, 1), Status::Active);
    state.catalogue.get_mut(&product(1)).unwrap().price = cents(700);
    state.locked_stock.now += Duration::seconds(500);
    let ordered = state
        .confirm_by_card(reservation(1), &TERMS, order())
        .unwrap();
    assert_eq!(ordered.reservation_id, reservation(1));
    assert_eq!(ordered.total, cents(300));
    assert_eq!(ordered.lines[1].unit_price, cents(100));
    assert_eq!((counts(&state, 1), counts(&state, 2)), ((5, 2), (3, 1)));
    assert_eq!(status_of(&state, 1), (Status::Confirmed, Some(order())));
    let hold = &state.locked_stock.reservations[&reservation(1)];
    assert_eq!(
        hold.expires_at,
        state.locked_stock.now + Duration::seconds(PAYMENT_SECONDS.into())
    );
    assert!(hold.items.iter().all(|item| item.held));
    let resolved = |error: Error| {
        matches!(
            error,
            Error::ReservationResolved {
                from: Status::Confirmed,
                ..
            }
        )
    };
    assert!(resolved(refusal_to_confirm(&mut state, 1)));
    assert!(resolved(
        state.confirm(reservation(1), order(), actor()).unwrap_err()
    ));
    assert!(resolved(state.cancel(reservation(1), actor()).unwrap_err()));
}

#[test]
fn only_an_active_reservation_is_confirmed_by_card() {
    let mut state = small_shop();
    state.buyers.insert(customer(2), buyer_with(1000, 0));
    assert_eq!(reserve(&mut state, 1, &[line(2, 3)], 1), Status::Active);
    assert_eq!(reserve(&mut state, 2, &[line(2, 3)], 2), Status::Waiting);
    assert!(matches!(
        refusal_to_confirm(&mut state, 2),
        Error::ReservationResolved {
            from: Status::Waiting,
            ..
        }
    ));
    assert!(matches!(
        refusal_to_confirm(&mut state, 9),
        Error::ReservationNotFound(_)
    ));
    state.locked_stock.now += Duration::seconds(600);
    assert!(matches!(
        refusal_to_confirm(&mut state, 1),
        Error::ReservationExpired { .. }
    ));
}

prop_compose! {
    fn arbitrary_buyer()(
        limit in 0..100_000_i64,
        due in 0..100_000_i64,
        on_hold in prop::bool::weighted(0.1),
        credits in prop::collection::btree_map(1..9_i64, (prop::bool::ANY, 1..20_000_i64), 0..3),
    ) -> Buyer {
        let on_account: BTreeMap<i64, Credit> = credits
            .into_iter()
            .map(|(number, (is_money, amount))| {
                let kind = if is_money { Kind::Payment } else { Kind::CreditNote };
                (number, Credit { kind, amount: cents(amount), since: DateTime::UNIX_EPOCH })
            })
            .collect();
        let paid_ahead = on_account.values().map(|credit| credit.amount).sum();
        let balance = cents(due) - paid_ahead;
        let ledger = ledger::Account { balance, entry_count: 9, on_account };
        Buyer { on_hold, ledger, ..buyer_with(limit, 0) }
    }
}

prop_compose! {
    fn arbitrary_stock()(
        price in 0..5_000_i64,
        on_hand in 0..60_i64,
        reserved in 0..60_i64,
        active in prop::bool::weighted(0.9),
        limit_per_customer in prop::option::weighted(0.2, 1..20_i64),
    ) -> (CatalogueItem, StockLevel) {
        let catalogue_item = CatalogueItem { active, limit_per_customer, ..catalogue_item(price) };
        (catalogue_item, StockLevel::new(on_hand, reserved.min(on_hand), 0, 0))
    }
}

prop_compose! {
    fn arbitrary_books()(
        buyers in prop::collection::vec(arbitrary_buyer(), 1..4),
        locked_stock in prop::collection::vec(arbitrary_stock(), 1..5),
    ) -> BatchState {
        state((0..).map(customer).zip(buyers).collect(), locked_stock)
    }
}

prop_compose! {
    fn arbitrary_line()(number in 0..6_u128, quantity in 1..15_i64, quoted in prop::option::weighted(0.1, 0..5_000_i64)) -> Line {
        Line { quoted: quoted.map(cents), ..line(number, quantity) }
    }
}

prop_compose! {
    fn arbitrary_purchase()(buyer in 0..4_u128, lines in prop::collection::vec(arbitrary_line(), 1..5)) -> Purchase {
        purchase(buyer, &lines)
    }
}

/// The whole outcome of a decision, as text.
fn seen(decision: &Result<Sale, Error>) -> String {
    format!("{decision:?}")
}

proptest! {
    #[test]
    fn stock_never_falls_below_what_is_reserved_and_no_sale_passes_a_limit(
        mut state in arbitrary_books(),
        purchases in prop::collection::vec(arbitrary_purchase(), 1..40),
    ) {
        for purchase in &purchases {
            let sale = state.purchase(purchase, order(), actor());
            for stock in state.locked_stock.counts.values() {
                prop_assert!(stock.on_hand >= stock.reserved);
            }
            if sale.is_ok() {
                let buyer = &state.buyers[&purchase.customer_id];
                prop_assert!(buyer.ledger.balance <= buyer.credit_limit);
                prop_assert!(!buyer.on_hold);
            }
        }
    }

    #[test]
    fn a_refused_purchase_changes_nothing(
        mut state in arbitrary_books(),
        purchases in prop::collection::vec(arbitrary_purchase(), 1..40),
    ) {
        for purchase in &purchases {
            let before = state.clone();
            if state.purchase(purchase, order(), actor()).is_err() {
                prop_assert_eq!(&state, &before);
            }
        }
    }

    #[test]
    fn orders_by_card_hold_their_units_and_never_more_than_there_are(
        mut state in arbitrary_books(),
        purchases in prop::collection::vec((prop::bool::ANY, arbitrary_purchase()), 1..40),
    ) {
        let start = state.clone();
        let mut held: HashMap<ProductId, i64> = HashMap::new();
        let mut gone: HashMap<ProductId, i64> = HashMap::new();
        for (number, (by_card, purchase)) in (1..).zip(&purchases) {
            let before = state.clone();
            let (lines, change) = if *by_card {
                match order_by_card(&mut state, purchase, number) {
                    Ok(ordered) => (ordered.lines, &mut held),
                    Err(_) => {
                        prop_assert_eq!(&state, &before);
                        continue;
                    }
                }
            } else {
                match state.purchase(purchase, order(), actor()) {
                    Ok(sale) => (sale.lines, &mut gone),
                    Err(_) => continue,
                }
            };
            for line in lines {
                prop_assert_eq!(line.on_hand_after.is_none(), *by_card);
                *change.entry(line.product_id).or_default() += line.quantity;
            }
        }
        for (id, stock) in &state.locked_stock.counts {
            let (held, gone) = (held.get(id).unwrap_or(&0), gone.get(id).unwrap_or(&0));
            prop_assert_eq!(stock.on_hand, start.locked_stock.counts[id].on_hand - gone);
            prop_assert_eq!(stock.reserved, start.locked_stock.counts[id].reserved + held);
            prop_assert!(stock.on_hand >= stock.reserved);
        }
    }

    #[test]
    fn totals_are_exact_and_nothing_appears_or_vanishes(
        mut state in arbitrary_books(),
        purchases in prop::collection::vec(arbitrary_purchase(), 1..40),
    ) {
        let start = state.clone();
        let mut sold: HashMap<ProductId, i64> = HashMap::new();
        let mut charged: HashMap<CustomerId, Money> = HashMap::new();
        for purchase in &purchases {
            let Ok(sale) = state.purchase(purchase, order(), actor()) else { continue };
            for line in &sale.lines {
                prop_assert_eq!(line.unit_price, start.catalogue[&line.product_id].price);
                prop_assert_eq!(line.line_total, line.unit_price.times(line.quantity));
                *sold.entry(line.product_id).or_default() += line.quantity;
            }
            prop_assert_eq!(sale.total, sale.lines.iter().map(|line| line.line_total).sum());
            prop_assert_eq!(sale.charge.amount, sale.total);
            let sum = charged.entry(purchase.customer_id).or_insert(Money::ZERO);
            *sum = *sum + sale.total;
            let asked: i64 = purchase.lines.iter().map(|line| line.quantity.get()).sum();
            prop_assert_eq!(sale.lines.iter().map(|line| line.quantity).sum::<i64>(), asked);
        }
        for (id, stock) in &state.locked_stock.counts {
            let gone = sold.get(id).copied().unwrap_or(0);
            prop_assert_eq!(stock.on_hand, start.locked_stock.counts[id].on_hand - gone);
        }
        for (id, buyer) in &state.buyers {
            let added = charged.get(id).copied().unwrap_or(Money::ZERO);
            prop_assert_eq!(buyer.ledger.balance, start.buyers[id].ledger.balance + added);
        }
    }

    #[test]
    fn credit_on_account_is_used_up_before_anything_is_due_and_no_more_than_there_is(
        mut state in arbitrary_books(),
        purchases in prop::collection::vec(arbitrary_purchase(), 1..40),
    ) {
        for purchase in &purchases {
            let before = state.buyers.get(&purchase.customer_id).cloned();
            let Ok(sale) = state.purchase(purchase, order(), actor()) else { continue };
            let (before, after) = (before.unwrap().ledger, &state.buyers[&purchase.customer_id].ledger);
            prop_assert_eq!(sale.charge.number, before.entry_count + 1);
            prop_assert_eq!(after.entry_count, sale.charge.number);
            let used: Money = sale.credit_used.iter().map(|used| used.amount).sum();
            prop_assert_eq!(used, before.credit().min(sale.total));
            prop_assert_eq!(after.credit(), before.credit() - used);
            for used in &sale.credit_used {
                prop_assert!(used.amount > Money::ZERO);
                let left = after.on_account[&used.entry_number].amount;
                prop_assert_eq!(left, before.on_account[&used.entry_number].amount - used.amount);
                prop_assert!(left >= Money::ZERO);
            }
        }
    }

    /// Between two batches the state goes through the database, where only the written accounts and stock levels
    /// remain. Earlier purchases of a customer are read again from the orders.
    #[test]
    fn the_decision_does_not_depend_on_how_requests_are_cut_into_batches(
        state in arbitrary_books(),
        purchases in prop::collection::vec(arbitrary_purchase(), 1..40),
        cuts in prop::collection::vec(1..8_usize, 40),
    ) {
        let mut whole = state.clone();
        let together: Vec<_> = purchases.iter().map(|purchase| seen(&whole.purchase(purchase, order(), actor()))).collect();

        let mut rows = state;
        let mut bought: HashMap<(CustomerId, ProductId), i64> = HashMap::new();
        let mut apart = Vec::new();
        let mut rest = purchases.as_slice();
        for cut in cuts {
            let (batch, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            let mut locked = rows.clone();
            for ((customer, product), quantity) in &bought {
                if locked.catalogue[product].limit_per_customer.is_some() {
                    let buyer = locked.buyers.get_mut(customer).unwrap();
                    buyer.bought.insert(*product, Bought { ever: *quantity, in_sales: BTreeMap::new() });
                }
            }
            for purchase in batch {
                let decision = locked.purchase(purchase, order(), actor());
                apart.push(seen(&decision));
                for line in decision.iter().flat_map(|sale| &sale.lines) {
                    *bought.entry((purchase.customer_id, line.product_id)).or_default() += line.quantity;
                }
            }
            for (id, buyer) in locked.buyers {
                rows.buyers.get_mut(&id).unwrap().ledger = buyer.ledger;
            }
            for (id, stock) in locked.locked_stock.counts {
                rows.locked_stock.counts.get_mut(&id).unwrap().on_hand = stock.on_hand;
            }
        }
        prop_assert_eq!(apart, together);
    }
}
