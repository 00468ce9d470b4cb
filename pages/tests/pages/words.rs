//! Texts for amounts, counts, times and refusals.

use entity::{Currency, Money, TimeZone};
use pages::{Notice, Refusal, text, words};

use crate::samples::at;

#[test]
fn amounts_have_their_currency_and_groups() {
    for (code, amount, shown) in [
        ("USD", "0", "$0.00"),
        ("USD", "1234.5", "$1,234.50"),
        ("USD", "999999999999999.99", "$999,999,999,999,999.99"),
        ("EUR", "100", "€100.00"),
        ("JPY", "12345", "¥12,345"),
        ("KWD", "5.125", "KWD\u{a0}5.125"),
    ] {
        let currency: Currency = code.parse().unwrap();
        let amount = Money::parse(amount, currency).unwrap();
        assert_eq!(text::money(amount, currency), shown);
    }
    let owed = Money::parse("5", Currency::USD).unwrap();
    assert_eq!(text::money(-owed, Currency::USD), "\u{2212}$5.00");
}

#[test]
fn numbers_and_counts_read_as_people_write_them() {
    assert_eq!(text::number(0), "0");
    assert_eq!(text::number(999), "999");
    assert_eq!(text::number(1_000_000), "1,000,000");
    assert_eq!(text::number(i64::MIN), "\u{2212}9,223,372,036,854,775,808");
    assert_eq!(text::count(1, "unit", "units"), "1 unit");
    assert_eq!(text::count(0, "unit", "units"), "0 units");
}

#[test]
fn times_are_those_of_the_business() {
    let paris: TimeZone = "Europe/Paris".parse().unwrap();
    assert_eq!(
        text::instant(at("2026-11-30T23:30:00Z"), paris),
        "1 Dec 2026, 00:30"
    );
    assert_eq!(
        text::instant(at("2026-07-01T10:05:59Z"), paris),
        "1 Jul 2026, 12:05"
    );
    assert_eq!(
        text::instant(at("2026-07-01T10:05:59Z"), TimeZone::UTC),
        "1 Jul 2026, 10:05"
    );
}

#[test]
fn durations_name_two_units_and_never_count_up() {
    for (seconds, shown) in [
        (-5, "0 s"),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min 00 s"),
        (93, "1 min 33 s"),
        (3725, "1 h 02 min"),
        (90_000, "1 day 1 h"),
        (200_000, "2 days 7 h"),
    ] {
        assert_eq!(text::duration(seconds), shown);
    }
    assert_eq!(text::span(300), "5 min");
    assert_eq!(text::span(3600), "1 h");
    assert_eq!(text::span(45), "45 s");
    assert_eq!(text::span(610), "10 min 10 s");
}

#[test]
fn a_browser_is_named_by_what_it_sends() {
    for (sent, shown) in [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
            "Chrome on Windows",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.5", ""),
        ("", ""),
    ] {
        assert_eq!(words::device(sent), shown);
    }
}

#[test]
fn an_error_has_words_for_people() {
    for status in [404, 405, 413, 429, 500, 503] {
        assert!(words::failure(status).is_some(), "{status}");
    }
    assert_eq!(words::failure(403), None, "its cause differs");
}

#[test]
fn a_notice_is_found_by_its_code_and_by_nothing_else() {
    for notice in Notice::ALL {
        assert_eq!(Notice::from_code(notice.code()), Some(notice));
        assert!(notice.text().ends_with('.'));
    }
    assert_eq!(Notice::from_code("<script>"), None);
}

#[test]
fn a_refusal_without_words_shows_the_message_of_the_api() {
    let known = Refusal::of("sold_out", "detail");
    assert_eq!(known.title, "Sold out");
    assert_eq!(Refusal::of("conflict", "The detail.").text, "The detail.");
    assert_eq!(words::refusal("conflict"), None);
}
