//! Days and instants in the time zone of a business. Instants have the precision of the database: microseconds.
//!
//! All day arithmetic of due dates and reports is here and in [`TimeZone`]. SQL gets instants, so that there is one
//! copy of the time-zone rules.

use std::fmt;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, SubsecRound, TimeDelta, Utc};
use entity::TimeZone;
use sea_orm::FromQueryResult;

use crate::Error;
use crate::foundation::error::DateFault;

/// A day or an instant, as a request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A whole day in the business's time zone.
    Day(NaiveDate),
    /// An instant in UTC.
    Moment(DateTime<Utc>),
}

impl When {
    /// The first instant of an interval that starts with this.
    #[must_use]
    pub fn start(self, zone: TimeZone) -> DateTime<Utc> {
        match self {
            Self::Day(day) => zone.start_of(day),
            Self::Moment(moment) => exact(moment),
        }
    }

    /// The first instant after an interval that ends with this. The day is included, the instant is not. An interval
    /// that ends here therefore adjoins one that starts with the next day, or at this instant, without gap or
    /// overlap.
    #[must_use]
    pub fn end(self, zone: TimeZone) -> DateTime<Utc> {
        match self {
            Self::Day(day) => zone.start_of(day + Days::new(1)),
            Self::Moment(moment) => exact(moment),
        }
    }

    /// Whether an interval from this to `end` is backward. A day and an instant are compared as far as they are so in
    /// every time zone, of which the first is 14 hours ahead of UTC and the last 12 hours behind.
    #[must_use]
    pub fn is_after(self, end: Self) -> bool {
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        match (self, end) {
            (Self::Day(from), Self::Day(to)) => from > to,
            (Self::Moment(from), Self::Moment(to)) => from > to,
            (Self::Day(from), Self::Moment(to)) => midnight(from) - TimeDelta::hours(14) > to,
            (Self::Moment(from), Self::Day(to)) => from > midnight(to) + TimeDelta::hours(24 + 12),
        }
    }

    /// Rejects dates before 1970, which are always mistakes. `field` is the request's name for the date.
    ///
    /// # Errors
    /// [`Error::ImpossibleDate`].
    pub fn not_before_1970(self, field: &'static str) -> Result<(), Error> {
        let is_before = match self {
            Self::Day(day) => day.year() < 1970,
            Self::Moment(moment) => moment < DateTime::UNIX_EPOCH,
        };
        let fault = DateFault::Before1970;
        match is_before {
            true => Err(Error::ImpossibleDate { field, fault }),
            false => Ok(()),
        }
    }
}

/// The time of a transaction, with the time zone of its business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Clock {
    /// The start of the transaction by the database's clock, which dates everything.
    pub now: DateTime<Utc>,
    /// The time zone in which days are counted.
    pub time_zone: TimeZone,
}

impl Clock {
    /// The current day in the business's time zone.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.time_zone.day_of(self.now)
    }

    /// The end of a report whose request names `end`. It is now if the end is absent or in the future. The instant
    /// itself is excluded. All reports use this rule.
    #[must_use]
    pub fn until(&self, end: Option<When>) -> DateTime<Utc> {
        let end = end.map_or(self.now, |end| end.end(self.time_zone));
        end.min(self.now)
    }

    /// The last day of a report that ends at this instant.
    #[must_use]
    pub fn last_day(&self, until: DateTime<Utc>) -> NaiveDate {
        self.time_zone.day_of(until - TimeDelta::microseconds(1))
    }
}

/// The tolerance for clocks of clients that are ahead of the database's. A time within it is taken as now.
pub const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(2);

impl fmt::Display for DateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Future { now } => {
                let minutes = CLOCK_TOLERANCE.num_minutes();
                let now = now.format("%FT%TZ");
                write!(
                    f,
                    "must not be in the future; it is {now}, and clocks may be {minutes} minutes ahead"
                )
            }
            Self::AfterToday { today, zone } => {
                write!(f, "must not be after today, which is {today} in {zone}")
            }
            Self::Before1970 => f.write_str("must not be before 1970"),
        }
    }
}

/// Rejects times in the future. A time within [`CLOCK_TOLERANCE`] of now becomes now. `field` is the request's name
/// for the time.
///
/// # Errors
/// [`Error::ImpossibleDate`].
pub fn not_after(
    now: DateTime<Utc>,
    field: &'static str,
    moment: DateTime<Utc>,
) -> Result<DateTime<Utc>, Error> {
    if moment > now + CLOCK_TOLERANCE {
        let fault = DateFault::Future { now };
        return Err(Error::ImpossibleDate { field, fault });
    }
    Ok(exact(moment).min(now))
}

/// The due time of an order: `terms_days` days after the order, at the same time of day. The order is past due from
/// the start of the next day on ([`past_due_bound`]).
#[must_use]
pub fn due_at(zone: TimeZone, made_at: DateTime<Utc>, terms_days: i32) -> DateTime<Utc> {
    zone.days_after(made_at, u64::try_from(terms_days).unwrap_or(0))
}

/// The number of days by which an order is past due on the day `today`. Days count by their dates: due yesterday at
/// any time is 1, due today or later is 0.
#[must_use]
pub fn days_past_due(zone: TimeZone, due_at: DateTime<Utc>, today: NaiveDate) -> i32 {
    let days = (today - zone.day_of(due_at)).num_days().max(0);
    i32::try_from(days).unwrap_or(i32::MAX)
}

/// The instant before which an order must be due to be past due by more than `days` days on `today`. Aging, the list
/// of overdue customers and the blocking of purchases use it.
#[must_use]
pub fn past_due_bound(zone: TimeZone, today: NaiveDate, days: u32) -> DateTime<Utc> {
    zone.start_of(today - Days::new(days.into()))
}

/// The bounds of the aging buckets. An order due at the first bound or later is current. Orders due before the
/// second, third and fourth are past due by more than 30, 60 and 90 days.
#[must_use]
pub fn past_due_bounds(zone: TimeZone, today: NaiveDate) -> [DateTime<Utc>; 4] {
    [0, 30, 60, 90].map(|days| past_due_bound(zone, today, days))
}

/// Truncates to the precision of the database: microseconds.
#[must_use]
pub fn exact(moment: DateTime<Utc>) -> DateTime<Utc> {
    moment.trunc_subsecs(6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> TimeZone {
        name.parse().unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// The 0-based number of the bucket by the bounds.
    fn bucket(zone: TimeZone, due_at: DateTime<Utc>, today: NaiveDate) -> usize {
        let bounds = past_due_bounds(zone, today);
        bounds.iter().filter(|bound| due_at < **bound).count()
    }

    /// Zones on both sides of the date line, with and without daylight saving, with whole and fractional hours.
    const ZONES: [&str; 9] = [
        "UTC",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "Europe/Paris",
        "America/New_York",
        "Asia/Tokyo",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Africa/Cairo",
    ];

    #[test]
    fn due_today_is_current_whatever_the_time_and_due_yesterday_is_one_day() {
        let today = day("2026-03-10");
        for (name, yesterday_ends) in [
            ("UTC", "2026-03-10T00:00:00Z"),
            ("Pacific/Kiritimati", "2026-03-09T10:00:00Z"),
            ("Pacific/Pago_Pago", "2026-03-10T11:00:00Z"),
            ("America/New_York", "2026-03-10T04:00:00Z"),
        ] {
            let (zone, midnight) = (zone(name), at(yesterday_ends));
            let moment = TimeDelta::microseconds(1);
            for (due_at, days) in [
                (at("2027-01-01T00:00:00Z"), 0),
                (midnight + TimeDelta::days(1) - moment, 0),
                (midnight, 0),
                (midnight - moment, 1),
                (midnight - TimeDelta::days(1), 1),
            ] {
                assert_eq!(days_past_due(zone, due_at, today), days, "{name} {due_at}");
                let expected = usize::from(days > 0);
                assert_eq!(bucket(zone, due_at, today), expected, "{name} {due_at}");
            }
        }
    }

    #[test]
    fn buckets_change_between_the_30th_and_31st_60th_and_61st_90th_and_91st_day() {
        let today = day("2026-06-30");
        for name in ZONES {
            let zone = zone(name);
            for (days, expected) in [
                (0, 0),
                (1, 1),
                (30, 1),
                (31, 2),
                (60, 2),
                (61, 3),
                (90, 3),
                (91, 4),
                (3_000, 4),
            ] {
                let of = today - Days::new(days);
                let end = zone.start_of(of + Days::new(1)) - TimeDelta::microseconds(1);
                for due_at in [zone.start_of(of), end] {
                    assert_eq!(bucket(zone, due_at, today), expected, "{name} {due_at}");
                }
            }
        }
    }

    #[test]
    fn due_dates_are_calendar_days_over_month_ends_leap_days_and_clock_changes() {
        for (name, made_at, terms, due) in [
            ("UTC", "2026-01-31T12:00:00Z", 30, "2026-03-02"),
            ("UTC", "2024-02-28T23:59:59Z", 1, "2024-02-29"),
            ("America/New_York", "2026-02-01T03:30:00Z", 28, "2026-02-28"),
            (
                "Pacific/Kiritimati",
                "2026-12-31T10:30:00Z",
                30,
                "2027-01-31",
            ),
            (
                "Pacific/Pago_Pago",
                "2027-01-01T10:30:00Z",
                30,
                "2027-01-30",
            ),
            ("Europe/Paris", "2026-03-27T23:30:00Z", 1, "2026-03-29"),
            ("Africa/Cairo", "2024-04-24T22:30:00Z", 1, "2024-04-26"),
        ] {
            let zone = zone(name);
            let due_at = due_at(zone, at(made_at), terms);
            assert_eq!(zone.day_of(due_at), day(due), "{name} {made_at} {terms}");
        }
    }

    proptest! {
        #[test]
        fn an_order_is_due_on_its_day_and_past_due_by_bound_and_by_count_alike(
            name in proptest::sample::select(&ZONES[..]),
            made in 1_600_000_000_000_000_i64..1_900_000_000_000_000,
            terms in 0..365_i32,
            late in -40..200_i64,
            days in 0..120_u32,
        ) {
            let (zone, made_at) = (zone(name), DateTime::from_timestamp_micros(made).unwrap());
            let due_at = due_at(zone, made_at, terms);
            prop_assert!(due_at >= made_at);
            let due = zone.day_of(made_at) + Days::new(u64::try_from(terms).unwrap());
            prop_assert_eq!(zone.day_of(due_at), due);
            let today = due + TimeDelta::days(late);
            let past_due = days_past_due(zone, due_at, today);
            prop_assert_eq!(i64::from(past_due), late.max(0));
            let is_beyond = due_at < past_due_bound(zone, today, days);
            prop_assert_eq!(is_beyond, i64::from(past_due) > i64::from(days));
        }
    }

    #[test]
    fn a_day_is_whole_and_what_ends_with_it_touches_what_begins_with_the_next() {
        let last = When::Day(day("2026-12-31"));
        for (name, start, end) in [
            ("UTC", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
            (
                "Pacific/Kiritimati",
                "2026-12-30T10:00:00Z",
                "2026-12-31T10:00:00Z",
            ),
            (
                "Pacific/Pago_Pago",
                "2026-12-31T11:00:00Z",
                "2027-01-01T11:00:00Z",
            ),
        ] {
            let zone = zone(name);
            assert_eq!((last.start(zone), last.end(zone)), (at(start), at(end)));
            let next = When::Day(day("2027-01-01"));
            assert_eq!(last.end(zone), next.start(zone), "{name}");
        }
    }

    #[test]
    fn times_before_1970_are_refused_in_any_zone() {
        for (when, is_good) in [
            (When::Day(day("1970-01-01")), true),
            (When::Day(day("1969-12-31")), false),
            (When::Moment(at("1970-01-01T00:00:00Z")), true),
            (When::Moment(at("1969-12-31T23:59:59.999999Z")), false),
        ] {
            assert_eq!(when.not_before_1970("to").is_ok(), is_good, "{when:?}");
        }
    }

    #[test]
    fn a_moment_is_kept_to_the_microsecond() {
        let moment = When::Moment(at("2026-01-01T00:00:00.123456789Z"));
        for exact in [moment.start(TimeZone::UTC), moment.end(TimeZone::UTC)] {
            assert_eq!(exact, at("2026-01-01T00:00:00.123456Z"));
        }
    }

    #[test]
    fn a_report_ends_now_when_its_end_is_still_to_come() {
        let clock = Clock {
            now: at("2026-03-10T09:00:00Z"),
            time_zone: zone("Pacific/Pago_Pago"),
        };
        assert_eq!(clock.today(), day("2026-03-09"));
        let until = |when: Option<When>| clock.until(when);
        assert_eq!(until(None), clock.now);
        assert_eq!(until(Some(When::Day(day("2026-03-09")))), clock.now);
        assert_eq!(
            until(Some(When::Day(day("2026-03-08")))),
            at("2026-03-09T11:00:00Z")
        );
        let moment = When::Moment(at("2026-03-10T08:59:59Z"));
        assert_eq!(until(Some(moment)), at("2026-03-10T08:59:59Z"));
        let midnight = at("2026-03-09T11:00:00Z");
        assert_eq!(clock.last_day(midnight), day("2026-03-08"));
        let next = midnight + TimeDelta::microseconds(1);
        assert_eq!(clock.last_day(next), day("2026-03-09"));
    }

    #[test]
    fn a_clock_two_minutes_ahead_means_now_and_more_is_the_future() {
        let now = at("2026-03-10T09:00:00Z");
        let counts = |text: &str| not_after(now, "received_at", at(text)).ok();
        assert_eq!(
            counts("2026-03-10T08:59:59.9999999Z"),
            Some(at("2026-03-10T08:59:59.999999Z"))
        );
        assert_eq!(counts("2026-03-10T09:00:00.000001Z"), Some(now));
        assert_eq!(counts("2026-03-10T09:02:00Z"), Some(now));
        assert_eq!(counts("2026-03-10T09:02:00.000001Z"), None);
    }
}
