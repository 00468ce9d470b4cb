//! The number of an order: its id in a form that people can say.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::{BusinessId, OrderId, id_sequence};

/// The number of an order, such as `6FZ8-K3M9-1QXD`: three groups of four signs of Crockford's base 32.
///
/// It consists of the leading bits of the order's id, without those that are equal in all ids. Numbers therefore sort
/// by the time of the order, and a number or its beginning is a range of ids, found by the primary key.
///
/// A number is unique in its business. The rest of the id follows from the number and the business
/// ([`OrderId::of_business`]), so two orders of one business with equal numbers would have equal ids, and the primary
/// key refuses the second. Orders made before this rule may share a number within one millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderNumber(u64);

/// The signs of a number, each for five bits. They sort by value; I, L, O and U are left out.
/// Source: <https://www.crockford.com/base32.html>.
const SIGNS: [u8; 32] = *b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The bits of a sign.
const SIGN_BITS: u32 = 5;

/// The signs of a number. Its 60 bits are the counter and the low 43 bits of the milliseconds, which last until 2248.
const LENGTH: usize = 12;

/// The signs of a group.
const GROUP: usize = 4;

/// The bits of an id after the version: 12 of the counter, the variant, the rest of the counter, then free bits.
const AFTER_VERSION: u32 = 12;
const VARIANT: u32 = 2;
const COUNTER_REST: u32 = id_sequence::COUNTER_BITS - AFTER_VERSION;
const FREE: u32 = 64 - VARIANT - COUNTER_REST;

impl OrderId {
    /// A new id for an order of this business. It sorts after all earlier ids of this process.
    ///
    /// Another process may make the same id within the same millisecond. The insert then violates the primary key, and
    /// the transaction is retried.
    #[must_use]
    pub fn of_business(business: BusinessId) -> Self {
        Self::derived(business, Self::new())
    }

    /// The id with these leading bits. Its free bits follow from them and the business, so that ids of different
    /// businesses differ.
    fn derived(business: BusinessId, leading: Self) -> Self {
        let leading = leading.0.as_u128() >> FREE;
        let hash = Uuid::new_v5(&business.0, &leading.to_be_bytes()).as_u128();
        Self(Uuid::from_u128((leading << FREE) | (hash % (1 << FREE))))
    }
}

impl OrderNumber {
    /// The number of this order.
    #[must_use]
    pub fn of(id: OrderId) -> Self {
        let id = id.0.as_u128();
        let millis = id >> 80;
        let counter_top = (id >> 64) % (1 << AFTER_VERSION);
        let counter_rest = (id >> FREE) % (1 << COUNTER_REST);
        let bits = (((millis << AFTER_VERSION) | counter_top) << COUNTER_REST) | counter_rest;
        let low = bits % (1 << (SIGN_BITS as usize * LENGTH));
        // The remainder fits.
        Self(u64::try_from(low).unwrap_or(u64::MAX))
    }

    /// As [`OrderNumber::ids_beginning_with`], for a text that is a whole number.
    #[must_use]
    pub fn ids_with(text: &str) -> Option<RangeInclusive<OrderId>> {
        let signs = text.chars().filter(|sign| !matches!(sign, '-' | ' '));
        match signs.count() {
            LENGTH => Self::ids_beginning_with(text),
            _ => None,
        }
    }

    /// The ids of the orders whose number begins with this text. `None` when no number begins so.
    ///
    /// Accepts lower case, spaces and hyphens anywhere, O for 0, and I and L for 1.
    #[must_use]
    pub fn ids_beginning_with(text: &str) -> Option<RangeInclusive<OrderId>> {
        let signs = text.chars().filter(|sign| !matches!(sign, '-' | ' '));
        let (mut bits, mut count) = (0_u64, 0_usize);
        for sign in signs {
            count += 1;
            if count > LENGTH {
                return None;
            }
            bits = (bits << SIGN_BITS) | value(sign)?;
        }
        if count == 0 {
            return None;
        }
        let rest = SIGN_BITS as usize * (LENGTH - count);
        let first = bits << rest;
        let last = first | ((1 << rest) - 1);
        Some(id(first, 0)..=id(last, (1 << FREE) - 1))
    }
}

/// The value of a sign, in any case.
fn value(sign: char) -> Option<u64> {
    let sign = match sign.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        sign => sign,
    };
    let position = SIGNS.iter().position(|known| char::from(*known) == sign)?;
    u64::try_from(position).ok()
}

/// The id with this number and these free bits.
fn id(number: u64, free: u128) -> OrderId {
    let number = u128::from(number);
    let time_and_counter = number >> COUNTER_REST;
    let (millis, counter_top) = (
        time_and_counter >> AFTER_VERSION,
        time_and_counter % (1 << AFTER_VERSION),
    );
    let counter_rest = number % (1 << COUNTER_REST);
    let high = (((millis << 4) | 0x7) << AFTER_VERSION) | counter_top;
    let low = (((0b10 << COUNTER_REST) | counter_rest) << FREE) | free;
    OrderId(Uuid::from_u128((high << 64) | low))
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in 0..LENGTH {
            if place > 0 && place % GROUP == 0 {
                f.write_str("-")?;
            }
            let shift = SIGN_BITS as usize * (LENGTH - 1 - place);
            let sign = SIGNS.get((self.0 >> shift) as usize % SIGNS.len());
            write!(f, "{}", char::from(*sign.unwrap_or(&b'0')))?;
        }
        Ok(())
    }
}

impl Serialize for OrderNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PartialSchema for OrderNumber {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some(
                "The order's number, unique in the business, for people to say. The number of an order that was made a second later is greater.",
            ))
            .pattern(Some("^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$"))
            .examples(["6FZ8-K3M9-1QXD"])
            .into()
    }
}

impl ToSchema for OrderNumber {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_number_has_three_groups_and_finds_its_order() {
        let business = BusinessId::new();
        let order = OrderId::of_business(business);
        let number = OrderNumber::of(order).to_string();
        assert_eq!(number.len(), 14);
        assert_eq!(number.split('-').count(), 3);
        let found = OrderNumber::ids_beginning_with(&number).unwrap();
        assert!(found.contains(&order), "{number}");
        assert!(!found.contains(&OrderId::of_business(business)));
    }

    #[test]
    fn the_beginning_of_a_number_finds_it() {
        let order = OrderId::of_business(BusinessId::new());
        let number = OrderNumber::of(order).to_string();
        for length in 1..=number.len() {
            let found = OrderNumber::ids_beginning_with(&number[..length]).unwrap();
            assert!(found.contains(&order), "{number} to {length}");
        }
        let other = if number.starts_with('Z') { "Y" } else { "Z" };
        assert!(
            !OrderNumber::ids_beginning_with(other)
                .unwrap()
                .contains(&order)
        );
    }

    #[test]
    fn a_number_is_read_as_people_write_it() {
        let exact = OrderNumber::ids_beginning_with("01ABCDEFGHJK");
        assert!(exact.is_some());
        for written in ["O1AB-CDEF-GHJK", "oLab cdef ghjk", "0IAB-CDEFGHJK "] {
            assert_eq!(OrderNumber::ids_beginning_with(written), exact, "{written}");
        }
    }

    #[test]
    fn text_that_is_no_number_finds_nothing() {
        for text in ["", "-", "U", "6FZ8-K3M9-1QXD-0", "Müller", "6FZ8_"] {
            assert_eq!(OrderNumber::ids_beginning_with(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_sort_by_the_time_of_the_order() {
        let business = BusinessId::new();
        let ids: Vec<OrderId> = (0..10_000)
            .map(|_| OrderId::of_business(business))
            .collect();
        let numbers: Vec<String> = ids
            .iter()
            .map(|id| OrderNumber::of(*id).to_string())
            .collect();
        assert!(ids.is_sorted());
        assert!(numbers.is_sorted());
        let distinct: HashSet<&String> = numbers.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn equal_numbers_of_one_business_are_equal_ids() {
        let (leading, other) = (OrderId::new(), OrderId::new());
        let (one, two) = (BusinessId::new(), BusinessId::new());
        let order = OrderId::derived(one, leading);
        assert_eq!(OrderNumber::of(order), OrderNumber::of(leading));
        assert_eq!(OrderId::derived(one, order), order);
        assert_ne!(OrderId::derived(two, leading), order);
        assert_ne!(OrderId::derived(one, other), order);
    }
}
