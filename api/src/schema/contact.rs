//! Contact data: telephone and VAT numbers, countries and postal addresses.

use entity::{Address, AddressKind, CustomerAddress};
use utoipa::openapi::{RefOr, Schema};

use super::text::{FromText, Text, string};

/// A telephone number, as people write it: 4 to 30 characters with at least 4 digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone(pub String);

/// The fewest digits of a telephone number, and the range of its characters.
const PHONE_DIGITS: usize = 4;
const PHONE_LENGTH: std::ops::RangeInclusive<usize> = 4..=30;

impl FromText for Phone {
    fn from_text(text: &str) -> Result<Self, String> {
        let phone = text.trim();
        let known = |sign: char| sign.is_ascii_digit() || " -().".contains(sign);
        let digits = phone.chars().filter(char::is_ascii_digit).count();
        let is_phone = phone.strip_prefix('+').unwrap_or(phone).chars().all(known)
            && PHONE_LENGTH.contains(&phone.len())
            && digits >= PHONE_DIGITS;
        if !is_phone {
            return Err(
                "must be a telephone number such as \"+44 20 7946 0000\": 4 to 30 characters, of which at least 4 are \
                 digits, and the others spaces and any of -(). after a + or none"
                    .to_owned(),
            );
        }
        Ok(Self(phone.to_owned()))
    }

    fn schema() -> RefOr<Schema> {
        string()
            .min_length(Some(*PHONE_LENGTH.start()))
            .max_length(Some(*PHONE_LENGTH.end()))
            .pattern(Some(r"^\+?([ ().-]*[0-9]){4}[0-9 ().-]*$"))
            .examples(["+44 20 7946 0000"])
            .into()
    }
}

/// A VAT number of 2 to 20 letters and digits, in upper case. Spaces, dots and hyphens in the text are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VatNumber(pub String);

impl FromText for VatNumber {
    fn from_text(text: &str) -> Result<Self, String> {
        let signs = text.chars().filter(|sign| !matches!(sign, ' ' | '.' | '-'));
        let number: String = signs.map(|sign| sign.to_ascii_uppercase()).collect();
        let is_number = (2..=20).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_number {
            return Err(
                "must be a VAT number such as \"GB123456789\": 2 to 20 letters and digits"
                    .to_owned(),
            );
        }
        Ok(Self(number))
    }

    fn schema() -> RefOr<Schema> {
        string()
            .min_length(Some(2))
            .pattern(Some(r"^[ .-]*([A-Za-z0-9][ .-]*){2,20}$"))
            .examples(["GB123456789"])
            .into()
    }
}

/// A country: its two letters of ISO 3166-1, in upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Country(pub String);

impl FromText for Country {
    fn from_text(text: &str) -> Result<Self, String> {
        if !Address::is_country(text) {
            return Err(
                "must be the two letters of a country in ISO 3166-1, such as \"GB\"".to_owned(),
            );
        }
        Ok(Self(text.to_owned()))
    }

    fn schema() -> RefOr<Schema> {
        string().pattern(Some("^[A-Z]{2}$")).examples(["GB"]).into()
    }
}

impl FromText for AddressKind {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "billing" => Ok(Self::Billing),
            "delivery" => Ok(Self::Delivery),
            _ => Err("must be one of billing, delivery".to_owned()),
        }
    }

    fn schema() -> RefOr<Schema> {
        string().enum_values(Some(["billing", "delivery"])).into()
    }
}

crate::body! {
    /// A postal address.
    #[example({
        "name": "Ada Lovelace", "line1": "12 St James's Square", "postal_code": "SW1Y 4JH", "city": "London",
        "country": "GB",
    })]
    pub struct AddressRequest {
        /// The person or company; the customer's own name if left out.
        name: Option<Text<1, 200>>,
        /// Street and house number, or a box.
        line1: Text<1, 200>,
        /// More of the address.
        line2: Option<Text<1, 200>>,
        /// The postal code.
        postal_code: Option<Text<1, 20>>,
        /// The town or city.
        city: Option<Text<1, 100>>,
        /// The state, province or prefecture.
        region: Option<Text<1, 100>>,
        /// The country's two letters of ISO 3166-1.
        country: Country,
    }
}

crate::body! {
    /// An address of a customer.
    #[example({
        "kind": "billing", "line1": "12 St James's Square", "postal_code": "SW1Y 4JH", "city": "London",
        "country": "GB",
    })]
    pub struct CustomerAddressRequest {
        /// The use of the address. The first of a kind is its default.
        kind: AddressKind,
        /// The person or company; the customer's own name if left out.
        name: Option<Text<1, 200>>,
        /// Street and house number, or a box.
        line1: Text<1, 200>,
        /// More of the address.
        line2: Option<Text<1, 200>>,
        /// The postal code.
        postal_code: Option<Text<1, 20>>,
        /// The town or city.
        city: Option<Text<1, 100>>,
        /// The state, province or prefecture.
        region: Option<Text<1, 100>>,
        /// The country's two letters of ISO 3166-1.
        country: Country,
    }
}

impl From<AddressRequest> for Address {
    fn from(request: AddressRequest) -> Self {
        Self {
            name: request.name.map(|text| text.0),
            line1: request.line1.0,
            line2: request.line2.map(|text| text.0),
            postal_code: request.postal_code.map(|text| text.0),
            city: request.city.map(|text| text.0),
            region: request.region.map(|text| text.0),
            country: request.country.0,
        }
    }
}

impl From<CustomerAddressRequest> for CustomerAddress {
    fn from(request: CustomerAddressRequest) -> Self {
        let address = AddressRequest {
            name: request.name,
            line1: request.line1,
            line2: request.line2,
            postal_code: request.postal_code,
            city: request.city,
            region: request.region,
            country: request.country,
        };
        Self {
            kind: request.kind,
            address: address.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telephone_number_is_kept_as_it_is_written() {
        for good in ["1234", "+44 20 7946 0000", "(0711) 123-45.67", "  112 3 "] {
            assert_eq!(Phone::from_text(good), Ok(Phone(good.trim().to_owned())));
        }
        let long = "1".repeat(31);
        for bad in [
            "", "123", "+", "12+34", "++1234", "1234x", "()()()()", "١٢٣٤", &long,
        ] {
            assert!(Phone::from_text(bad).is_err(), "{bad}");
        }
        assert!(Phone::from_text(&long[1..]).is_ok());
    }

    #[test]
    fn a_vat_number_has_one_spelling() {
        for written in ["DE123456789", "de 123.456-789", " DE 123 456 789 "] {
            let number = VatNumber::from_text(written);
            assert_eq!(number, Ok(VatNumber("DE123456789".to_owned())), "{written}");
        }
        for bad in ["", "-", "D", "DE/1", "DÉ1", "123456789012345678901"] {
            assert!(VatNumber::from_text(bad).is_err(), "{bad}");
        }
    }
}
