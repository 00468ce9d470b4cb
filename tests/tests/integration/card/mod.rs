//! Orders by card, the provider, refunds and disputes.

mod attention;
mod checkout;
mod checkout_desk;
mod checkout_faults;
mod disputes;
mod offline_payments;
mod payment_limits;
mod payments_stripe;
mod refund_events;
mod refunds;
mod refunds_stripe;
mod webhook_signatures;
