//! One id type per kind of row, so that a product's id cannot be used where a customer's id belongs.

use sea_orm::DeriveValueType;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::id_sequence;

macro_rules! id {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(
            Debug,
            Clone,
            Copy,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            DeriveValueType,
            Serialize,
            ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new UUID v7. It sorts after all earlier ids of this process.
            #[must_use]
            #[expect(
                clippy::new_without_default,
                reason = "a new id is an event, not a default"
            )]
            pub fn new() -> Self {
                Self(id_sequence::next())
            }
        }

        // SeaORM requires this of every primary key. A UUID is never made from a number.
        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(BusinessId, "A tenant.");
id!(
    UserId,
    "An actor: a user, or the subject of a token that a script holds."
);
id!(CustomerId, "A buyer with an account.");
id!(
    ProductId,
    "A product of the catalogue; its inventory row has the same id."
);
id!(OrderId, "An order.");
id!(PictureId, "An uploaded picture of a product.");
id!(MovementId, "A stock movement.");
id!(RefundId, "A refund of a card payment.");
id!(DisputeId, "A payment that its buyer disputes.");
id!(
    ReservationId,
    "A reservation: stock held for a customer, or a place on a waitlist."
);
id!(SaleId, "A sale with a start and an end.");
id!(LedgerEntryId, "An entry of a customer's account.");
id!(PaymentId, "Money received.");
id!(PayoutId, "A payout of credit on account.");
id!(
    CreditNoteId,
    "A credit note: an amount of an order that the customer need not pay."
);
id!(
    WriteOffId,
    "A write-off: an amount of an order that the business gave up."
);
id!(AllocationId, "A part of a credit that settles an order.");
id!(
    PayoutAllocationId,
    "A part of a credit that covers a payout."
);
id!(RefreshTokenId, "A refresh token of a login.");
id!(SessionId, "A login of a browser.");
id!(
    ApiKeyId,
    "A program's key. It acts as the user with the same id."
);
id!(EventId, "An entry of the audit trail.");
