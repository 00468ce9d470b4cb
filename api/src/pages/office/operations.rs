//! The ids of what can be done to an order: its page asks by them what its reader may do.

pub(super) const SHIP: &str = "sendShipment";
pub(super) const CANCEL: &str = "sendOfficeCancellation";
pub(super) const REFUND: &str = "sendRefund";
pub(super) const CREDIT: &str = "sendCreditNote";
pub(super) const WRITE_OFF: &str = "sendWriteOff";
