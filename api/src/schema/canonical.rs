//! A canonical form of JSON values: two bodies with the same meaning have the same bytes.
//!
//! It follows RFC 8785 (members in the order of their names, no white space), with one exception. A number is written
//! from its own digits and never becomes a float. `1.0`, `1.00` and `10e-1` are equal; `5` and `"5"` are not.

use serde_json::{Map, Value};

/// The canonical text of a value.
pub(crate) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => text.push_str(&canonical_number(number.as_str())),
        Value::Array(elements) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(element, text);
            }
            text.push(']');
        }
        Value::Object(members) => write_members(members, text),
        // `serde_json` writes each of these in exactly one way.
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

fn write_members(members: &Map<String, Value>, text: &mut String) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    text.push('{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        write(value, text);
    }
    text.push('}');
}

/// A JSON number as its significant digits and a power of ten. The cost does not depend on the exponent.
fn canonical_number(number: &str) -> String {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let shortest = significant.trim_end_matches('0');
    if shortest.is_empty() {
        return "0".to_owned();
    }
    // A body has at most 262,144 digits. Only an exponent that the body itself states can exceed the range of `i64`.
    let dropped = significant.len() - shortest.len();
    let shift = i128::try_from(dropped).unwrap_or(0) - i128::try_from(fraction.len()).unwrap_or(0);
    match exponent.parse::<i64>() {
        Ok(exponent) => format!("{sign}{shortest}e{}", i128::from(exponent) + shift),
        Err(_too_large) => number.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::body::parse;

    fn of(text: &str) -> String {
        canonical(&parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn members_in_another_order_and_white_space_do_not_count() {
        let one = of(r#"{"b": [1, {"d": null, "c": "x y"}], "a": true}"#);
        assert_eq!(
            one,
            of("{\"a\":true,\n\t\"b\":[1,{\"c\":\"x\\u0020y\",\"d\":null}]}")
        );
        assert_eq!(one, r#"{"a":true,"b":[1e0,{"c":"x y","d":null}]}"#);
    }

    #[test]
    fn bodies_of_different_meaning_have_different_canonical_forms() {
        for (one, other) in [
            ("5", "\"5\""),
            ("[1,2]", "[2,1]"),
            ("[1,2]", "[12]"),
            ("{}", "null"),
            ("{\"a\":null}", "{}"),
            ("1", "-1"),
            ("1", "10"),
            ("\"a\"", "\"A\""),
            ("\" a\"", "\"a\""),
            ("true", "\"true\""),
            ("{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}"),
            ("{\"a\":\"\\\",\\\"b\\\":\\\"\"}", "{\"a\":\"\",\"b\":\"\"}"),
        ] {
            assert_ne!(of(one), of(other));
        }
    }

    #[test]
    fn a_number_is_its_value_to_the_last_digit() {
        for (one, other) in [
            ("1.0", "1.00"),
            ("1e2", "100"),
            ("100.00", "1.0E+2"),
            ("0.010", "1e-2"),
            ("-0", "0"),
            ("0e9", "0.000"),
            (
                "123456789012345678901234567890.10",
                "123456789012345678901234567890.1",
            ),
            ("1e999999999", "10e999999998"),
        ] {
            assert_eq!(of(one), of(other), "{one} {other}");
        }
        for (one, other) in [
            ("123456789012345678", "123456789012345679"),
            ("0.1", "0.10000000000000000001"),
            ("1e99999999999999999999", "1e99999999999999999998"),
        ] {
            assert_ne!(of(one), of(other), "{one} {other}");
        }
    }
}
