//! Time zones: conversion between instants and the days of a business.

use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use sea_orm::DeriveValueType;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// A time zone of the IANA database, by its name. The rules are those of the database version that is compiled in.
///
/// A day lasts from its [`TimeZone::start_of`] to that of the next day. Days therefore cover time without gaps or
/// overlaps, whatever the clocks do. A day has 23 hours when clocks go forward, and 25 when they go back. It has none
/// when a place changes sides of the date line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, DeriveValueType, ToSchema)]
#[sea_orm(value_type = "String")]
#[schema(value_type = String, example = "Europe/Paris")]
pub struct TimeZone(Tz);

/// Text that is not the name of a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a time zone of the IANA database such as \"Europe/Paris\"")]
pub struct UnknownTimeZone;

impl TimeZone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(Tz::UTC);

    /// The day that contains an instant.
    #[must_use]
    pub fn day_of(self, at: DateTime<Utc>) -> NaiveDate {
        let day = self.local(at).date();
        // Clocks that go back over midnight show the previous day again.
        match day.succ_opt() {
            Some(next) if self.start_of(next) <= at => next,
            _ => day,
        }
    }

    /// The first instant of a day. A day that the place skipped is empty: it starts when the next day starts.
    #[must_use]
    pub fn start_of(self, day: NaiveDate) -> DateTime<Utc> {
        self.first_at(day.and_time(NaiveTime::MIN))
    }

    /// The same time of day, `days` days later, never before `at`. A time that clocks show twice means the first. A
    /// time that they skip means the instant of the skip.
    #[must_use]
    pub fn days_after(self, at: DateTime<Utc>, days: u64) -> DateTime<Utc> {
        let local = self.local(at).checked_add_days(Days::new(days));
        local.map_or(at, |local| self.first_at(local).max(at))
    }

    /// The local time at an instant.
    #[must_use]
    pub fn local(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.0).naive_local()
    }

    /// The first instant at which the local time is `local`, or later if the clocks skip it.
    fn first_at(self, local: NaiveDateTime) -> DateTime<Utc> {
        match self.0.from_local_datetime(&local).earliest() {
            Some(at) => at.to_utc(),
            None => self.end_of_gap(local),
        }
    }

    /// The instant at which the clocks skipped `local`. Changes happen at whole seconds, and no offset from UTC reaches
    /// a day. The binary search relies on both.
    fn end_of_gap(self, local: NaiveDateTime) -> DateTime<Utc> {
        const DAY: i64 = 24 * 60 * 60;
        let middle = local.and_utc().timestamp();
        let is_skipped =
            |at| DateTime::from_timestamp(at, 0).is_some_and(|at| self.local(at) >= local);
        let (mut before, mut after) = (middle - DAY, middle + DAY);
        while after - before > 1 {
            let between = before + (after - before) / 2;
            if is_skipped(between) {
                after = between;
            } else {
                before = between;
            }
        }
        DateTime::from_timestamp(after, 0).unwrap_or(local.and_utc())
    }
}

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;

    fn from_str(name: &str) -> Result<Self, UnknownTimeZone> {
        name.parse().map(Self).map_err(|_unknown| UnknownTimeZone)
    }
}

impl std::fmt::Display for TimeZone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn zone(name: &str) -> TimeZone {
        name.parse().unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_those_of_the_iana_database_to_the_letter() {
        for name in ["UTC", "Asia/Tokyo", "America/Argentina/Buenos_Aires"] {
            assert_eq!(zone(name).to_string(), name);
        }
        for name in ["Asia/Osaka", "europe/paris", "+02:00", "", "CEST", "Paris"] {
            assert_eq!(name.parse::<TimeZone>(), Err(UnknownTimeZone), "{name}");
        }
    }

    #[test]
    fn both_sides_of_the_date_line_have_days_of_their_own() {
        // Kiritimati is 14 hours ahead of UTC, Pago Pago 11 hours behind.
        for (instant, kiritimati, pago_pago) in [
            ("2026-03-10T09:59:59.999999Z", "2026-03-10", "2026-03-09"),
            ("2026-03-10T10:00:00Z", "2026-03-11", "2026-03-09"),
            ("2026-03-10T10:59:59.999999Z", "2026-03-11", "2026-03-09"),
            ("2026-03-10T11:00:00Z", "2026-03-11", "2026-03-10"),
        ] {
            assert_eq!(
                zone("Pacific/Kiritimati").day_of(at(instant)),
                day(kiritimati),
                "{instant}"
            );
            assert_eq!(
                zone("Pacific/Pago_Pago").day_of(at(instant)),
                day(pago_pago),
                "{instant}"
            );
        }
    }

    #[test]
    fn a_day_begins_when_the_clocks_first_show_it() {
        for (name, of, start) in [
            ("UTC", "2026-03-10", "2026-03-10T00:00:00Z"),
            ("Asia/Tokyo", "2026-03-10", "2026-03-09T15:00:00Z"),
            ("America/New_York", "2026-03-08", "2026-03-08T05:00:00Z"),
            ("America/New_York", "2026-03-09", "2026-03-09T04:00:00Z"),
            ("Europe/Paris", "2026-10-25", "2026-10-24T22:00:00Z"),
            ("Europe/Paris", "2026-10-26", "2026-10-25T23:00:00Z"),
            // Daylight saving time of half an hour.
            ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-06", "2026-04-05T13:30:00Z"),
            // Midnight is skipped: the day begins at 01:00.
            ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00Z"),
            // Midnight occurs twice: clocks go back from 01:00 to 00:00.
            ("America/Havana", "2025-11-02", "2025-11-02T04:00:00Z"),
            // Clocks go back from 00:01 to 23:01 of the previous day.
            ("America/St_Johns", "2006-10-29", "2006-10-29T02:30:00Z"),
            // The 30th was skipped, with all its hours.
            ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),
        ] {
            assert_eq!(zone(name).start_of(day(of)), at(start), "{name} {of}");
        }
    }

    #[test]
    fn days_follow_each_other_without_a_gap_in_every_zone_at_every_hour() {
        let moment = TimeDelta::microseconds(1);
        for tz in chrono_tz::TZ_VARIANTS {
            let zone = TimeZone(tz);
            let mut of = day("2025-12-28");
            while of < day("2027-01-03") {
                let (start, end) = (zone.start_of(of), zone.start_of(of + Days::new(1)));
                assert!(start < end, "{zone} {of}");
                assert!(
                    (22..=26).contains(&(end - start).num_hours()),
                    "{zone} {of}"
                );
                for inside in [start, start + (end - start) / 2, end - moment] {
                    assert_eq!(zone.day_of(inside), of, "{zone} {inside}");
                }
                assert_eq!(
                    zone.day_of(start - moment),
                    of - Days::new(1),
                    "{zone} {of}"
                );
                of = of + Days::new(1);
            }
        }
        // A minute that occurred twice around midnight, and a day that did not occur.
        for (name, inside, of) in [
            ("America/St_Johns", "2006-10-29T02:29:59Z", "2006-10-28"),
            ("America/St_Johns", "2006-10-29T02:30:30Z", "2006-10-29"),
            ("America/St_Johns", "2006-10-29T02:31:30Z", "2006-10-29"),
            ("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29"),
            ("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31"),
        ] {
            assert_eq!(zone(name).day_of(at(inside)), day(of), "{name} {inside}");
        }
    }

    #[test]
    fn days_later_is_the_same_time_of_day_whatever_the_clocks_did_meanwhile() {
        for (name, from, days, expected) in [
            (
                "UTC",
                "2026-01-31T12:34:56.789012Z",
                30,
                "2026-03-02T12:34:56.789012Z",
            ),
            ("UTC", "2024-01-31T12:00:00Z", 30, "2024-03-01T12:00:00Z"),
            // 12:00 in winter and 12:00 in summer.
            (
                "Europe/Paris",
                "2026-03-20T11:00:00Z",
                30,
                "2026-04-19T10:00:00Z",
            ),
            (
                "America/New_York",
                "2026-10-20T16:00:00Z",
                30,
                "2026-11-19T17:00:00Z",
            ),
            (
                "Australia/Lord_Howe",
                "2026-03-20T01:00:00Z",
                30,
                "2026-04-19T01:30:00Z",
            ),
            // 02:30 does not exist on the 29th: the clocks go from 02:00 to 03:00.
            (
                "Europe/Paris",
                "2026-03-28T01:30:00Z",
                1,
                "2026-03-29T01:00:00Z",
            ),
            // 02:30 occurs twice on the 25th.
            (
                "Europe/Paris",
                "2026-10-24T00:30:00Z",
                1,
                "2026-10-25T00:30:00Z",
            ),
            // 23:30 on the 31st in Tokyo is 14:30 on the 31st in UTC. 30 days later it is the 30th in Tokyo.
            (
                "Asia/Tokyo",
                "2026-12-31T14:30:00Z",
                30,
                "2027-01-30T14:30:00Z",
            ),
            (
                "Pacific/Apia",
                "2011-12-29T20:00:00Z",
                1,
                "2011-12-30T10:00:00Z",
            ),
            // The second 02:30 of that night is later than the first.
            (
                "Europe/Paris",
                "2026-10-25T01:30:00Z",
                0,
                "2026-10-25T01:30:00Z",
            ),
        ] {
            let later = zone(name).days_after(at(from), days);
            assert_eq!(later, at(expected), "{name} {from} {days}");
        }
    }
}
