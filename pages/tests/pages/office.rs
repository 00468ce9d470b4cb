//! The screens of the back office with sample data.

use entity::orders::{Attention, PaymentMethod, Status};
use entity::{CustomerId, Money, OrderId};
use pages::office::{
    Action, Actions, Chip, Dashboard, Day, Entry, Event, Frame, Login, OrderPage, OrderPaper,
    OrderRow, Ordering, Orders, RunningOut, Section, Shipment, Shipments,
};
use pages::shop::Choice;
use pages::{Form, Notice, Refusal};

use crate::samples::{Add, HOSTILE, at, form, hostile_order, id, layout, long, money, order};

const SECTIONS: [(&str, &str, &str); 2] = [
    ("Dashboard", "layout-dashboard", "/office/acme"),
    ("Orders", "package", "/office/acme/orders"),
];

fn frame(path: &str) -> Frame {
    let layout = layout(path);
    let sections = SECTIONS.into_iter().map(|(name, icon, address)| Section {
        name,
        icon,
        address: address.into(),
        is_current: path == address,
    });
    Frame {
        business: layout.business,
        user: Some("Ada Clerk".into()),
        sections: sections.collect(),
        path: path.into(),
        notice: None,
        request_id: layout.request_id,
    }
}

fn hostile(path: &str) -> Frame {
    let mut frame = frame(path);
    frame.business.name = HOSTILE.into();
    frame.user = Some(HOSTILE.into());
    frame.path = format!("{path}?q={HOSTILE}");
    frame.notice = Some(Notice::SignedIn);
    frame
}

pub(crate) fn screens(add: Add<'_>) {
    logins(add);
    dashboards(add);
    lists(add);
    shipments(add);
    orders(add);
}

fn logins(add: Add<'_>) {
    let visitor = |frame: Frame| Frame {
        user: None,
        sections: Vec::new(),
        ..frame
    };
    let login = |frame, form| Login {
        frame: visitor(frame),
        form,
        next: "/office/acme/orders?status=paid".into(),
    };
    add("office-login", &login(frame("/office/acme/login"), form()));
    let refused = Form {
        values: [("email".to_owned(), HOSTILE.to_owned())].into(),
        refusal: Some(
            Refusal::of("invalid_credentials", "").link("Log in at the store", "/shop/acme/login"),
        ),
        ..form()
    };
    add(
        "office-login-refused",
        &login(hostile("/office/acme/login"), refused),
    );
}

fn dashboards(add: Add<'_>) {
    let day = |day: u32| Day {
        day: format!("2026-11-{day:02}").parse().unwrap(),
        orders: i64::from(day % 4),
        net: money(["0.00", "250.00", "1234.50", "80.00"][day as usize % 4]),
    };
    let running_out = |name: &str, days_left| RunningOut {
        product_id: entity::ProductId(id(3)),
        sku: name.into(),
        name: name.into(),
        available: 3,
        days_left,
    };
    let dashboard = |frame, days: Vec<Day>| Dashboard {
        frame,
        days,
        due: money("2200.00"),
        overdue: money("800.00"),
        ages: vec![
            ("Not yet due", money("1400.00")),
            ("1 to 30 days", money("800.00")),
        ],
        running_out: vec![running_out("Football, size 5", 2)],
        attention: rows().split_off(4),
        to_ship: rows(),
    };
    let path = "/office/acme";
    add(
        "office-dashboard",
        &dashboard(frame(path), (1..=30).map(day).collect()),
    );
    add(
        "office-dashboard-none",
        &Dashboard {
            running_out: Vec::new(),
            attention: Vec::new(),
            to_ship: Vec::new(),
            ..dashboard(frame(path), vec![day(28)])
        },
    );
    let mut page = dashboard(hostile(path), (1..=30).map(day).collect());
    page.running_out = vec![running_out(HOSTILE, 0), running_out(&long(), 0)];
    for order in page.to_ship.iter_mut().chain(&mut page.attention) {
        order.customer_name = HOSTILE.into();
    }
    add("office-dashboard-hostile", &page);
}

fn row(number: u128, status: Status, method: PaymentMethod, due: &str) -> OrderRow {
    let is_due = due != "0.00";
    OrderRow {
        id: OrderId(id(number)),
        number: format!("SO-{number:05}"),
        reference: number.is_multiple_of(2).then(|| format!("PO-{number}")),
        customer_id: CustomerId(id(1)),
        customer_name: "Example Customer".into(),
        created_at: at("2026-11-30T09:12:00Z"),
        status,
        payment_method: method,
        total: money("1234.50"),
        due: money(due),
        due_at: is_due.then(|| at("2026-12-30T09:12:00Z")),
        is_overdue: false,
        attention: Vec::new(),
        can_ship: matches!(status, Status::Approved | Status::Paid),
    }
}

fn rows() -> Vec<OrderRow> {
    let mut overdue = row(4, Status::Fulfilled, PaymentMethod::Credit, "800.00");
    overdue.is_overdue = true;
    let mut disputed = row(5, Status::Paid, PaymentMethod::Card, "0.00");
    disputed.attention = vec![Attention::DisputeOpen, Attention::RefundFailed];
    disputed.can_ship = false;
    vec![
        row(1, Status::Approved, PaymentMethod::Credit, "1234.50"),
        row(2, Status::PaymentPending, PaymentMethod::Card, "1234.50"),
        row(3, Status::Cancelled, PaymentMethod::Credit, "0.00"),
        overdue,
        disputed,
    ]
}

fn choices(name: &'static str, texts: &[(&str, &str)]) -> (&'static str, Vec<Choice>) {
    let choices = texts.iter().map(|(value, text)| Choice {
        name,
        value: (*value).into(),
        text: (*text).into(),
        chosen: value.is_empty(),
    });
    (name, choices.collect())
}

fn list(frame: Frame, orders: Vec<OrderRow>, form: Form) -> Orders {
    Orders {
        frame,
        orders,
        form,
        statuses: choices("status", &[("approved", "Confirmed"), ("paid", "Paid")]).1,
        selects: vec![
            choices("unpaid", &[("", "All orders"), ("true", "Unpaid")]),
            choices(
                "sort",
                &[("", "The newest first"), ("created_at", "The oldest first")],
            ),
        ],
        chips: Vec::new(),
        is_narrowed: false,
        by_date: Ordering {
            state: "descending",
            address: Some("/office/acme/orders?sort=created_at".into()),
        },
        by_due_date: Ordering {
            state: "none",
            address: None,
        },
        first: None,
        next: Some("/office/acme/orders?cursor=x".into()),
        csv: "/office/acme/orders.csv".into(),
        shipping: Some(crate::samples::form()),
    }
}

fn lists(add: Add<'_>) {
    let path = "/office/acme/orders";
    add("office-orders", &list(frame(path), rows(), Form::default()));
    add(
        "office-orders-none",
        &list(frame(path), Vec::new(), Form::default()),
    );
    let mut narrowed = list(frame(path), Vec::new(), Form::default());
    narrowed.is_narrowed = true;
    narrowed.shipping = None;
    add("office-orders-nothing", &narrowed);
    let mut orders = rows();
    for order in &mut orders {
        order.customer_name = HOSTILE.into();
        order.reference = Some(HOSTILE.into());
    }
    let wrong = Form {
        values: [("q", HOSTILE), ("total_min", "many")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into(),
        faults: vec![("total_min".into(), "must be an amount".into())],
        ..Form::default()
    };
    let mut page = list(hostile(path), orders, wrong);
    page.chips = vec![Chip {
        name: "customer_id",
        value: HOSTILE.into(),
        text: format!("Customer: {HOSTILE}"),
        without: path.into(),
    }];
    add("office-orders-hostile", &page);
    let mut orders = rows();
    for order in &mut orders {
        order.customer_name = long();
        order.reference = Some(long());
    }
    add(
        "office-orders-long",
        &list(frame(path), orders, Form::default()),
    );
}

fn shipments(add: Add<'_>) {
    let shipments = |frame, refusals: &[Option<&str>]| Shipments {
        frame,
        shipments: rows()
            .into_iter()
            .zip(refusals)
            .map(|(order, refusal)| Shipment {
                order,
                refusal: refusal.map(str::to_owned),
            })
            .collect(),
        back: "/office/acme/orders?status=approved".into(),
    };
    let path = "/office/acme/orders/shipped";
    add(
        "office-shipments",
        &shipments(frame(path), &[None, Some("It is cancelled."), None]),
    );
    add("office-shipments-one", &shipments(frame(path), &[None]));
    add("office-shipments-none", &shipments(frame(path), &[]));
    add(
        "office-shipments-hostile",
        &shipments(hostile(path), &[Some(HOSTILE)]),
    );
}

fn action(scope: &'static str, obstacle: Option<&str>) -> Option<Action> {
    Some(Action {
        form: Form { scope, ..form() },
        obstacle: obstacle.map(str::to_owned),
    })
}

/// All that an admin may do with an order by card.
fn actions_by_card() -> Actions {
    Actions {
        ship: action("ship-", None),
        cancel: action("cancel-", None),
        refund: action("refund-", None),
        credit: None,
        write_off: None,
        is_disputed: true,
        refundable: money("250.00"),
        creditable: Money::ZERO,
    }
}

/// All that an admin may do with an order on credit.
fn actions_on_credit(obstacle: Option<&str>) -> Actions {
    Actions {
        ship: action("ship-", obstacle),
        cancel: action("cancel-", obstacle),
        refund: None,
        credit: action("credit-", obstacle),
        write_off: action("write-off-", obstacle),
        is_disputed: false,
        refundable: Money::ZERO,
        creditable: money("250.00"),
    }
}

fn entry(text: &str, detail: &str) -> Entry {
    Entry {
        at: Some(at("2026-11-30T10:00:00Z")),
        text: text.into(),
        detail: detail.into(),
        amount: money("25.00"),
        state: "in effect".into(),
    }
}

fn order_page(frame: Frame, order: pages::shop::Order, actions: Actions) -> OrderPage {
    OrderPage {
        frame,
        customer_id: CustomerId(id(1)),
        attention: Vec::new(),
        events: vec![
            Event {
                at: at("2026-11-30T09:12:00Z"),
                status: Status::Approved,
                role: None,
            },
            Event {
                at: at("2026-11-30T10:12:00Z"),
                status: Status::Fulfilled,
                role: Some("staff".into()),
            },
        ],
        tables: vec![
            ("Payments", Vec::new()),
            ("Refunds", vec![entry("scratched", "")]),
        ],
        actions,
        order,
    }
}

fn orders(add: Add<'_>) {
    let path = "/office/acme/orders/x";
    let by_card = order(Status::Paid, PaymentMethod::Card);
    let mut page = order_page(frame(path), by_card, actions_by_card());
    page.attention = vec![Attention::DisputeOpen];
    add("office-order-card", &page);
    let on_credit = || order(Status::Approved, PaymentMethod::Credit);
    add(
        "office-order-credit",
        &order_page(frame(path), on_credit(), actions_on_credit(None)),
    );
    let cancelled = order(Status::Cancelled, PaymentMethod::Credit);
    let obstacle = actions_on_credit(Some("The order is cancelled."));
    add(
        "office-order-cancelled",
        &order_page(frame(path), cancelled, obstacle),
    );
    let mut page = order_page(
        hostile(path),
        hostile_order(),
        actions_on_credit(Some(HOSTILE)),
    );
    page.tables = vec![(
        "Payments",
        vec![entry(HOSTILE, HOSTILE), entry(&long(), &long())],
    )];
    page.events[1].role = Some(HOSTILE.into());
    let refused = Form {
        values: [("amount", HOSTILE), ("scope", "amount")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into(),
        faults: vec![("amount".into(), "must be an amount".into())],
        scope: "credit-",
        ..form()
    };
    page.actions.credit = Some(Action {
        form: refused,
        obstacle: None,
    });
    add("office-order-hostile", &page);
    let paper = |frame, order, is_slip| OrderPaper {
        frame,
        order,
        is_slip,
    };
    add("office-slip", &paper(frame(path), on_credit(), true));
    add(
        "office-slip-hostile",
        &paper(hostile(path), hostile_order(), true),
    );
    add(
        "office-confirmation",
        &paper(frame(path), on_credit(), false),
    );
}
