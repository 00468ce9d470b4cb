//! A rate limit: a number of requests per time, as the settings write it.

use std::str::FromStr;
use std::time::Duration;

/// The most requests of a rate.
const MAX_REQUESTS: u32 = 1_000_000;

/// A burst of `count` requests, and `count` more in each `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number of requests.
    pub count: u32,
    /// The time in which they are regained.
    pub period: Duration,
}

/// A rate, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimit {
    /// No limit: nothing is counted.
    Off,
    /// At most this rate.
    At(Rate),
}

/// The text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a number of requests from 1 to {MAX_REQUESTS} and a time, such as 600/min, 20/s or 5000/h, or off"
)]
pub struct BadRate;

impl RateLimit {
    /// The rate multiplied by `factor`, at most 1,000,000 requests.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::At(rate) => Self::At(Rate {
                count: rate.count.saturating_mul(factor).min(MAX_REQUESTS),
                ..rate
            }),
        }
    }

    /// The rate; `None` if nothing is counted.
    #[must_use]
    pub fn rate(self) -> Option<Rate> {
        match self {
            Self::Off => None,
            Self::At(rate) => Some(rate),
        }
    }
}

impl FromStr for RateLimit {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let (count, unit) = text.split_once('/').ok_or(BadRate)?;
        let seconds = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return Err(BadRate),
        };
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count.parse().ok().filter(|_| digits).ok_or(BadRate)?;
        if !(1..=MAX_REQUESTS).contains(&count) {
            return Err(BadRate);
        }
        let period = Duration::from_secs(seconds);
        Ok(Self::At(Rate { count, period }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_time() {
        for (text, count, seconds) in [
            ("600/min", 600, 60),
            ("1/s", 1, 1),
            ("1000000/h", 1_000_000, 3600),
        ] {
            let rate = Rate {
                count,
                period: Duration::from_secs(seconds),
            };
            assert_eq!(text.parse(), Ok(RateLimit::At(rate)), "{text}");
        }
        assert_eq!("off".parse(), Ok(RateLimit::Off));
    }

    #[test]
    fn invalid_rates_are_refused() {
        for text in [
            "",
            "600",
            "0/min",
            "-1/s",
            "+1/s",
            "1.5/s",
            "600/day",
            "600/ min",
            "600 /min",
            "OFF",
            "1000001/s",
            "/min",
            "99999999999/s",
        ] {
            assert_eq!(text.parse::<RateLimit>(), Err(BadRate), "{text}");
        }
    }
}
