//! Times in other issuers' tokens (RFC 7519, `NumericDate`): seconds since 1970, with or without a fraction.
//!
//! A number is parsed from its own text and never becomes a float. Up to 28 digits are exact; a longer number is
//! rejected. Only whole seconds are compared. A fraction is rounded towards rejection: `exp` down, `nbf` up.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Value};

use super::{BadToken, LEEWAY_SECONDS};

/// Checks `exp`, which is required, and `nbf` and `iat`, which are optional. Returns `exp` in seconds.
///
/// # Errors
/// See [`BadToken`].
pub(super) fn check(claims: &Map<String, Value>, now: i64) -> Result<i64, BadToken> {
    let ends = read(claims, "exp")?.ok_or(BadToken::Invalid)?;
    let begins = read(claims, "nbf")?;
    // Nothing depends on `iat`. A value that is not a time is an error of the issuer, so it is rejected.
    let _ = read(claims, "iat")?;
    let ends = whole(ends.floor())?;
    if ends < now.saturating_sub(LEEWAY_SECONDS) {
        return Err(BadToken::Expired);
    }
    if let Some(begins) = begins
        && whole(begins.ceil())? > now.saturating_add(LEEWAY_SECONDS)
    {
        return Err(BadToken::Invalid);
    }
    Ok(ends)
}

/// A claim that is a time; `None` if it is absent.
fn read(claims: &Map<String, Value>, name: &str) -> Result<Option<Decimal>, BadToken> {
    let text = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number.as_str(),
        Some(_) => return Err(BadToken::Invalid),
    };
    let time = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    time.map(Some).map_err(|_no_time| BadToken::Invalid)
}

fn whole(seconds: Decimal) -> Result<i64, BadToken> {
    seconds.to_i64().ok_or(BadToken::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn checked(claims: &str) -> Result<i64, BadToken> {
        let claims = crate::schema::body::parse(claims.as_bytes()).unwrap();
        check(claims.as_object().unwrap(), NOW)
    }

    #[test]
    fn a_time_is_any_number_and_its_fraction_is_read_exactly() {
        for (claims, ends) in [
            (r#"{"exp": 1700000060}"#, NOW + 60),
            (r#"{"exp": 1700000060.999999999999999999}"#, NOW + 60),
            (
                r#"{"exp": 1700000060.0, "nbf": 1.7e9, "iat": 1700000000.25}"#,
                NOW + 60,
            ),
            (r#"{"exp": 1.70000006E+9, "iat": 0}"#, NOW + 60),
            (r#"{"exp": 99999999999.5}"#, 99_999_999_999),
            // The clocks may differ by 5 s and no more.
            (r#"{"exp": 1699999995.5, "nbf": 1700000004.5}"#, NOW - 5),
        ] {
            assert_eq!(checked(claims), Ok(ends), "{claims}");
        }
    }

    #[test]
    fn a_token_ends_and_begins_at_its_times_and_an_end_is_never_missing() {
        for (claims, bad) in [
            (r#"{"exp": 1699999994.999}"#, BadToken::Expired),
            (r#"{"exp": -1}"#, BadToken::Expired),
            (
                r#"{"exp": 1700000060, "nbf": 1700000005.001}"#,
                BadToken::Invalid,
            ),
            (r#"{}"#, BadToken::Invalid),
            (r#"{"exp": null}"#, BadToken::Invalid),
            (r#"{"exp": "1700000060"}"#, BadToken::Invalid),
            (r#"{"exp": 1700000060, "nbf": "soon"}"#, BadToken::Invalid),
            (r#"{"exp": 1700000060, "iat": "once"}"#, BadToken::Invalid),
            (r#"{"exp": 1700000060, "iat": null}"#, BadToken::Invalid),
            // Outside the range of times.
            (r#"{"exp": 1e20}"#, BadToken::Invalid),
            (r#"{"exp": 1e400}"#, BadToken::Invalid),
            (r#"{"exp": 1700000060, "nbf": 1e300}"#, BadToken::Invalid),
        ] {
            assert_eq!(checked(claims), Err(bad), "{claims}");
        }
    }
}
