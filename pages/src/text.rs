//! Amounts, numbers and dates as texts for people.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use entity::{Currency, Money, TimeZone};

/// A whole number. Templates pass some by reference.
pub trait Count {
    /// The number.
    fn count(&self) -> i64;
}

impl Count for i64 {
    fn count(&self) -> i64 {
        *self
    }
}

impl Count for i32 {
    fn count(&self) -> i64 {
        (*self).into()
    }
}

impl<T: Count> Count for &T {
    fn count(&self) -> i64 {
        (*self).count()
    }
}

/// An amount with the currency's sign or code: `$1,234.50`, `−€5.00`, `KWD 5.125`.
#[must_use]
pub fn money(amount: Money, currency: Currency) -> String {
    let plain = amount.to_text(currency);
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("\u{2212}", digits),
        None => ("", plain.as_str()),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let code = currency.to_string();
    let mark = match code.as_str() {
        "USD" => "$".to_owned(),
        "EUR" => "€".to_owned(),
        "GBP" => "£".to_owned(),
        "JPY" => "¥".to_owned(),
        _ => format!("{code}\u{a0}"),
    };
    let mut text = format!("{sign}{mark}{}", grouped(whole));
    if let Some(fraction) = fraction {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// A number with a comma between each three digits: `20,000`.
#[must_use]
pub fn number(number: impl Count) -> String {
    let number = number.count();
    let digits = number.unsigned_abs().to_string();
    let sign = if number < 0 { "\u{2212}" } else { "" };
    format!("{sign}{}", grouped(&digits))
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 item`, `3 items`.
#[must_use]
pub fn count(number: impl Count, one: &str, many: &str) -> String {
    let number = number.count();
    let noun = if number == 1 { one } else { many };
    format!("{} {noun}", self::number(number))
}

/// A day: `30 Nov 2026`.
#[must_use]
pub fn day(day: NaiveDate) -> String {
    format!("{} {} {}", day.day(), month(day), day.year())
}

/// An instant by the clocks of a business: `30 Nov 2026, 14:05`.
#[must_use]
pub fn instant(at: DateTime<Utc>, zone: TimeZone) -> String {
    let local = zone.local(at);
    let time = format!("{:02}:{:02}", local.hour(), local.minute());
    format!("{}, {time}", day(local.date()))
}

/// A duration in words, in the two largest units that it has: `2 days 3 h`, `4 min 05 s`. Not below 0.
#[must_use]
pub fn duration(seconds: impl Count) -> String {
    let seconds = seconds.count().max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (1, ..) => format!("1 day {hours} h"),
        (2.., ..) => format!("{days} days {hours} h"),
        (_, 1.., _) => format!("{hours} h {minutes:02} min"),
        (_, _, 1..) => format!("{minutes} min {rest:02} s"),
        _ => format!("{rest} s"),
    }
}

/// A span of time that does not run: `5 min`, `1 h`. Seconds are shown only below a minute.
#[must_use]
pub fn span(seconds: impl Count) -> String {
    let seconds = seconds.count();
    let text = duration(seconds);
    let whole = text.strip_suffix(" 00 s").or(text.strip_suffix(" 00 min"));
    whole.unwrap_or(&text).to_owned()
}

fn month(day: NaiveDate) -> &'static str {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    MONTHS[day.month0() as usize % 12]
}
