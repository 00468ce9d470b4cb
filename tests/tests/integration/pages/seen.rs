//! The store as people see it: in a browser, by keyboard, without scripts, in both themes and at both widths.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES};
use image::ImageFormat;
use serde_json::json;
use tests::{Service, pictures, purchase};
use thirtyfour::prelude::*;

use super::chromium::{Chromium, THEMES, WIDTHS, axe, screenshots};

const PRODUCT: &str = "/shop/acme/products/650e8400-e29b-41d4-a716-446655440001";

/// The names of pages and their paths that need nothing before.
const PAGES: [(&str, &str); 11] = [
    ("home", "/"),
    ("catalogue", "/shop/acme"),
    ("catalogue-nothing", "/shop/acme?q=nothing+of+the+kind"),
    ("product", PRODUCT),
    ("cart-empty", "/shop/acme/cart"),
    ("login", "/shop/acme/login"),
    ("register", "/shop/acme/register"),
    ("reset", "/shop/acme/reset"),
    ("not-found", "/shop/acme/nowhere"),
    ("no-store", "/shop/nobody"),
    ("office-login", "/office/acme/login"),
];

/// Those of a logged-in buyer.
const OWN_PAGES: [(&str, &str); 7] = [
    ("cart", "/shop/acme/cart"),
    ("checkout", "/shop/acme/checkout"),
    ("orders", "/shop/acme/orders"),
    ("account", "/shop/acme/account"),
    ("statement", "/shop/acme/account/statement"),
    ("address", "/shop/acme/account/addresses/new"),
    ("reservations", "/shop/acme/reservations"),
];

/// Those of the back office. The last one is the list with its boxes.
const OFFICE_PAGES: [(&str, &str); 4] = [
    ("office-dashboard", "/office/acme"),
    (
        "office-orders-wrong",
        "/office/acme/orders?total_min=many&status=paid",
    ),
    (
        "office-orders-nothing",
        "/office/acme/orders?q=nothing+of+the+kind",
    ),
    ("office-orders", "/office/acme/orders"),
];

#[tokio::test]
async fn no_page_has_a_finding_of_axe_or_a_complaint_of_the_browser() {
    let service = Service::start().await;
    let Some(browser) = Chromium::at(&service).await else {
        return;
    };
    // An upright picture, which no place on a page is made for.
    let admin = service.admin();
    let path = format!("/api/products/{ACME_HEADPHONES}/picture");
    let upright = pictures::picture(ImageFormat::Png, (900, 1200), 120);
    admin.put_png(&path, upright).await.ok(200);
    let axe = axe();
    let mut wrong = Vec::new();
    for (name, path) in PAGES {
        browser.goto(path).await;
        wrong.extend(look(&browser, name, &axe).await);
    }
    wrong.extend(office(&service, &browser, &axe).await);
    browser.log_in().await;
    browser.goto(PRODUCT).await;
    browser.click(".buy [type=submit]").await;
    browser.until_text("Added to your cart.").await;
    for (name, path) in OWN_PAGES {
        browser.goto(path).await;
        wrong.extend(look(&browser, name, &axe).await);
    }
    browser.goto("/shop/acme/checkout").await;
    place(&browser).await;
    wrong.extend(look(&browser, "order-placed", &axe).await);
    let order = browser.path().await;
    let order = order.split('?').next().unwrap();
    for name in ["order", "confirmation"] {
        let path = if name == "order" {
            order.to_owned()
        } else {
            format!("{order}/{name}")
        };
        browser.goto(&path).await;
        wrong.extend(look(&browser, name, &axe).await);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    browser.quit().await;
}

/// Looks at the pages of the back office, as an admin, who is then logged out.
async fn office(service: &Service, browser: &Chromium, axe: &str) -> Vec<String> {
    let admin = service.admin();
    for count in 1..4 {
        admin.buy(&[(ACME_HEADPHONES, count)]).await.ok(201);
    }
    let card = admin.order_by_card(&[(ACME_HEADPHONES, 2)]).await;
    service.pay(&card).await.ok(200);
    browser.goto("/office/acme/login").await;
    browser.fill("#f-email", "admin@example.com").await;
    browser.fill("#f-password", "admin123").await;
    browser.click("main form [type=submit]").await;
    browser.until_text("You are logged in.").await;
    let mut wrong = Vec::new();
    for (name, path) in OFFICE_PAGES {
        browser.goto(path).await;
        wrong.extend(look(browser, name, axe).await);
    }
    for (name, path) in [
        (
            "office-confirmation",
            format!("/office/acme/orders/{card}/confirmation"),
        ),
        ("office-order", format!("/office/acme/orders/{card}")),
        (
            "office-slip",
            format!("/office/acme/orders/{card}/packing-slip"),
        ),
    ] {
        browser.goto(&path).await;
        wrong.extend(look(browser, name, axe).await);
    }
    browser.goto("/office/acme/orders").await;
    browser.click("[name^='orders/']").await;
    browser.click(".bulk [type=submit]").await;
    browser.until_text("The order is shipped").await;
    wrong.extend(look(browser, "office-shipments", axe).await);
    browser.driver.delete_all_cookies().await.unwrap();
    wrong
}

/// Photographs a page in both themes and at both widths. Returns what is wrong with it.
async fn look(browser: &Chromium, name: &str, axe: &str) -> Vec<String> {
    // A page that does not exist is an error by intent.
    let is_error = ["not-found", "no-store"].contains(&name);
    let mut wrong: Vec<String> = browser.complaints().await;
    wrong.retain(|complaint| !(is_error && complaint.contains("status of 404")));
    for theme in THEMES {
        browser.theme(theme).await;
        for width in WIDTHS {
            browser.size(width, 900).await;
            let path = screenshots().join(format!("{name}-{theme}-{width}.png"));
            browser.photograph(&path, width).await;
            let wide = browser
                .run("return document.documentElement.scrollWidth")
                .await;
            if wide.as_u64() > Some(width.into()) {
                wrong.push(format!("wider than the window: {wide}"));
            }
            wrong.extend(browser.findings(axe).await);
            wrong.extend(browser.complaints().await);
            for wrong in &mut wrong {
                if !wrong.starts_with(name) {
                    *wrong = format!("{name}, {theme}, {width}: {wrong}");
                }
            }
        }
    }
    wrong
}

/// Sends the form of the checkout, on credit.
async fn place(browser: &Chromium) {
    browser.click("[name=payment_method][value=credit]").await;
    browser.fill("#f-reference", "PO-4711").await;
    browser.click(".side [type=submit]").await;
    browser.until_text("Thank you. Your order is placed.").await;
}

#[tokio::test]
async fn the_whole_purchase_works_by_keyboard() {
    let service = Service::start().await;
    let Some(browser) = Chromium::at(&service).await else {
        return;
    };
    browser.log_in().await;
    browser.goto("/shop/acme").await;
    press(&browser, "Wireless headphones").await;
    press(&browser, "Add to cart").await;
    browser.until_text("Added to your cart.").await;
    browser.goto("/shop/acme/cart").await;
    press(&browser, "Go to the checkout").await;
    press(&browser, "Place the order").await;
    browser.until_text("Thank you. Your order is placed.").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.quit().await;
}

/// Moves the focus by the Tab key to the link or button with this text, and presses Enter.
async fn press(browser: &Chromium, text: &str) {
    let before = browser.path().await;
    for _ in 0..80 {
        let body = browser.driver.active_element().await.unwrap();
        body.send_keys(Key::Tab + "").await.unwrap();
        let focused = browser.driver.active_element().await.unwrap();
        if focused.text().await.unwrap().contains(text) {
            let outline = focused.css_value("outline-style").await.unwrap();
            let card = browser
                .run("return document.activeElement.closest('.product-card') !== null")
                .await;
            assert!(
                outline != "none" || card == true,
                "the focus on {text:?} is seen"
            );
            focused.send_keys(Key::Enter + "").await.unwrap();
            for _ in 0..50 {
                if browser.path().await != before {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            return;
        }
    }
    panic!("Tab never reaches {text:?} on {before}");
}

#[tokio::test]
async fn the_whole_purchase_works_without_scripts() {
    let service = Service::start().await;
    let Some(browser) = Chromium::at(&service).await else {
        return;
    };
    browser.without_scripts().await;
    browser.log_in().await;
    browser.goto(PRODUCT).await;
    browser.click(".buy [type=submit]").await;
    browser.until_text("Added to your cart.").await;
    browser.goto("/shop/acme/checkout").await;
    place(&browser).await;
    browser.quit().await;
}

#[tokio::test]
async fn a_double_click_places_one_order() {
    let service = Service::start().await;
    let Some(browser) = Chromium::at(&service).await else {
        return;
    };
    browser.log_in().await;
    browser.goto(PRODUCT).await;
    browser.click(".buy [type=submit]").await;
    browser.until_text("Added to your cart.").await;
    browser.goto("/shop/acme/checkout").await;
    browser.click("[name=payment_method][value=credit]").await;
    // Twice without a pause, past the script that keeps forms from being sent twice.
    browser
        .run("const form = document.querySelector('main form.two'); form.submit(); form.submit();")
        .await;
    browser.until_text("Thank you. Your order is placed.").await;
    browser.driver.back().await.unwrap();
    browser.goto("/shop/acme/orders").await;
    let rows = browser.driver.find_all(By::Css("tbody tr")).await.unwrap();
    assert_eq!(rows.len(), 1, "{}", browser.text().await);
    browser.quit().await;
}

#[tokio::test]
async fn stock_moves_and_a_sale_opens_and_closes_by_themselves() {
    let service = Service::start().await;
    let Some(browser) = Chromium::at(&service).await else {
        return;
    };
    let admin = service.admin();
    browser.goto(PRODUCT).await;
    browser.until_text("1,000 in stock").await;
    let bought = admin
        .post(
            "/api/purchase",
            &purchase(ACME_CUSTOMER, &[(ACME_HEADPHONES, 3)]),
        )
        .await;
    assert_eq!(bought.status, 201, "{bought:?}");
    browser.until_text("997 in stock").await;

    let seconds = |seconds| (Utc::now() + TimeDelta::seconds(seconds)).to_rfc3339();
    let sale = json!({
        "name": "Winter rush", "kind": "exclusive", "opens_at": seconds(6), "closes_at": seconds(14),
        "products": [{"product_id": ACME_HEADPHONES, "price": "80.00"}],
    });
    let made = admin.post("/api/sales", &sale).await;
    assert_eq!(made.status, 201, "{made:?}");
    browser.goto(PRODUCT).await;
    browser.until_text("Winter rush opens in").await;
    browser.until_text("Winter rush is open.").await;
    browser.until_text("$80.00").await;
    browser.until_text("Add to cart").await;
    browser.until_text("The sale closed on").await;
    let title = browser.driver.title().await.unwrap();
    assert_eq!(title, "The sale is over. – Acme Supplies");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.quit().await;
}

/// What a page has loaded: requests, compressed bytes, and the shift of its layout in thousandths.
async fn loaded(browser: &Chromium, path: &str) -> [u64; 3] {
    browser.goto(path).await;
    let script = "const done = arguments[0];
        let shift = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => { shift += entry.value; }))
            .observe({ type: 'layout-shift', buffered: true });
        setTimeout(() => {
            const all = ['navigation', 'resource'].flatMap((type) => performance.getEntriesByType(type));
            const bytes = all.reduce((sum, entry) => sum + entry.transferSize, 0);
            // The icon of the page is the sheet of pictures, which is there already.
            const requests = all.filter((entry) => entry.transferSize > 0).length;
            done([requests, bytes, Math.round(shift * 1000)]);
        }, 1000);";
    let loaded = browser.driver.execute_async(script, Vec::new()).await;
    loaded.unwrap().convert().unwrap()
}

#[tokio::test]
async fn a_page_keeps_its_budget_cold_and_warm() {
    let service = Service::start().await;
    let Some(browser) = Chromium::at(&service).await else {
        return;
    };
    let [requests, bytes, shift] = loaded(&browser, "/shop/acme").await;
    assert!(requests <= 5, "{requests} requests");
    assert!(bytes <= 45 * 1024, "{bytes} bytes");
    assert!(shift < 20, "the layout shifts by {shift} thousandths");
    let [requests, bytes, shift] = loaded(&browser, PRODUCT).await;
    assert!(requests <= 1, "{requests} requests when warm");
    assert!(bytes <= 10 * 1024, "{bytes} bytes when warm");
    assert!(shift < 20, "the layout shifts by {shift} thousandths");
    browser.quit().await;
}
