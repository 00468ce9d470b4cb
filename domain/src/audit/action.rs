//! The actions that audit entries record: one table of name, text and meaning.

use std::fmt;

macro_rules! actions {
    ($($name:ident $text:literal $meaning:literal;)*) => {
        /// The action of an audit entry. The text is part of the API and of sealed entries: it never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $(#[doc = $meaning] $name,)*
        }

        impl Action {
            /// All actions, in the order of their texts.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The text, `entity.verb`, as the database and the API have it.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

actions! {
    AccessRefused "access.refused" "A caller was refused by role or business, or a revoked credential was used.";
    ApiKeyCreated "api_key.created" "An API key was created.";
    ApiKeyRevoked "api_key.revoked" "An API key was revoked.";
    ApiKeyUsed "api_key.used" "An API key was used; at most one entry a minute.";
    BusinessChanged "business.changed" "Settings of the business changed.";
    BusinessCreated "business.created" "The business was created.";
    CreditNoteCreated "credit_note.created" "A credit note was issued.";
    CreditNoteReversed "credit_note.reversed" "A credit note was reversed.";
    CustomerChanged "customer.changed" "A customer changed.";
    CustomerCreated "customer.created" "A customer was created.";
    CustomerCreditAllocated "customer.credit_allocated" "Credit on account was allocated to orders.";
    DisputeChanged "dispute.changed" "The provider changed a dispute.";
    DisputeOpened "dispute.opened" "A buyer disputed a card payment.";
    InventoryCorrected "inventory.corrected" "A stock level was corrected.";
    InventoryMoved "inventory.moved" "A receipt or return changed a stock level.";
    InventorySoldOut "inventory.sold_out" "A product was sold out.";
    LoginFailed "login.failed" "A login failed.";
    LoginSucceeded "login.succeeded" "A login succeeded.";
    OrderApproved "order.approved" "An order on credit was placed.";
    OrderCancelled "order.cancelled" "An order was cancelled.";
    OrderChanged "order.changed" "The reference, note, delivery address or metadata of an order changed.";
    OrderCreated "order.created" "An order by card was placed.";
    OrderFulfilled "order.fulfilled" "An order was fulfilled.";
    OrderImported "order.imported" "What a customer owed before the business used the service was imported.";
    OrderPaid "order.paid" "An order by card was paid.";
    OrderPaidTooLate "order.paid_too_late" "A payment arrived after its order was cancelled.";
    OrderPaymentPending "order.payment_pending" "The provider created the payment intent of an order.";
    OrderRefunded "order.refunded" "Money of an order was refunded.";
    PasswordResetCreated "password_reset.created" "A code that resets a user's password was created.";
    PasswordResetFailed "password_reset.failed" "An attempt to reset a password failed.";
    PasswordResetSucceeded "password_reset.succeeded" "A user set a new password with a code.";
    PaymentFailed "payment.failed" "An attempt to pay an order by card failed.";
    PaymentImported "payment.imported" "What a customer had paid ahead before the business used the service was imported.";
    PaymentMismatched "payment.mismatched" "A card payment had another amount or currency than its order.";
    PaymentReceived "payment.received" "A payment on account was received.";
    PaymentReturned "payment.returned" "Money of a mismatched card payment was returned at the provider.";
    PaymentReversed "payment.reversed" "A payment on account was reversed.";
    PayoutCreated "payout.created" "Credit on account was paid out.";
    PayoutReversed "payout.reversed" "A payout was reversed.";
    ProductChanged "product.changed" "A product changed.";
    ProductCreated "product.created" "A product was created.";
    ProductPictureRemoved "product.picture_removed" "The picture of a product was removed.";
    ProductPictureUploaded "product.picture_uploaded" "A picture of a product was uploaded.";
    RefreshTokenRefused "refresh_token.refused" "A revoked refresh token was used.";
    RefreshTokenReused "refresh_token.reused" "A refresh token was used twice; its login ended.";
    RefundFailed "refund.failed" "A refund failed at the provider.";
    RefundPending "refund.pending" "A refund is pending at the provider.";
    RefundSucceeded "refund.succeeded" "A refund succeeded.";
    ReservationCancelled "reservation.cancelled" "A reservation was cancelled.";
    ReservationConfirmed "reservation.confirmed" "A reservation became an order.";
    ReservationCreated "reservation.created" "A reservation was created.";
    ReservationExpired "reservation.expired" "A reservation expired.";
    ReservationReduced "reservation.reduced" "An order took units of a reservation.";
    ReservationServed "reservation.served" "Stock was allocated to a waiting reservation.";
    SaleChanged "sale.changed" "A sale changed.";
    SaleCreated "sale.created" "A sale was created.";
    UserChanged "user.changed" "A user changed.";
    UserCreated "user.created" "A user was created.";
    UserDeleted "user.deleted" "A user was deleted; the id stays.";
    UserDisabled "user.disabled" "A user was disabled.";
    UserEmailChanged "user.email_changed" "A user's email address changed.";
    UserEnabled "user.enabled" "A user was enabled.";
    UserLoggedOut "user.logged_out" "A user logged out.";
    UserPasswordChanged "user.password_changed" "A user changed their password.";
    UserRoleChanged "user.role_changed" "A user's role changed.";
    WriteOffCreated "write_off.created" "The amount due on an order was written off.";
    WriteOffReversed "write_off.reversed" "A write-off was reversed.";
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_sorted_and_each_there_once() {
        let texts: Vec<&str> = Action::ALL.iter().map(|action| action.text()).collect();
        assert!(texts.is_sorted_by(|a, b| a < b), "{texts:?}");
    }
}
