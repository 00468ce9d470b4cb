//! The days of a report: what of them is kept, and what is read from the orders.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use entity::{BusinessId, TimeZone};
use sea_orm::{DbBackend, FromQueryResult, Statement};

use crate::{Error, Transaction};

/// The row of `sales_figures_state`.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct State {
    pub(super) time_zone: String,
    /// The moment up to which figures are kept.
    pub(super) kept_until: DateTime<Utc>,
}

/// Raw: two columns of a table that only this wing knows.
const STATE: &str = "SELECT time_zone, kept_until FROM sales_figures_state WHERE business_id = $1";

pub(super) async fn state(
    transaction: &Transaction,
    business: BusinessId,
) -> Result<Option<State>, Error> {
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, STATE, [business.0.into()]);
    Ok(State::find_by_statement(statement).one(transaction).await?)
}

/// A report's days, of which the last may not have ended.
#[derive(Debug, Clone)]
pub(super) struct Period {
    /// The first day.
    pub(super) from: NaiveDate,
    /// The day after the last.
    pub(super) until: NaiveDate,
    /// The moment up to which figures are kept.
    kept_until: DateTime<Utc>,
    zone: TimeZone,
}

impl Period {
    /// The days from `from` to before `until`. Figures of another time zone are not used.
    pub(super) fn new(
        (from, until): (NaiveDate, NaiveDate),
        zone: TimeZone,
        state: Option<&State>,
    ) -> Self {
        let state = state.filter(|state| state.time_zone == zone.to_string());
        // Nothing was sold before the first kept day.
        let kept_until = state.map_or(DateTime::UNIX_EPOCH, |state| state.kept_until);
        Self {
            from,
            until,
            kept_until,
            zone,
        }
    }

    /// The span that is read from the orders; empty if everything is kept.
    pub(super) fn live(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let (start, end) = self.span();
        (self.kept_until.clamp(start, end.max(start)), end)
    }

    /// The whole span.
    pub(super) fn span(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        (
            self.zone.start_of(self.from),
            self.zone.start_of(self.until),
        )
    }

    /// The day after the last with kept figures of this time zone.
    pub(super) fn kept_before(&self) -> NaiveDate {
        let after = self.zone.day_of(self.kept_until) + Days::new(1);
        after.clamp(self.from, self.until.max(self.from))
    }

    /// The starts of the days and the end, as an array of PostgreSQL.
    pub(super) fn bounds(&self) -> String {
        let days = self.from.iter_days().take_while(|day| *day <= self.until);
        array(days.map(|day| self.zone.start_of(day).to_rfc3339()))
    }

    /// The kept days, in whole months as far as possible: two arrays of PostgreSQL, of spans and of their first days.
    pub(super) fn kept_spans(&self) -> (String, String) {
        let (mut spans, mut starts) = (Vec::new(), Vec::new());
        let mut day = self.from;
        while day < self.until && self.zone.start_of(day) < self.kept_until {
            let next_month = day + Months::new(1);
            let is_whole = day.day() == 1
                && next_month <= self.until
                && self.zone.start_of(next_month) <= self.kept_until;
            spans.push(if is_whole { "month" } else { "day" }.to_owned());
            starts.push(day.to_string());
            day = if is_whole {
                next_month
            } else {
                day + Days::new(1)
            };
        }
        (array(spans), array(starts))
    }
}

fn array(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().collect();
    format!("{{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn period(from: &str, until: &str, kept_until: &str) -> Period {
        let state = State {
            time_zone: "UTC".to_owned(),
            kept_until: kept_until.parse().unwrap(),
        };
        Period::new((day(from), day(until)), TimeZone::UTC, Some(&state))
    }

    #[test]
    fn kept_days_are_read_by_whole_months_and_single_days() {
        let kept = |from, until, kept| period(from, until, kept).kept_spans();
        let (spans, starts) = kept("2026-01-30", "2026-04-03", "2026-04-01T07:00:00Z");
        assert_eq!(spans, "{day,day,month,month,day}");
        assert_eq!(
            starts,
            "{2026-01-30,2026-01-31,2026-02-01,2026-03-01,2026-04-01}"
        );
        let (spans, _) = kept("2026-01-01", "2026-02-01", "2026-01-31T23:00:00Z");
        assert_eq!(spans.matches("day").count(), 31);
        let (spans, _) = kept("2026-01-01", "2026-02-01", "2026-02-01T00:00:00Z");
        assert_eq!(spans, "{month}");
        let (spans, _) = kept("2026-01-05", "2026-01-06", "2026-01-05T00:00:00Z");
        assert_eq!(spans, "{}");
    }

    #[test]
    fn what_is_not_kept_and_what_is_of_another_zone_is_read_live() {
        let days = ("2026-01-01", "2026-01-03");
        let [start, end] = [days.0, days.1].map(|of| TimeZone::UTC.start_of(day(of)));
        for (kept, live) in [
            ("2025-12-01T00:00:00Z", (start, end)),
            (
                "2026-01-02T05:00:00Z",
                ("2026-01-02T05:00:00Z".parse().unwrap(), end),
            ),
            ("2026-02-01T00:00:00Z", (end, end)),
        ] {
            assert_eq!(period(days.0, days.1, kept).live(), live, "{kept}");
        }
        let state = State {
            time_zone: "Europe/Paris".to_owned(),
            kept_until: end,
        };
        let period = Period::new((day(days.0), day(days.1)), TimeZone::UTC, Some(&state));
        assert_eq!(period.live(), (start, end));
        assert_eq!(period.kept_before(), day(days.0));
    }
}
