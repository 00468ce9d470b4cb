//! Parser of Stripe's webhook events.

use domain::card::checkout::{Event, EventKind};
use entity::{BusinessId, OrderId};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Stripe, order_in, received, words};

/// An event about a payment intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    id: String,
    kind: String,
    /// The intent's id.
    pub(super) intent: String,
    /// The order of the intent; `None` if the event does not name it.
    pub(super) order: Option<(BusinessId, OrderId)>,
    event_kind: EventKind,
}

/// The maximum length of an id from Stripe, in bytes.
const ID_BYTES: usize = 255;

/// An event as Stripe writes it. Every text that is stored or sent back is an id (see [`id`]) or passes through
/// [`words`].
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

/// A charge, a refund or a dispute in an event. A charge usually has the metadata of its intent at the time of the
/// charge; the others have their own.
#[derive(Deserialize)]
struct OfIntent {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(default, deserialize_with = "optional_id")]
    payment_intent: Option<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// Parses an id or a code: 1 to 255 visible ASCII characters, which every column, index and log line accepts.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    checked_id(text)
}

/// As [`id`], for a member that may be absent or null.
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

/// Parses an event. `None` if its type is not used here, or if its payment is not this service's: one Stripe account
/// may serve other shops too.
pub(super) fn read(body: &[u8]) -> Result<Option<Notice>, serde_json::Error> {
    let Written { id, kind, data } = serde_json::from_slice(body)?;
    let notice = match kind.as_str() {
        "payment_intent.succeeded" => {
            let intent: Intent = serde_json::from_value(data.object)?;
            let minor = intent.amount_received.unwrap_or(intent.amount);
            let event_kind = EventKind::Paid(received(minor, &intent.currency));
            of_intent(id, kind, intent, event_kind)
        }
        "payment_intent.payment_failed" => {
            let mut intent: Intent = serde_json::from_value(data.object)?;
            let why = intent.last_payment_error.take();
            let why = why.and_then(|error| error.message.or(error.code));
            let event_kind = EventKind::Failed(words(why.as_deref().unwrap_or("declined")));
            of_intent(id, kind, intent, event_kind)
        }
        "payment_intent.canceled" => {
            let intent = serde_json::from_value(data.object)?;
            of_intent(id, kind, intent, EventKind::Cancelled)
        }
        // These events only signal a change. The current state is requested, since events arrive in any order.
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

fn of_intent(id: String, kind: String, intent: Intent, event_kind: EventKind) -> Option<Notice> {
    let order = order_in(&intent.metadata)?;
    Some(Notice {
        id,
        kind,
        intent: intent.id,
        order: Some(order),
        event_kind,
    })
}

fn about_intent(
    id: String,
    kind: String,
    object: OfIntent,
    event_kind: impl FnOnce(String) -> EventKind,
) -> Option<Notice> {
    Some(Notice {
        id,
        kind,
        // A payment without an intent was not made by this service.
        intent: object.payment_intent?,
        order: order_in(&object.metadata),
        event_kind: event_kind(object.id),
    })
}

impl Notice {
    /// The event in the domain's form.
    pub(super) fn event(self, (business_id, order_id): (BusinessId, OrderId)) -> Event {
        Event {
            provider: Stripe::NAME,
            id: self.id,
            kind: self.kind,
            business_id,
            order_id,
            intent: self.intent,
            event_kind: self.event_kind,
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

    fn notice_of(kind: &str, object: Value) -> Option<Notice> {
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
    fn events_of_an_intent_name_its_order() {
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
            let notice = notice_of(kind, object.clone()).unwrap();
            assert_eq!(notice.order, Some(ours));
            assert_eq!((notice.id.as_str(), notice.kind.as_str()), ("evt_1", kind));
            assert_eq!(notice.intent, "pi_1");
            assert_eq!(notice.event_kind, expected);
        }
        // Servers compatible with Stripe omit members that equal another.
        let notice = notice_of("payment_intent.succeeded", intent(ours)).unwrap();
        assert_eq!(notice.event_kind, EventKind::Paid(dollars(1099, "10.99")));
        let notice = notice_of("payment_intent.payment_failed", intent(ours)).unwrap();
        assert_eq!(notice.event_kind, EventKind::Failed("declined".to_owned()));
    }

    #[test]
    fn a_charge_names_its_order_or_its_intent() {
        let (business, order) = ours();
        let mut charge = json!({"id": "ch_1", "object": "charge", "payment_intent": "pi_1",
                                "amount": 1099, "amount_refunded": 250, "currency": "usd"});
        let notice = notice_of("charge.refunded", charge.clone()).unwrap();
        assert_eq!((notice.intent.as_str(), notice.order), ("pi_1", None));
        assert_eq!(notice.event_kind, EventKind::RefundsChanged);
        charge["metadata"] = json!({"business_id": business, "order_id": order});
        let notice = notice_of("charge.refunded", charge.clone()).unwrap();
        assert_eq!(notice.order, Some((business, order)));
        charge["payment_intent"] = Value::Null;
        assert_eq!(notice_of("charge.refunded", charge), None);
    }

    #[test]
    fn events_of_refunds_and_disputes_name_their_intent() {
        // A refund has its own metadata, which names no order.
        let refund = json!({"id": "re_1", "object": "refund", "payment_intent": "pi_1", "amount": 250,
                            "metadata": {"refund_id": OrderId::new()}});
        for kind in [
            "charge.refund.updated",
            "refund.created",
            "refund.updated",
            "refund.failed",
        ] {
            let notice = notice_of(kind, refund.clone()).unwrap();
            assert_eq!((notice.intent.as_str(), notice.order), ("pi_1", None));
            assert_eq!(notice.event_kind, EventKind::RefundsChanged, "{kind}");
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
            let notice = notice_of(kind, dispute.clone()).unwrap();
            assert_eq!((notice.intent.as_str(), notice.order), ("pi_1", None));
            assert_eq!(
                notice.event_kind,
                EventKind::DisputeChanged("dp_1".to_owned()),
                "{kind}"
            );
        }
        dispute["payment_intent"] = Value::Null;
        assert_eq!(notice_of("charge.dispute.created", dispute), None);
    }

    #[test]
    fn events_of_other_kinds_and_of_other_shops_are_ignored() {
        assert_eq!(notice_of("customer.created", json!({"id": "cus_1"})), None);
        assert_eq!(notice_of("payment_intent.created", intent(ours())), None);
        let (business, order) = ours();
        for metadata in [
            json!({}),
            json!({"order_id": order}),
            json!({"business_id": business, "order_id": "6735"}),
            json!({"business_id": business, "order_id": 6735}),
        ] {
            let mut object = intent(ours());
            object["metadata"] = metadata.clone();
            assert_eq!(
                notice_of("payment_intent.succeeded", object),
                None,
                "{metadata}"
            );
        }
    }

    #[test]
    fn an_unknown_currency_has_no_amount_and_is_reported() {
        let mut object = intent(ours());
        object["currency"] = json!("usdc");
        let notice = notice_of("payment_intent.succeeded", object).unwrap();
        let expected = Received {
            minor: 1099,
            currency: "USDC".to_owned(),
            amount: None,
        };
        assert_eq!(notice.event_kind, EventKind::Paid(expected));
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
    fn a_body_that_is_no_event_is_an_error() {
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
