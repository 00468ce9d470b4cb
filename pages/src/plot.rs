//! Plots as SVG. Heights are whole hundredths of the highest bar, so no float is near money.

use askama::Template;
use askama::filters::HtmlSafe;
use entity::{Currency, Money};

/// The width of a bar with the gap beside it.
const STEP: usize = 10;

/// A plot of bars, each with a text that says what it is.
#[derive(Debug, Template)]
#[template(
    source = r#"<svg class="plot" viewBox="0 0 {{ width }} 101" preserveAspectRatio="none" role="img" aria-labelledby="{{ id }}-title"><title id="{{ id }}-title">{{ title }}</title>{% for bar in bars %}<rect x="{{ bar.x }}" y="{{ 101 - bar.height }}" width="8" height="{{ bar.height }}"><title>{{ bar.text }}</title></rect>{% endfor %}</svg>"#,
    ext = "html"
)]
pub(crate) struct Plot {
    id: &'static str,
    title: &'static str,
    width: usize,
    bars: Vec<Bar>,
}

impl HtmlSafe for Plot {}

#[derive(Debug)]
struct Bar {
    x: usize,
    /// From 1, so that a day without sales is seen, to 101.
    height: i128,
    text: String,
}

impl Plot {
    /// A plot of amounts in this currency, each with its text. Amounts below 0 are shown as 0.
    pub(crate) fn of(
        id: &'static str,
        title: &'static str,
        currency: Currency,
        amounts: &[(Money, String)],
    ) -> Self {
        let minor = |amount: Money| minor(amount, currency).max(0);
        let highest = amounts.iter().map(|(amount, _)| minor(*amount)).max();
        let highest = highest.unwrap_or(0).max(1);
        let bars = amounts
            .iter()
            .enumerate()
            .map(|(index, (amount, text))| Bar {
                x: index * STEP,
                height: 1 + minor(*amount) * 100 / highest,
                text: text.clone(),
            });
        Self {
            id,
            title,
            width: amounts.len().max(1) * STEP,
            bars: bars.collect(),
        }
    }
}

/// The amount in minor units: its digits without the point.
fn minor(amount: Money, currency: Currency) -> i128 {
    let digits = amount.to_text(currency).replace('.', "");
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_whole_hundredths_of_the_highest() {
        let usd = |text: &str| Money::parse(text, Currency::USD).unwrap();
        let amounts = ["0", "50.00", "100.00", "33.33"].map(|text| (usd(text), text.to_owned()));
        let plot = Plot::of("plot", "Sales", Currency::USD, &amounts);
        let heights: Vec<i128> = plot.bars.iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [1, 51, 101, 34]);
        let below = [(-usd("5.00"), String::new())];
        let plot = Plot::of("plot", "Sales", Currency::USD, &below);
        assert_eq!(plot.bars[0].height, 1);
        assert_eq!(Plot::of("plot", "Sales", Currency::USD, &[]).width, STEP);
    }
}
