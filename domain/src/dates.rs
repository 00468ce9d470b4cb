//! Days and moments of reports. Days are UTC's, and a moment is as exact as the database keeps it: to the microsecond.

use chrono::{DateTime, Days, NaiveDate, SubsecRound, TimeDelta, Utc};

/// A day, or a moment of one, as the reader of a report says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A whole day.
    Day(NaiveDate),
    /// A moment.
    Moment(DateTime<Utc>),
}

impl When {
    /// Where a time begins that begins with this.
    #[must_use]
    pub fn start(self) -> DateTime<Utc> {
        match self {
            Self::Day(day) => midnight(day),
            Self::Moment(moment) => exact(moment),
        }
    }

    /// The first moment that is no more of a time that ends with this: the day is in it, the moment is not. So a time
    /// that ends here and one that begins with the next day, or at this moment, have nothing between them or in common.
    #[must_use]
    pub fn end(self) -> DateTime<Utc> {
        match self {
            Self::Day(day) => midnight(day) + Days::new(1),
            Self::Moment(moment) => exact(moment),
        }
    }

    /// The last moment of it.
    #[must_use]
    pub fn last(self) -> DateTime<Utc> {
        match self {
            Self::Day(_) => self.end() - TimeDelta::microseconds(1),
            Self::Moment(moment) => exact(moment),
        }
    }
}

/// How long orders are past due on the day of `as_of`, as the moments that part them: what was due at the first or later
/// is current, since it is due on that day or after it; before the second it is past due for more than 30 days, before
/// the third for more than 60, before the fourth for more than 90. Days count by their dates: due yesterday is one day,
/// at whatever time.
#[must_use]
pub fn past_due_bounds(as_of: DateTime<Utc>) -> [DateTime<Utc>; 4] {
    let today = midnight(as_of.date_naive());
    [0, 30, 60, 90].map(|days| today - Days::new(days))
}

/// As exact as the database keeps it.
#[must_use]
pub fn exact(moment: DateTime<Utc>) -> DateTime<Utc> {
    moment.trunc_subsecs(6)
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// The number of the bucket by the bounds, from 0.
    fn bucket(due_at: &str, as_of: &str) -> usize {
        let bounds = past_due_bounds(at(as_of));
        bounds.iter().filter(|bound| at(due_at) < **bound).count()
    }

    #[test]
    fn due_today_is_current_whatever_the_time_and_due_yesterday_is_one_day() {
        for as_of in ["2026-03-10T00:00:00Z", "2026-03-10T23:59:59.999999Z"] {
            assert_eq!(bucket("2027-01-01T00:00:00Z", as_of), 0);
            assert_eq!(bucket("2026-03-10T23:59:59.999999Z", as_of), 0);
            assert_eq!(bucket("2026-03-10T00:00:00Z", as_of), 0);
            assert_eq!(bucket("2026-03-09T23:59:59.999999Z", as_of), 1);
        }
    }

    #[test]
    fn buckets_change_between_the_30th_and_31st_60th_and_61st_90th_and_91st_day() {
        let as_of = "2026-06-30T12:00:00Z";
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
            let day = at(as_of).date_naive() - Days::new(days);
            for time in ["00:00:00", "23:59:59.999999"] {
                let due_at = format!("{day}T{time}Z");
                assert_eq!(bucket(&due_at, as_of), expected, "{due_at}");
            }
        }
    }

    #[test]
    fn days_are_those_of_utc_over_leap_days_and_clock_changes() {
        assert_eq!(bucket("2024-01-31T12:00:00Z", "2024-03-01T00:00:00Z"), 1);
        assert_eq!(bucket("2024-01-30T12:00:00Z", "2024-03-01T00:00:00Z"), 2);
        assert_eq!(bucket("2026-02-28T22:59:59Z", "2026-03-30T00:30:00Z"), 1);
        // The evening of the 9th in New York is the 10th.
        let evening = "2026-03-09T20:30:00-04:00";
        let evening = DateTime::parse_from_rfc3339(evening).unwrap().to_utc();
        assert_eq!(
            past_due_bounds(evening)[0],
            at("2026-03-10T00:00:00Z"),
            "{evening}"
        );
    }

    #[test]
    fn a_day_is_whole_and_what_ends_with_it_touches_what_begins_with_the_next() {
        let day = When::Day("2026-12-31".parse().unwrap());
        assert_eq!(day.start(), at("2026-12-31T00:00:00Z"));
        assert_eq!(day.end(), at("2027-01-01T00:00:00Z"));
        assert_eq!(day.last(), at("2026-12-31T23:59:59.999999Z"));
        assert_eq!(day.end(), When::Day("2027-01-01".parse().unwrap()).start());
    }

    #[test]
    fn a_moment_is_kept_to_the_microsecond() {
        let moment = When::Moment(at("2026-01-01T00:00:00.123456789Z"));
        for exact in [moment.start(), moment.end(), moment.last()] {
            assert_eq!(exact, at("2026-01-01T00:00:00.123456Z"));
        }
    }
}
