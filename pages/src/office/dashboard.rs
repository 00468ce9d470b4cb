//! The first page of the back office: the business at a glance. Each figure leads to its list.

use askama::Template;
use chrono::NaiveDate;
use entity::{Money, ProductId};

use super::{Frame, OrderRow};
use crate::plot::Plot;
use crate::text;

/// The business at a glance.
#[derive(Debug, Template)]
#[template(path = "office/dashboard.html")]
pub struct Dashboard {
    pub frame: Frame,
    /// The days of the business up to today, the oldest first.
    pub days: Vec<Day>,
    /// The unpaid amount of all orders on credit, and the part that is past due.
    pub due: Money,
    pub overdue: Money,
    /// The unpaid amounts by days past due.
    pub ages: Vec<(&'static str, Money)>,
    /// Products that run out, the first one first.
    pub running_out: Vec<RunningOut>,
    /// Orders that need a person's attention.
    pub attention: Vec<OrderRow>,
    /// Orders that can be shipped, the oldest first.
    pub to_ship: Vec<OrderRow>,
}

/// The sales of a day.
#[derive(Debug, Clone)]
pub struct Day {
    pub day: NaiveDate,
    pub orders: i64,
    /// The revenue less cancelled and credited amounts.
    pub net: Money,
}

/// A product that runs out.
#[derive(Debug, Clone)]
pub struct RunningOut {
    pub product_id: ProductId,
    pub sku: String,
    pub name: String,
    pub available: i64,
    /// The whole days for which its stock lasts.
    pub days_left: i64,
}

impl Dashboard {
    /// Today, or the last day that is known.
    fn today(&self) -> Option<&Day> {
        self.days.last()
    }

    fn net_of_all(&self) -> Money {
        self.days.iter().map(|day| day.net).sum()
    }

    fn orders_of_all(&self) -> i64 {
        self.days.iter().map(|day| day.orders).sum()
    }

    fn plot(&self) -> Plot {
        let amounts: Vec<(Money, String)> = self
            .days
            .iter()
            .map(|day| {
                let net = self.frame.business.money(day.net);
                (day.net, format!("{}: {net}", text::day(day.day)))
            })
            .collect();
        let currency = self.frame.business.currency;
        Plot::of(
            "sales",
            "Net sales of each of the last 30 days",
            currency,
            &amounts,
        )
    }
}
