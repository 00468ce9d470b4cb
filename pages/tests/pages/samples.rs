//! Every screen with sample data: empty, full, refused, with long names and with hostile ones.

use chrono::{DateTime, Utc};
use entity::orders::{CancelReason, PaymentMethod, Status};
use entity::reservations::Status as ReservationStatus;
use entity::{
    Address, AddressKind, Currency, CustomerAddress, Money, OrderId, ProductId, ReservationId,
    TimeZone,
};
use pages::shop::{
    Account, AddressPage, Cart, CartLine, Catalogue, Checkout, Choice, Credit, Door, Entry,
    ErrorPage, Figures, Home, LineProblem, Login, NotForSale, Order, OrderLine, OrderPage,
    OrderRow, Orders, Paper, PaperKind, Pay, PayState, Picture, Product, ProductPage, Register,
    Reservation, ReservationRow, Reservations, Reset, Sale, SaleState, Session, Statement, Step,
    address_members,
};
use pages::{Business, Form, Layout, Notice, Refusal, Template};
use uuid::Uuid;

use crate::office;

/// A name that would run a script and leave its attribute if it were not escaped.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// A name of the greatest length, without a place to break.
pub(crate) fn long() -> String {
    "Donaudampfschifffahrtsgesellschaftskapitän".repeat(4)
}

pub(crate) fn money(text: &str) -> Money {
    Money::parse(text, Currency::USD).unwrap()
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x650e_8400_e29b_41d4_a716_4466_5544_0000 + number)
}

pub(crate) fn layout(path: &str) -> Layout {
    Layout {
        business: Business {
            slug: "acme".into(),
            name: "Acme Supplies".into(),
            currency: Currency::USD,
            time_zone: "Europe/Paris".parse::<TimeZone>().unwrap(),
        },
        user: Some("Example Buyer".into()),
        is_customer: true,
        cart_count: 3,
        search: String::new(),
        path: path.into(),
        notice: None,
        request_id: "0190a5d4-7b1c-7000-8000-000000000001".into(),
    }
}

fn visitor(path: &str) -> Layout {
    Layout {
        user: None,
        is_customer: false,
        cart_count: 0,
        ..layout(path)
    }
}

fn hostile(path: &str) -> Layout {
    let mut layout = layout(path);
    layout.business.name = HOSTILE.into();
    layout.user = Some(HOSTILE.into());
    layout.search = HOSTILE.into();
    layout.path = format!("{path}?q={HOSTILE}");
    layout.notice = Some(Notice::AddedToCart);
    layout
}

pub(crate) fn form() -> Form {
    Form::new("7f3c2f0e-0f7a-4f3e-9a51-8d0c6c1f2b11")
}

pub(crate) fn product(number: u128, sku: &str, name: &str, price: &str, available: i64) -> Product {
    Product {
        id: ProductId(id(number)),
        sku: sku.into(),
        name: name.into(),
        description: None,
        picture: None,
        price: money(price),
        list_price: money(price),
        available,
        waiting: 0,
        limit_per_customer: None,
        sale: None,
        not_for_sale: None,
    }
}

pub(crate) fn products() -> Vec<Product> {
    let lines = [
        ("HDP-001", "Wireless headphones", "100.00", 1000),
        ("KEY-001", "Mechanical keyboard", "50.00", 1000),
        ("CAM-200", "Action camera", "249.00", 5),
        ("CHG-030", "USB-C charger 65 W", "39.90", 3),
        ("HUB-007", "USB hub, seven ports", "29.95", 0),
        ("LMP-011", "Desk lamp", "34.50", 12),
        ("MIC-010", "Podcast microphone", "119.00", 5),
        ("MOU-002", "Wireless mouse", "25.00", 40),
        ("PWR-020", "Power bank 20,000 mAh", "45.00", 5),
        ("SPK-003", "Bluetooth speaker", "79.00", 5),
        ("TAB-101", "Drawing tablet", "189.00", 5),
        ("BAL-005", "Football, size 5", "24.99", 5),
        ("BTL-075", "Steel bottle 0.75 l", "18.00", 50),
        ("DMB-010", "Dumbbells, 2 × 5 kg", "49.90", 5),
        ("MAT-180", "Yoga mat", "22.50", 5),
        ("RKT-300", "Tennis racket", "139.00", 5),
        ("TNT-002", "Tent for two", "159.00", 5),
        ("DSK-160", "Standing desk", "399.00", 100),
        ("CHR-001", "Office chair", "149.00", 100),
        ("XYZ-999", "A product without a picture", "12345.00", 20000),
    ];
    let mut products: Vec<Product> = (0..)
        .zip(lines)
        .map(|(number, (sku, name, price, available))| product(number, sku, name, price, available))
        .collect();
    products[4].waiting = 12;
    products[5].sale = Some(sale(SaleState::Open));
    products[5].price = money("24.50");
    products[6].not_for_sale = Some(NotForSale::NotYetOpen(at("2026-12-01T17:00:00Z")));
    products[7].not_for_sale = Some(NotForSale::Closed(at("2026-11-28T17:00:00Z")));
    products
}

fn sale(state: SaleState) -> Sale {
    Sale {
        name: "Winter rush".into(),
        is_exclusive: false,
        state,
        opens_at: at("2026-12-01T17:00:00Z"),
        closes_at: at("2026-12-01T18:00:00Z"),
        seconds_left: 93,
        price: money("24.50"),
        limit_per_customer: Some(2),
    }
}

fn catalogue(layout: Layout, products: Vec<Product>) -> Catalogue {
    Catalogue {
        layout,
        products,
        q: String::new(),
        fault: None,
        sorts: Vec::new(),
        filters: Vec::new(),
        first: None,
        next: None,
        stream: Some("/shop/acme/stock?products=a,b".into()),
    }
}

fn product_page(layout: Layout, product: Product) -> ProductPage {
    ProductPage {
        layout,
        product,
        form: form(),
        can_hold: true,
        reservation: None,
        stream: Some("/shop/acme/stock?products=a".into()),
    }
}

/// Every screen in its states, by a name for a file.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let mut add = |name: &'static str, screen: &dyn Render| all.push((name, screen.html()));
    homes(&mut add);
    errors(&mut add);
    logins(&mut add);
    catalogues(&mut add);
    single_products(&mut add);
    carts(&mut add);
    checkouts(&mut add);
    orders(&mut add);
    reservations(&mut add);
    accounts(&mut add);
    payments(&mut add);
    office::screens(&mut add);
    all
}

/// A screen, whatever its type.
pub(crate) trait Render {
    fn html(&self) -> String;
}

impl<T: Template> Render for T {
    fn html(&self) -> String {
        self.render().unwrap()
    }
}

pub(crate) type Add<'a> = &'a mut dyn FnMut(&'static str, &dyn Render);

fn homes(add: Add<'_>) {
    let login = |email: &str| vec![("Login".to_owned(), email.to_owned(), "admin123".to_owned())];
    let door = |title: &str, icon, logins| Door {
        title: title.into(),
        text: "Browse, fill a cart, order on credit or by card, and see your account.".into(),
        address: "/shop/acme".into(),
        icon,
        logins,
    };
    add(
        "home-demo",
        &Home {
            doors: vec![
                door("The store", "store", login("customer@example.com")),
                door("The office", "receipt-text", login("admin@example.com")),
                door("The API", "file-text", Vec::new()),
            ],
            unknown_business: None,
        },
    );
    add(
        "home",
        &Home {
            doors: Vec::new(),
            unknown_business: None,
        },
    );
    add(
        "home-unknown",
        &Home {
            doors: Vec::new(),
            unknown_business: Some(HOSTILE.into()),
        },
    );
}

fn errors(add: Add<'_>) {
    let error = |status, title: &str, message: &str, link: &str| ErrorPage {
        status,
        title: title.into(),
        message: message.into(),
        request_id: "0190a5d4-7b1c-7000-8000-000000000001".into(),
        links: vec![("Back to the store".into(), link.into())],
    };
    add(
        "error-not-found",
        &error(
            404,
            "This page does not exist",
            "The link may be old, or the address has a typo.",
            "/shop/acme",
        ),
    );
    let hostile = format!("/shop/{HOSTILE}");
    add("error-hostile", &error(403, HOSTILE, HOSTILE, &hostile));
}

fn logins(add: Add<'_>) {
    add(
        "login",
        &Login {
            layout: visitor("/shop/acme/login"),
            form: form(),
            next: "/shop/acme/cart".into(),
        },
    );
    let mut refused = form();
    refused.values.insert("email".into(), HOSTILE.into());
    refused.refusal = Some(Refusal::of("invalid_credentials", "…"));
    add(
        "login-refused",
        &Login {
            layout: hostile("/shop/acme"),
            form: refused,
            next: HOSTILE.into(),
        },
    );
    add(
        "register",
        &Register {
            layout: visitor("/shop/acme/register"),
            form: form(),
            next: "/shop/acme".into(),
        },
    );
    add(
        "reset",
        &Reset {
            layout: visitor("/shop/acme/reset"),
            form: form(),
            next: "/shop/acme".into(),
        },
    );
    let mut wrong = form();
    wrong.values.insert("email".into(), HOSTILE.into());
    wrong.faults = vec![("new".into(), "must differ from the present password".into())];
    add(
        "reset-refused",
        &Reset {
            layout: hostile("/shop/acme/reset"),
            form: wrong,
            next: HOSTILE.into(),
        },
    );
    let mut faults = form();
    faults.values.insert("email".into(), "ada@".into());
    faults
        .values
        .insert("password".into(), "must never be shown".into());
    faults.faults = vec![
        ("name".into(), "must have 1 to 200 characters".into()),
        (
            "email".into(),
            "must be an email address such as \"ada@example.com\"".into(),
        ),
        (
            "password".into(),
            "is among the most common passwords".into(),
        ),
    ];
    add(
        "register-faults",
        &Register {
            layout: visitor("/shop/acme/register"),
            form: faults,
            next: "/shop/acme".into(),
        },
    );
}

fn catalogues(add: Add<'_>) {
    let mut full = catalogue(layout("/shop/acme"), products());
    full.next = Some("/shop/acme?cursor=abc".into());
    full.layout.notice = Some(Notice::SignedIn);
    let choice = |name, value: &str, text: &str, chosen| Choice {
        name,
        value: value.into(),
        text: text.into(),
        chosen,
    };
    full.sorts = vec![
        choice("sort", "name", "Name", true),
        choice("sort", "price", "Price", false),
    ];
    full.filters = vec![choice("available", "true", "In stock only", false)];
    add("catalogue", &full);
    let mut found = catalogue(visitor("/shop/acme?q=usb"), products().split_off(17));
    found.q = "usb".into();
    found.layout.search = "usb".into();
    found.first = Some("/shop/acme?q=usb".into());
    add("catalogue-found", &found);
    let mut nothing = catalogue(visitor("/shop/acme?q=zzz"), Vec::new());
    nothing.q = "zzz".into();
    nothing.fault = Some(
        "cursor: This page of the list does not exist. The list starts from its beginning.".into(),
    );
    add("catalogue-nothing", &nothing);
    add(
        "catalogue-empty",
        &catalogue(visitor("/shop/acme"), Vec::new()),
    );
    let mut names = vec![
        product(1, HOSTILE, HOSTILE, "999999999999999.99", 1),
        product(2, &long(), &long(), "0.00", 1_000_000_000),
    ];
    names[0].picture = Some(Picture {
        address: format!("/media/{HOSTILE}"),
        width: 960,
        height: 720,
    });
    let mut all = products();
    for product in &mut all {
        product.picture = Some(picture(960, 640));
    }
    add("catalogue-pictured", &catalogue(layout("/shop/acme"), all));
    let mut hostile = catalogue(hostile("/shop/acme"), names);
    hostile.q = HOSTILE.into();
    add("catalogue-hostile", &hostile);
}

/// An uploaded picture of this size.
fn picture(width: i32, height: i32) -> Picture {
    Picture {
        address: format!("/shop/acme/pictures/{}", id(900)),
        width,
        height,
    }
}

fn single_products(add: Add<'_>) {
    let path = "/shop/acme/products/650e8400-e29b-41d4-a716-446655440000";
    let mut plain = products().remove(0);
    let mut pictured = plain.clone();
    pictured.picture = Some(picture(960, 720));
    add("product-pictured", &product_page(layout(path), pictured));
    plain.description = Some("Closed headphones with noise cancelling.\n\n· 40 hours with one charge\n· Bluetooth 5.4 and cable\n· Folds into its case".into());
    plain.limit_per_customer = Some(10);
    add("product", &product_page(layout(path), plain.clone()));
    let mut before = plain.clone();
    before.sale = Some(Sale {
        is_exclusive: true,
        ..sale(SaleState::Upcoming)
    });
    before.not_for_sale = Some(NotForSale::NotYetOpen(at("2026-12-01T17:00:00Z")));
    add("product-sale-before", &product_page(visitor(path), before));
    let mut during = plain.clone();
    during.sale = Some(Sale {
        seconds_left: 3725,
        ..sale(SaleState::Open)
    });
    during.price = money("24.50");
    during.available = 4;
    add(
        "product-sale-open",
        &product_page(layout(path), during.clone()),
    );
    during.available = 0;
    during.waiting = 37;
    let mut waiting = product_page(layout(path), during.clone());
    add("product-sale-all-held", &waiting);
    waiting.layout.user = None;
    waiting.can_hold = false;
    add("product-sale-all-held-visitor", &waiting);
    let mut after = plain.clone();
    after.sale = Some(sale(SaleState::Closed));
    after.not_for_sale = Some(NotForSale::Closed(at("2026-12-01T18:00:00Z")));
    add("product-sale-after", &product_page(layout(path), after));
    let mut inactive = plain;
    inactive.not_for_sale = Some(NotForSale::Inactive);
    add("product-inactive", &product_page(layout(path), inactive));
    let mut worst = product(1, &long(), HOSTILE, "999999999999999.99", 3);
    worst.description = Some(format!("{HOSTILE}\n{}", long()));
    worst.sale = Some(Sale {
        name: HOSTILE.into(),
        ..sale(SaleState::Open)
    });
    let mut refused = product_page(hostile(path), worst);
    refused
        .form
        .values
        .insert("quantity".into(), HOSTILE.into());
    refused.form.refusal = Some(
        Refusal::of("unknown", HOSTILE)
            .figure(HOSTILE, HOSTILE)
            .link(HOSTILE, "/shop/acme"),
    );
    add("product-hostile", &refused);
}

fn line(product: Product, quantity: i64, problem: Option<LineProblem>) -> CartLine {
    CartLine {
        line_total: product.price.times(quantity),
        product,
        quantity,
        problem,
    }
}

fn total(lines: &[CartLine]) -> Money {
    lines.iter().map(|line| line.line_total).sum()
}

fn plain_lines() -> Vec<CartLine> {
    let mut products = products().into_iter();
    vec![
        line(products.next().unwrap(), 2, None),
        line(products.next().unwrap(), 1, None),
    ]
}

fn hostile_lines() -> Vec<CartLine> {
    let worst = product(9, HOSTILE, HOSTILE, "999999999999999.99", 3);
    let long = product(10, "LONG-1", &long(), "1.00", 3);
    vec![
        line(
            worst,
            1_000_000,
            Some(LineProblem::Shortage { available: 3 }),
        ),
        line(long, 1, None),
    ]
}

fn carts(add: Add<'_>) {
    let cart = |layout, lines: Vec<CartLine>| Cart {
        layout,
        form: form(),
        total: total(&lines),
        lines,
    };
    let path = "/shop/acme/cart";
    add("cart-empty", &cart(visitor(path), Vec::new()));
    add("cart", &cart(visitor(path), plain_lines()));
    let mut staff = cart(layout(path), plain_lines());
    staff.layout.is_customer = false;
    add("cart-staff", &staff);
    let of = |number: usize| products().remove(number);
    let problems = vec![
        line(of(3), 5, Some(LineProblem::Shortage { available: 3 })),
        line(of(4), 1, Some(LineProblem::SoldOut)),
        line(
            of(1),
            2,
            Some(LineProblem::PriceChanged {
                was: money("45.00"),
            }),
        ),
        line(of(6), 1, Some(LineProblem::NotForSale)),
        line(
            of(5),
            3,
            Some(LineProblem::LimitReached {
                limit: 2,
                bought: 1,
            }),
        ),
    ];
    let mut changed = cart(layout(path), problems);
    changed.layout.notice = Some(Notice::CartChanged);
    add("cart-problems", &changed);
    add("cart-hostile", &cart(hostile(path), hostile_lines()));
}

fn credit(available: &str) -> Credit {
    Credit {
        limit: money("1000.00"),
        balance: money("1000.00") - money(available),
        available: money(available),
        terms_days: 30,
    }
}

fn address(name: Option<&str>) -> Address {
    Address {
        name: name.map(str::to_owned),
        line1: "12 St James's Square".into(),
        line2: None,
        postal_code: Some("SW1Y 4JH".into()),
        city: Some("London".into()),
        region: None,
        country: "GB".into(),
    }
}

fn hostile_address() -> Address {
    Address {
        name: Some(HOSTILE.into()),
        line1: HOSTILE.into(),
        line2: Some(long()),
        postal_code: Some(HOSTILE.into()),
        city: None,
        region: Some(HOSTILE.into()),
        country: "GB".into(),
    }
}

fn checkouts(add: Add<'_>) {
    let checkout = |layout, credit, by_card, lines: Vec<CartLine>| Checkout {
        layout,
        form: form(),
        total: total(&lines),
        lines,
        credit,
        by_card,
        addresses: vec![address(Some("Example Retail Ltd")), address(None)],
    };
    let path = "/shop/acme/checkout";
    let fits = Some(credit("1000.00"));
    add(
        "checkout",
        &checkout(layout(path), fits, true, plain_lines()),
    );
    let mut refused = checkout(layout(path), Some(credit("120.00")), true, plain_lines());
    refused.form.refusal = Some(
        Refusal::of("credit_limit_exceeded", "")
            .figure("Order total", "$250.00")
            .figure("Available credit", "$120.00")
            .link("Change the cart", "/shop/acme/cart"),
    );
    refused
        .form
        .values
        .insert("payment_method".into(), "credit".into());
    add("checkout-refused", &refused);
    let mut faults = checkout(layout(path), fits, false, plain_lines());
    faults.addresses.clear();
    faults.form.values.insert("delivery".into(), "other".into());
    faults
        .form
        .values
        .insert("delivery_address/country".into(), "UK".into());
    faults.form.faults = vec![
        (
            "delivery_address/line1".into(),
            "must have 1 to 200 characters".into(),
        ),
        (
            "delivery_address/country".into(),
            "must be the two letters of a country, such as \"GB\"".into(),
        ),
    ];
    add("checkout-faults", &faults);
    add(
        "checkout-no-way",
        &checkout(layout(path), None, false, plain_lines()),
    );
    let mut worst = checkout(hostile(path), Some(credit("0.00")), true, hostile_lines());
    worst.addresses = vec![hostile_address()];
    worst.form.values.insert("reference".into(), HOSTILE.into());
    worst
        .form
        .values
        .insert("note".into(), format!("</textarea>{HOSTILE}"));
    worst.form.faults = vec![(HOSTILE.into(), HOSTILE.into())];
    add("checkout-hostile", &worst);
}

pub(crate) fn order(status: Status, method: PaymentMethod) -> Order {
    let sold = |number: u128, sku: &str, name: &str, quantity: i64, price: &str| OrderLine {
        product_id: ProductId(id(number)),
        sku: sku.into(),
        name: name.into(),
        quantity,
        unit_price: money(price),
        line_total: money(price).times(quantity),
        picture: (number == 1).then(|| picture(960, 720)),
    };
    Order {
        id: OrderId(id(77)),
        number: "6FZ8-K3M9-1QXD".into(),
        status,
        payment_method: method,
        customer_name: "Example Retail Ltd".into(),
        created_at: at("2026-11-30T09:12:00Z"),
        due_at: at("2026-12-30T09:12:00Z"),
        lines: vec![
            sold(0, "HDP-001", "Wireless headphones", 2, "100.00"),
            sold(1, "KEY-001", "Mechanical keyboard", 1, "50.00"),
        ],
        total: money("250.00"),
        paid: Money::ZERO,
        credited: Money::ZERO,
        refunded: Money::ZERO,
        due: money("250.00"),
        is_overdue: false,
        cancel_reason: None,
        tracking_reference: None,
        reference: Some("PO-2026-0815".into()),
        note: None,
        delivery_address: Some(address(Some("Example Retail Ltd, warehouse"))),
    }
}

pub(crate) fn hostile_order() -> Order {
    let mut order = order(Status::Fulfilled, PaymentMethod::Credit);
    order.customer_name = HOSTILE.into();
    order.lines[0].name = HOSTILE.into();
    order.lines[0].sku = HOSTILE.into();
    order.lines[1].name = long();
    order.tracking_reference = Some(HOSTILE.into());
    order.reference = Some(HOSTILE.into());
    order.note = Some(format!("{HOSTILE}\n{}", long()));
    order.delivery_address = Some(hostile_address());
    order.paid = money("999999999999999.99");
    order
}

fn step(at_text: &str, status: Option<Status>, text: &str) -> Step {
    Step {
        at: at(at_text),
        status,
        text: text.into(),
    }
}

fn order_page(layout: Layout, order: Order) -> OrderPage {
    OrderPage {
        layout,
        order,
        steps: vec![step("2026-11-30T09:12:00Z", Some(Status::Approved), "")],
        form: form(),
        can_cancel: true,
        can_pay: false,
        seconds_to_pay: 0,
        just_placed: false,
    }
}

fn orders(add: Add<'_>) {
    let path = "/shop/acme/orders/650e8400-e29b-41d4-a716-44665544004d";
    let credit = || order(Status::Approved, PaymentMethod::Credit);
    add("order", &order_page(layout(path), credit()));
    let mut placed = order_page(layout(path), credit());
    placed.just_placed = true;
    add("order-placed", &placed);
    let mut to_pay = order_page(
        layout(path),
        order(Status::PaymentPending, PaymentMethod::Card),
    );
    to_pay.can_pay = true;
    to_pay.seconds_to_pay = 1200;
    add("order-to-pay", &to_pay);
    to_pay.just_placed = true;
    add("order-placed-to-pay", &to_pay);
    let mut done = order_page(
        layout(path),
        order(Status::Fulfilled, PaymentMethod::Credit),
    );
    done.order.paid = money("100.00");
    done.order.due = money("150.00");
    done.order.is_overdue = true;
    done.order.tracking_reference = Some("1Z 999 AA1 01 2345 6784".into());
    done.order.note = Some("Please ring twice.\nGate code 1234.".into());
    done.can_cancel = false;
    done.steps
        .push(step("2026-12-02T14:30:00Z", Some(Status::Fulfilled), ""));
    done.steps.push(step(
        "2026-12-10T08:00:00Z",
        None,
        "Payment of $100.00 received",
    ));
    add("order-overdue", &done);
    let mut cancelled = order_page(layout(path), order(Status::Cancelled, PaymentMethod::Card));
    cancelled.order.cancel_reason = Some(CancelReason::PaymentExpired);
    cancelled.order.due = Money::ZERO;
    cancelled.can_cancel = false;
    cancelled.form.refusal = Some(Refusal::of("invalid_transition", ""));
    add("order-cancelled", &cancelled);
    let mut worst = order_page(hostile(path), hostile_order());
    worst
        .steps
        .push(step("2026-12-10T08:00:00Z", None, HOSTILE));
    add("order-hostile", &worst);
    papers(add, path);
    lists(add);
}

fn papers(add: Add<'_>, path: &str) {
    let paper = |layout, order, kind| Paper {
        layout,
        order,
        kind,
        seller: vec!["1 Warehouse Road".into(), "75001 Paris".into(), "FR".into()],
        payments: Vec::new(),
    };
    let credit = order(Status::Approved, PaymentMethod::Credit);
    add(
        "paper-confirmation",
        &paper(layout(path), credit.clone(), PaperKind::Confirmation),
    );
    let mut receipt = paper(layout(path), credit, PaperKind::Receipt);
    receipt.order.paid = money("250.00");
    receipt.order.due = Money::ZERO;
    receipt.payments = vec![
        (at("2026-12-01T10:00:00Z"), money("100.00")),
        (at("2026-12-08T10:00:00Z"), money("150.00")),
    ];
    add("paper-receipt", &receipt);
    let mut worst = paper(hostile(path), hostile_order(), PaperKind::Receipt);
    worst.seller = vec![HOSTILE.into()];
    add("paper-hostile", &worst);
}

fn lists(add: Add<'_>) {
    let row = |number: u128, status, reference: Option<&str>, due: &str| OrderRow {
        id: OrderId(id(number)),
        number: "6FZ8-K3M9-1QXD".into(),
        reference: reference.map(str::to_owned),
        created_at: at("2026-11-30T09:12:00Z"),
        status,
        total: money("1250.00"),
        due: money(due),
        is_overdue: number == 2,
    };
    let list = |layout, orders| Orders {
        layout,
        orders,
        q: String::new(),
        filters: vec![Choice {
            name: "unpaid",
            value: "true".into(),
            text: "Unpaid only".into(),
            chosen: false,
        }],
        fault: None,
        first: None,
        next: None,
    };
    let path = "/shop/acme/orders";
    let rows = vec![
        row(1, Status::PaymentPending, None, "1250.00"),
        row(2, Status::Approved, Some("PO-2026-0815"), "1250.00"),
        row(3, Status::Fulfilled, Some("PO-2026-0777"), "0.00"),
        row(4, Status::Cancelled, None, "0.00"),
        row(5, Status::Paid, None, "0.00"),
        row(6, Status::Created, None, "0.00"),
    ];
    let mut full = list(layout(path), rows);
    full.next = Some("/shop/acme/orders?cursor=abc".into());
    add("orders", &full);
    add("orders-empty", &list(layout(path), Vec::new()));
    let mut nothing = list(layout(path), Vec::new());
    nothing.q = "PO-1".into();
    nothing.fault = Some("status: must be one of created, paid.".into());
    add("orders-nothing", &nothing);
    let worst = vec![row(
        2,
        Status::Approved,
        Some(HOSTILE),
        "999999999999999.99",
    )];
    let mut worst = list(hostile(path), worst);
    worst.q = HOSTILE.into();
    add("orders-hostile", &worst);
}

fn reservations(add: Add<'_>) {
    let of = |layout, status| Reservation {
        layout,
        id: ReservationId(id(5)),
        status,
        place: None,
        seconds_left: 272,
        hold_seconds: 300,
        lines: plain_lines(),
        total: money("250.00"),
        order_id: None,
        form: form(),
    };
    let path = "/shop/acme/reservations/650e8400-e29b-41d4-a716-446655440005";
    let mut waiting = of(layout(path), ReservationStatus::Waiting);
    waiting.place = Some(1204);
    waiting.seconds_left = 3400;
    add("reservation-waiting", &waiting);
    add(
        "reservation-held",
        &of(layout(path), ReservationStatus::Active),
    );
    let mut ordered = of(layout(path), ReservationStatus::Confirmed);
    ordered.order_id = Some(OrderId(id(77)));
    add("reservation-ordered", &ordered);
    add(
        "reservation-released",
        &of(layout(path), ReservationStatus::Cancelled),
    );
    let mut expired = of(layout(path), ReservationStatus::Expired);
    expired.form.refusal = Some(Refusal::of("reservation_expired", ""));
    add("reservation-expired", &expired);
    add(
        "reservation-sold-out",
        &of(layout(path), ReservationStatus::SoldOut),
    );
    let mut worst = of(hostile(path), ReservationStatus::Waiting);
    worst.lines = hostile_lines();
    add("reservation-hostile", &worst);
    reservation_lists(add);
}

fn reservation_lists(add: Add<'_>) {
    let row = |number: u128, status, place| ReservationRow {
        id: ReservationId(id(number)),
        status,
        created_at: at("2026-11-30T09:12:00Z"),
        products: vec![(2, "Wireless headphones".into()), (1, "Notebook".into())],
        total: money("204.50"),
        place,
        seconds_left: 187,
        order: None,
    };
    let page = |layout, open, past| Reservations {
        layout,
        open,
        past,
        fault: None,
        first: None,
        next: None,
    };
    let path = "/shop/acme/reservations";
    let open = vec![
        row(1, ReservationStatus::Active, None),
        row(2, ReservationStatus::Waiting, Some(1234)),
    ];
    let mut ordered = row(3, ReservationStatus::Confirmed, None);
    ordered.products.clear();
    ordered.order = Some((OrderId(id(77)), "6FZ8-K3M9-1QXD".into()));
    let past = vec![
        ordered,
        row(4, ReservationStatus::Cancelled, None),
        row(5, ReservationStatus::Expired, None),
        row(6, ReservationStatus::SoldOut, None),
    ];
    let mut full = page(layout(path), open, past.clone());
    full.next = Some("/shop/acme/reservations?cursor=x".into());
    add("reservations", &full);
    add(
        "reservations-none",
        &page(layout(path), Vec::new(), Vec::new()),
    );
    let mut later = page(layout(path), Vec::new(), past);
    later.first = Some(path.into());
    later.fault = Some(HOSTILE.into());
    add("reservations-later", &later);
    let mut worst = row(7, ReservationStatus::Waiting, Some(i64::MAX));
    worst.products = vec![(1_000_000, HOSTILE.into()), (1, long())];
    worst.total = money("999999999999999.99");
    let lists = page(hostile(path), vec![worst.clone()], vec![worst]);
    add("reservations-hostile", &lists);
}

fn accounts(add: Add<'_>) {
    let session = |id: &str, device: &str, is_this| Session {
        id: id.into(),
        device: device.into(),
        created_at: at("2026-11-30T09:12:00Z"),
        used_at: at("2026-11-30T10:30:00Z"),
        is_this,
    };
    let account = |layout, figures| Account {
        layout,
        customer_name: "Example Retail Ltd".into(),
        email: "customer@example.com".into(),
        figures: Some(figures),
        addresses: kept_addresses(),
        password: form(),
        sessions: vec![
            session(
                "a",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                true,
            ),
            session(
                "b",
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile/15E148 Safari/604.1",
                false,
            ),
        ],
    };
    let figures = |overdue: &str| Figures {
        credit: credit("640.50"),
        due: money("359.50"),
        overdue: money(overdue),
        on_account: Money::ZERO,
    };
    let path = "/shop/acme/account";
    add("account", &account(layout(path), figures("0.00")));
    let mut late = account(layout(path), figures("120.00"));
    late.addresses.clear();
    late.password.faults = vec![("old".into(), "is not your current password".into())];
    late.layout.notice = Some(Notice::SessionEnded);
    add("account-overdue", &late);
    let mut worst = account(hostile(path), figures("999999999999999.99"));
    worst.customer_name = HOSTILE.into();
    worst.email = HOSTILE.into();
    worst.addresses = vec![kept(AddressKind::Billing, hostile_address())];
    worst.sessions = vec![session(HOSTILE, HOSTILE, false), session("c", "", true)];
    add("account-hostile", &worst);
    addresses(add);
    statements(add);
}

fn kept(kind: AddressKind, address: Address) -> CustomerAddress {
    CustomerAddress { kind, address }
}

fn kept_addresses() -> Vec<CustomerAddress> {
    let warehouse = address(Some("Example Retail Ltd, warehouse"));
    vec![
        kept(AddressKind::Billing, address(Some("Example Retail Ltd"))),
        kept(AddressKind::Delivery, warehouse),
    ]
}

fn addresses(add: Add<'_>) {
    let page = |layout, number, addresses| AddressPage {
        layout,
        form: form(),
        number,
        addresses,
    };
    let path = "/shop/acme/account/addresses/new";
    add("address-new", &page(layout(path), None, Vec::new()));
    let mut changed = page(layout(path), Some(1), kept_addresses());
    let members = address_members(&changed.addresses[1]).into_iter();
    let members = members.map(|(name, value)| (name.to_owned(), value));
    changed.form.values = members.collect();
    add("address-change", &changed);
    changed.form.refusal = Some(Refusal::of("addresses_changed", ""));
    add("address-changed-meanwhile", &changed);
    let hostile_one = kept(AddressKind::Billing, hostile_address());
    let mut worst = page(hostile(path), Some(0), vec![hostile_one]);
    worst.form.values.insert("line1".into(), HOSTILE.into());
    worst.form.faults = vec![("line1".into(), HOSTILE.into())];
    add("address-hostile", &worst);
}

fn statements(add: Add<'_>) {
    let entry = |text: &str, reference: &str, amount: Money, after: &str| Entry {
        at: at("2026-11-12T09:12:00Z"),
        text: text.into(),
        reference: reference.into(),
        order_id: (text == "Order").then(|| OrderId(id(77))),
        amount,
        balance_after: money(after),
    };
    let mut period = form();
    period.values.insert("from".into(), "2026-11-01".into());
    period.values.insert("to".into(), "2026-11-30".into());
    let statement = |layout, entries| Statement {
        layout,
        customer_name: "Example Retail Ltd".into(),
        form: period.clone(),
        from: "2026-11-01".parse().unwrap(),
        to: "2026-11-30".parse().unwrap(),
        opening_balance: money("100.00"),
        entries,
        closing_balance: money("250.00"),
        csv: Some("/shop/acme/account/statement?format=csv".into()),
    };
    let path = "/shop/acme/account/statement";
    let entries = vec![
        entry("Order", "6FZ8-K3M9-1QXD", money("250.00"), "350.00"),
        entry(
            "Payment by bank transfer",
            "RF18 5390",
            -money("100.00"),
            "250.00",
        ),
    ];
    add("statement", &statement(layout(path), entries));
    add("statement-empty", &statement(layout(path), Vec::new()));
    let mut worst = statement(
        hostile(path),
        vec![
            entry(
                "Order",
                HOSTILE,
                money("999999999999999.99"),
                "999999999999999.99",
            ),
            entry(HOSTILE, HOSTILE, -money("999999999999999.99"), "0.00"),
        ],
    );
    worst.customer_name = HOSTILE.into();
    worst.form.faults = vec![("from".into(), "must not be after the last day".into())];
    add("statement-hostile", &worst);
}

fn payments(add: Add<'_>) {
    let pay = |layout, state| Pay {
        layout,
        order: order(Status::PaymentPending, PaymentMethod::Card),
        form: form(),
        state,
        declined: false,
        seconds_left: 1187,
    };
    let path = "/shop/acme/orders/650e8400-e29b-41d4-a716-44665544004d/pay";
    add("pay-test", &pay(layout(path), PayState::Test));
    let stripe = PayState::Stripe {
        publishable_key: "pk_test_1".into(),
        client_secret: "pi_1_secret_2".into(),
        return_url: "https://shop.example/shop/acme/orders/1/paid".into(),
    };
    add("pay-stripe", &pay(layout(path), stripe));
    add("pay-preparing", &pay(layout(path), PayState::Preparing));
    add("pay-waiting", &pay(layout(path), PayState::Waiting));
    let mut declined = pay(layout(path), PayState::Waiting);
    declined.declined = true;
    add("pay-waiting-declined", &declined);
    let mut paid = pay(layout(path), PayState::Paid);
    paid.order.paid = money("250.00");
    paid.order.due = Money::ZERO;
    add("pay-paid", &paid);
    let mut closed = pay(layout(path), PayState::Closed);
    closed.order.cancel_reason = Some(CancelReason::PaymentExpired);
    add("pay-closed", &closed);
    let mut worst = pay(hostile(path), PayState::Test);
    worst.order = hostile_order();
    worst.form.refusal = Some(Refusal::of("payment_refused", ""));
    add("pay-hostile", &worst);
}
