//! What a webhook says, as far as it is of use here.

use domain::card::checkout::{Event, EventKind};
use entity::{BusinessId, OrderId};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Stripe, order_in, received, words};

/// Something that has happened to an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    id: String,
    kind: String,
    /// The intent.
    pub(super) intent: String,
    /// Whose it is, if the notice says so itself.
    pub(super) order: Option<(BusinessId, OrderId)>,
    told: EventKind,
}

/// The longest id that Stripe gives out, in bytes.
const ID_BYTES: usize = 255;

/// An event as it is written. Every text that is kept or asked with is an id ([`id`]) or goes through [`words`].
#[derive(Deserialize)]
struct Written {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// An intent in an event.
#[derive(Deserialize)]
struct Intent {
    #[serde(deserialize_with = "id")]
    id: String,
    amount: i64,
    amount_received: Option<i64>,
    #[serde(deserialize_with = "id")]
    currency: String,
    #[serde(default)]
    metadata: Map<String, Value>,
    last_payment_error: Option<PaymentError>,
}

#[derive(Deserialize)]
struct PaymentError {
    message: Option<String>,
    code: Option<String>,
}

/// A charge, a refund or a dispute in an event. A charge has the metadata that its intent had when it was made, as a rule;
/// the others have their own.
#[derive(Deserialize)]
struct OfIntent {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(default, deserialize_with = "optional_id")]
    payment_intent: Option<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// An id or a code: 1 to 255 visible characters of ASCII, which every column, index and log line takes.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    checked_id(text)
}

/// As [`id`], for one that may be missing or null.
fn optional_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(checked_id).transpose()
}

fn checked_id<E: serde::de::Error>(text: String) -> Result<String, E> {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible && (1..=ID_BYTES).contains(&text.len()) {
        return Ok(text);
    }
    Err(E::custom(format_args!(
        "an id or a currency must have 1 to {ID_BYTES} visible ASCII characters"
    )))
}

/// Reads an event. `None` for one of a kind that is of no use here, and for one of a payment that is not ours: one account
/// may serve other shops too.
pub(super) fn read(body: &[u8]) -> Result<Option<Notice>, serde_json::Error> {
    let Written { id, kind, data } = serde_json::from_slice(body)?;
    let notice = match kind.as_str() {
        "payment_intent.succeeded" => {
            let intent: Intent = serde_json::from_value(data.object)?;
            let minor = intent.amount_received.unwrap_or(intent.amount);
            let told = EventKind::Paid(received(minor, &intent.currency));
            of_intent(id, kind, intent, told)
        }
        "payment_intent.payment_failed" => {
            let mut intent: Intent = serde_json::from_value(data.object)?;
            let why = intent.last_payment_error.take();
            let why = why.and_then(|error| error.message.or(error.code));
            let told = EventKind::Failed(words(why.as_deref().unwrap_or("declined")));
            of_intent(id, kind, intent, told)
        }
        "payment_intent.canceled" => {
            let intent = serde_json::from_value(data.object)?;
            of_intent(id, kind, intent, EventKind::Cancelled)
        }
        // Of these the event says that there is something new. What, is asked for: they come in any order.
        "charge.refunded"
        | "charge.refund.updated"
        | "refund.created"
        | "refund.updated"
        | "refund.failed" => {
            let object: OfIntent = serde_json::from_value(data.object)?;
            about_intent(id, kind, object, |_| EventKind::RefundsChanged)
        }
        "charge.dispute.created"
        | "charge.dispute.updated"
        | "charge.dispute.closed"
        | "charge.dispute.funds_withdrawn"
        | "charge.dispute.funds_reinstated" => {
            let object: OfIntent = serde_json::from_value(data.object)?;
            about_intent(id, kind, object, EventKind::DisputeChanged)
        }
        _ => None,
    };
    Ok(notice)
}

fn of_intent(id: String, kind: String, intent: Intent, told: EventKind) -> Option<Notice> {
    let order = order_in(&intent.metadata)?;
    Some(Notice {
        id,
        kind,
        intent: intent.id,
        order: Some(order),
        told,
    })
}

fn about_intent(
    id: String,
    kind: String,
    object: OfIntent,
    told: impl FnOnce(String) -> EventKind,
) -> Option<Notice> {
    Some(Notice {
        id,
        kind,
        // A payment without an intent was made by other means than ours.
        intent: object.payment_intent?,
        order: order_in(&object.metadata),
        told: told(object.id),
    })
}

impl Notice {
    /// The notice for the domain.
    pub(super) fn event(self, (business_id, order_id): (BusinessId, OrderId)) -> Event {
        Event {
            provider: Stripe::NAME,
            id: self.id,
            kind: self.kind,
            business_id,
            order_id,
            intent: self.intent,
            told: self.told,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::card::provider::Received;
    use entity::{Currency, Money};
    use serde_json::json;

    use super::*;

    fn event(kind: &str, object: Value) -> Value {
        json!({"id": "evt_1", "object": "event", "type": kind, "data": {"object": object}})
    }

    fn told(kind: &str, object: Value) -> Option<Notice> {
        read(event(kind, object).to_string().as_bytes()).unwrap()
    }

    fn ours() -> (BusinessId, OrderId) {
        (BusinessId::new(), OrderId::new())
    }

    fn intent((business, order): (BusinessId, OrderId)) -> Value {
        json!({"id": "pi_1", "object": "payment_intent", "amount": 1099, "currency": "usd",
               "metadata": {"business_id": business, "order_id": order}})
    }

    fn dollars(minor: i64, text: &str) -> Received {
        Received {
            minor,
            currency: "USD".to_owned(),
            amount: Some(Money::parse(text, Currency::USD).unwrap()),
        }
    }

    #[test]
    fn what_happened_to_an_intent_is_told_of_its_order() {
        let ours = ours();
        let mut object = intent(ours);
        object["amount_received"] = json!(1000);
        object["last_payment_error"] = json!({"code": "card_declined", "message": "No\u{0} luck."});
        for (kind, expected) in [
            (
                "payment_intent.succeeded",
                EventKind::Paid(dollars(1000, "10")),
            ),
            (
                "payment_intent.payment_failed",
                EventKind::Failed("No luck.".to_owned()),
            ),
            ("payment_intent.canceled", EventKind::Cancelled),
        ] {
            let notice = told(kind, object.clone()).unwrap();
            assert_eq!(notice.order, Some(ours));
            assert_eq!((notice.id.as_str(), notice.kind.as_str()), ("evt_1", kind));
            assert_eq!(notice.intent, "pi_1");
            assert_eq!(notice.told, expected);
        }
        // Servers like Stripe leave out what is the same.
        let notice = told("payment_intent.succeeded", intent(ours)).unwrap();
        assert_eq!(notice.told, EventKind::Paid(dollars(1099, "10.99")));
        let notice = told("payment_intent.payment_failed", intent(ours)).unwrap();
        assert_eq!(notice.told, EventKind::Failed("declined".to_owned()));
    }

    #[test]
    fn a_charge_names_its_order_or_its_intent() {
        let (business, order) = ours();
        let mut charge = json!({"id": "ch_1", "object": "charge", "payment_intent": "pi_1",
                                "amount": 1099, "amount_refunded": 250, "currency": "usd"});
        let notice = told("charge.refunded", charge.clone()).unwrap();
        assert_eq!((notice.intent.as_str(), notice.order), ("pi_1", None));
        assert_eq!(notice.told, EventKind::RefundsChanged);
        charge["metadata"] = json!({"business_id": business, "order_id": order});
        let notice = told("charge.refunded", charge.clone()).unwrap();
        assert_eq!(notice.order, Some((business, order)));
        charge["payment_intent"] = Value::Null;
        assert_eq!(told("charge.refunded", charge), None);
    }

    #[test]
    fn whatever_becomes_of_a_refund_or_a_dispute_is_told_of_its_intent() {
        // The metadata of a refund is its own: it names no order.
        let refund = json!({"id": "re_1", "object": "refund", "payment_intent": "pi_1", "amount": 250,
                            "metadata": {"refund_id": OrderId::new()}});
        for kind in [
            "charge.refund.updated",
            "refund.created",
            "refund.updated",
            "refund.failed",
        ] {
            let notice = told(kind, refund.clone()).unwrap();
            assert_eq!((notice.intent.as_str(), notice.order), ("pi_1", None));
            assert_eq!(notice.told, EventKind::RefundsChanged, "{kind}");
        }
        let mut dispute = json!({"id": "dp_1", "object": "dispute", "payment_intent": "pi_1",
                                 "charge": "ch_1", "status": "needs_response"});
        for kind in [
            "charge.dispute.created",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.funds_reinstated",
        ] {
            let notice = told(kind, dispute.clone()).unwrap();
            assert_eq!((notice.intent.as_str(), notice.order), ("pi_1", None));
            assert_eq!(
                notice.told,
                EventKind::DisputeChanged("dp_1".to_owned()),
                "{kind}"
            );
        }
        dispute["payment_intent"] = Value::Null;
        assert_eq!(told("charge.dispute.created", dispute), None);
    }

    #[test]
    fn what_is_of_another_kind_or_of_another_shop_is_nothing() {
        assert_eq!(told("customer.created", json!({"id": "cus_1"})), None);
        assert_eq!(told("payment_intent.created", intent(ours())), None);
        let (business, order) = ours();
        for metadata in [
            json!({}),
            json!({"order_id": order}),
            json!({"business_id": business, "order_id": "6735"}),
            json!({"business_id": business, "order_id": 6735}),
        ] {
            let mut object = intent(ours());
            object["metadata"] = metadata.clone();
            assert_eq!(told("payment_intent.succeeded", object), None, "{metadata}");
        }
    }

    #[test]
    fn a_currency_that_nobody_knows_has_no_amount_and_is_told_all_the_same() {
        let mut object = intent(ours());
        object["currency"] = json!("usdc");
        let notice = told("payment_intent.succeeded", object).unwrap();
        let expected = Received {
            minor: 1099,
            currency: "USDC".to_owned(),
            amount: None,
        };
        assert_eq!(notice.told, EventKind::Paid(expected));
    }

    #[test]
    fn an_id_that_no_column_takes_is_an_error() {
        let bad = |bad: &str| {
            let mut of_event = event("payment_intent.succeeded", intent(ours()));
            of_event["id"] = json!(bad);
            let mut of_intent = intent(ours());
            of_intent["id"] = json!(bad);
            let mut currency = intent(ours());
            currency["currency"] = json!(bad);
            let charge = json!({"id": "ch_1", "payment_intent": bad, "currency": "usd"});
            let dispute = json!({"id": bad, "payment_intent": "pi_1"});
            [
                of_event,
                event("payment_intent.canceled", of_intent),
                event("payment_intent.succeeded", currency),
                event("charge.refunded", charge),
                event("charge.dispute.created", dispute),
            ]
        };
        for text in ["", "evt\u{0}", "evt 1", "evt\n", "évt", &"e".repeat(256)] {
            for event in bad(text) {
                assert!(read(event.to_string().as_bytes()).is_err(), "{event}");
            }
        }
        for event in bad(&"e".repeat(255)) {
            assert!(read(event.to_string().as_bytes()).is_ok(), "{event}");
        }
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for body in [
            "".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            json!({"id": "evt_1", "type": "payment_intent.succeeded"}).to_string(),
            event("payment_intent.succeeded", json!({"id": "pi_1"})).to_string(),
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
