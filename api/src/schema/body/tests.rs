use entity::{Currency, CustomerId, Money, ProductId, Quantity};
use serde_json::{Value, json};
use utoipa::PartialSchema;

use super::{Change, FromJson, List, json};
use crate::schema::faults::{At, MAX_FAULTS};
use crate::schema::text::{Email, Secret, Text, Whole};

crate::body! {
    /// One line.
    struct Line {
        /// The product.
        product_id: ProductId,
        quantity: Quantity,
        unit_price: Option<Money>,
    }
}

crate::body! {
    /// A purchase.
    struct Purchase {
        customer_id: Option<CustomerId>,
        /// What is bought.
        items: List<Line, 1, 3>,
        r#type: Option<Text<1, 10>>,
    }
}

crate::body! {
    struct Profile {
        name: Text<1, 5>,
        email: Change<Email>,
        days: Option<Whole<0, 90>>,
        active: Option<bool>,
        password: Option<Secret<8, 128>>,
    }
}

fn read<T: FromJson>(text: &str) -> Result<T, Value> {
    let mut at = At::new(Some(Currency::USD));
    let value = json::parse(text.as_bytes()).unwrap();
    let body = T::from_json(value, &mut at);
    at.finish(body).map_err(|problem| {
        let body: Value = serde_json::from_str(&problem.body("", "")).unwrap();
        body["errors"].clone()
    })
}

fn faults<T: FromJson>(text: &str) -> Vec<(String, String)> {
    let Err(Value::Array(faults)) = read::<T>(text) else {
        return Vec::new();
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pairs = faults
        .iter()
        .map(|fault| (text(&fault["pointer"]), text(&fault["message"])));
    pairs.collect()
}

fn pointers<T: FromJson>(text: &str) -> Vec<String> {
    faults::<T>(text)
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect()
}

const ID: &str = "0190a5d4-7b1c-7000-8000-000000000000";

fn line(rest: &str) -> String {
    format!(r#"{{"product_id": "{ID}", "quantity": 2{rest}}}"#)
}

#[test]
fn a_good_body_is_read() {
    let text = format!(
        r#"{{"items": [{}], "type": "x"}}"#,
        line(r#", "unit_price": 10.50"#)
    );
    let purchase: Purchase = read(&text).unwrap();
    assert_eq!(purchase.customer_id, None);
    assert_eq!(purchase.r#type, Some(Text("x".to_owned())));
    let Line {
        product_id,
        quantity,
        unit_price,
    } = purchase.items.into_iter().next().unwrap();
    assert_eq!((product_id.to_string().as_str(), quantity.get()), (ID, 2));
    assert_eq!(unit_price.unwrap().to_text(Currency::USD), "10.50");
}

#[test]
fn all_faults_are_reported_at_once() {
    let text = r#"{"customer_id": "me", "items": [
        {"quantity": 0, "unit_price": "1.001"},
        {"product_id": 7, "quantity": 1.5, "unit_price": -1, "a/b~c": 1},
        "line"], "typo": null}"#;
    let expected = [
        ("/customer_id", "must be a UUID"),
        ("/items/0/product_id", "is required"),
        (
            "/items/0/quantity",
            "must be a whole number from 1 to 1,000,000",
        ),
        (
            "/items/0/unit_price",
            "must have at most 2 digits after the decimal point, as USD has",
        ),
        ("/items/1/product_id", "must be a string"),
        (
            "/items/1/quantity",
            "must be a whole number from 1 to 1,000,000",
        ),
        ("/items/1/unit_price", "must not be negative"),
        ("/items/1/a~1b~0c", "is not a known field"),
        ("/items/2", "must be an object"),
        ("/typo", "is not a known field"),
    ];
    let expected = expected.map(|(pointer, message)| (pointer.to_owned(), message.to_owned()));
    assert_eq!(faults::<Purchase>(text), expected);
}

#[test]
fn a_body_that_is_no_object_is_one_fault() {
    for text in ["[]", "1", "null", "\"x\"", "true"] {
        assert_eq!(pointers::<Purchase>(text), [""], "{text}");
    }
    assert_eq!(pointers::<Purchase>("{}"), ["/items"]);
    assert_eq!(pointers::<Purchase>(r#"{"items": []}"#), ["/items"]);
    let four = [line(""), line(""), line(""), line("")].join(",");
    assert_eq!(
        pointers::<Purchase>(&format!(r#"{{"items": [{four}]}}"#)),
        ["/items"]
    );
}

#[test]
fn amounts_are_exact_whatever_their_size() {
    let price = |text: &str| faults::<Line>(&line(&format!(r#", "unit_price": {text}"#)));
    for good in [
        "0",
        "0.1",
        "\"007.50\"",
        "999999999999999.99",
        "\"999999999999999.99\"",
        "1.5000000000000000000000000",
    ] {
        assert_eq!(price(good), [], "{good}");
    }
    for bad in [
        "1000000000000000",
        "9999999999999999.99",
        "1e2",
        "1E400",
        "1e999999999999",
        "-0.01",
        "0.001",
        "\"1e2\"",
        "\"\"",
        "\"NaN\"",
        "true",
        "[]",
        "{}",
        "0.1000000000000000055511151231257827",
        "\"1,50\"",
    ] {
        let faults = price(bad);
        assert_eq!(faults.len(), 1, "{bad}");
        assert_eq!(faults[0].0, "/unit_price", "{bad}");
    }
}

#[test]
fn whole_numbers_have_no_point_and_no_exponent() {
    let quantity =
        |text: &str| pointers::<Line>(&format!(r#"{{"product_id": "{ID}", "quantity": {text}}}"#));
    assert_eq!(quantity("1000000"), [""; 0]);
    for bad in [
        "0",
        "-1",
        "1.0",
        "1e2",
        "1000001",
        "99999999999999999999",
        "\"2\"",
        "null",
        "true",
        "-0",
    ] {
        assert_eq!(quantity(bad), ["/quantity"], "{bad}");
    }
    assert_eq!(
        pointers::<Profile>(r#"{"name": "a", "days": 91}"#),
        ["/days"]
    );
    assert_eq!(
        read::<Profile>(r#"{"name": "a", "days": 0}"#)
            .unwrap()
            .days
            .unwrap()
            .get(),
        0
    );
}

#[test]
fn text_has_bounds_in_characters_and_no_control_characters() {
    let name = |text: &str| pointers::<Profile>(&json!({"name": text}).to_string());
    for good in ["a", "äöüßé", " a ", "日本"] {
        assert_eq!(name(good), [""; 0], "{good}");
    }
    for bad in ["", "   ", "sixsix", "a\u{0}b", "a\nb", "\u{7f}", "\u{85}"] {
        assert_eq!(name(bad), ["/name"], "{bad:?}");
    }
}

#[test]
fn a_change_tells_null_from_nothing() {
    let email = |rest: &str| {
        read::<Profile>(&format!(r#"{{"name": "a"{rest}}}"#))
            .unwrap()
            .email
    };
    assert_eq!(email(""), Change::Keep);
    assert_eq!(email(r#", "email": null"#), Change::Clear);
    let Change::Set(address) = email(r#", "email": "Ann@Example.com""#) else {
        panic!("an address was set");
    };
    assert_eq!(address.as_str(), "ann@example.com");
    for bad in [
        "",
        "ann",
        "@",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "a@b\u{0}",
        &format!("a@{}", "b".repeat(254)),
    ] {
        let text = json!({"name": "a", "email": bad}).to_string();
        assert_eq!(pointers::<Profile>(&text), ["/email"], "{bad:?}");
    }
}

#[test]
fn ids_have_one_form() {
    let id = |text: &str| {
        pointers::<Purchase>(&format!(
            r#"{{"customer_id": "{text}", "items": [{}]}}"#,
            line("")
        ))
    };
    assert_eq!(id(ID), [""; 0]);
    assert_eq!(id(&ID.to_uppercase()), [""; 0]);
    for bad in [
        "",
        &ID.replace('-', ""),
        &format!("{{{ID}}}"),
        &format!("urn:uuid:{ID}"),
        &ID[1..],
    ] {
        assert_eq!(id(bad), ["/customer_id"], "{bad}");
    }
}

#[test]
fn text_that_is_no_json_is_refused() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let too_deep = format!("{}1", "{\"a\":".repeat(100_000));
    for bad in [
        "",
        " ",
        "{",
        "{}}",
        "{} {}",
        "{'a': 1}",
        "{\"a\": 01}",
        "{\"a\": NaN}",
        "{\"a\": 1,}",
        "\u{feff}{}",
        r#"{"a": 1, "a": 1}"#,
        r#"{"a": {"b": 1, "c": 2, "b": 3}}"#,
        r#"{"a": 1, "\u0061": 2}"#,
        &deep,
        &too_deep,
    ] {
        assert!(json::parse(bad.as_bytes()).is_err(), "{bad:.40}");
    }
    assert!(json::parse(b"{\"a\": \"\xff\"}").is_err());
}

#[test]
fn values_are_what_serde_json_reads() {
    for text in [
        r#"{"a": [1, -1, 0, -0, 1.5, 1e400, 123456789012345678901234567890, "x\u0000", null, true, {}]}"#,
        "18446744073709551615",
        "-9223372036854775808",
        "0.10",
    ] {
        assert_eq!(
            json::parse(text.as_bytes()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }
    // How serde_json hands over numbers inside must not become a way in.
    for text in ["1", "1 or nothing"] {
        let object = format!(r#"{{"$serde_json::private::Number": "{text}"}}"#);
        let read = json::parse(object.as_bytes()).unwrap();
        assert!(read.is_object(), "{read}");
    }
}

#[test]
fn the_list_of_faults_has_an_end() {
    let members: Vec<String> = (0..MAX_FAULTS + 10)
        .map(|n| format!("\"x{n}\": 1"))
        .collect();
    assert_eq!(
        pointers::<Profile>(&format!("{{{}}}", members.join(","))).len(),
        MAX_FAULTS
    );
}

#[test]
fn secrets_are_not_shown() {
    let profile: Profile =
        read(r#"{"name": "a", "active": true, "password": "hunter2hunter2"}"#).unwrap();
    assert_eq!((profile.name.0.as_str(), profile.active), ("a", Some(true)));
    assert_eq!(
        profile.password.as_ref().unwrap().0.reveal(),
        "hunter2hunter2"
    );
    assert!(!format!("{profile:?}").contains("hunter2"));
}

#[test]
fn the_schema_says_what_the_reader_does() {
    let schema = serde_json::to_value(<Profile as PartialSchema>::schema()).unwrap();
    assert_eq!(schema["required"], json!(["name"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["properties"]["name"]["maxLength"], json!(5));
    let schema = serde_json::to_value(<Purchase as PartialSchema>::schema()).unwrap();
    assert_eq!(schema["description"], "A purchase.");
    assert_eq!(
        schema["properties"]["items"]["description"],
        "What is bought."
    );
    assert_eq!(schema["properties"]["items"]["maxItems"], json!(3));
    assert!(schema["properties"]["type"].is_object());
    // A body within a body is a component of its own.
    let line = schema["properties"]["items"]["items"]["$ref"].as_str();
    assert_eq!(line, Some("#/components/schemas/Line"));
    let schema = serde_json::to_value(<Line as PartialSchema>::schema()).unwrap();
    assert_eq!(
        schema["properties"]["quantity"]["maximum"],
        json!(1_000_000)
    );
}
