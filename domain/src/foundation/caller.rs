//! Who acts, for which business, in which request.

use entity::users::Role;
use entity::{BusinessId, Currency, CustomerId, UserId};

/// An authenticated caller. Every domain function that touches a business takes one, so nothing is done in no one's name.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The caller's business. There is no other for it.
    pub business_id: BusinessId,
    /// The currency of that business.
    pub currency: Currency,
    /// Who acts.
    pub user_id: UserId,
    /// What it may do.
    pub authority: Authority,
    /// The request, for the audit trail.
    pub request_id: String,
}

/// A caller above businesses. It makes them and sees no business's rows: what needs a [`Caller`] cannot be given this.
#[derive(Debug, Clone)]
pub struct PlatformCaller {
    /// Who acts.
    pub user_id: UserId,
    /// The request, for the audit trail.
    pub request_id: String,
}

/// What a caller may do, with what that needs to be known: a customer without a customer's id cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// See [`Role::Admin`].
    Admin,
    /// See [`Role::Staff`].
    Staff,
    /// See [`Role::Customer`]; the customer for whom it acts.
    Customer(CustomerId),
}

impl Caller {
    /// The customer that the caller is confined to, if it is.
    #[must_use]
    pub fn confined_to(&self) -> Option<CustomerId> {
        match self.authority {
            Authority::Customer(customer) => Some(customer),
            Authority::Admin | Authority::Staff => None,
        }
    }

    /// Whether the caller may see and act for this customer.
    #[must_use]
    pub fn may_act_for(&self, customer: CustomerId) -> bool {
        self.confined_to().is_none_or(|own| own == customer)
    }
}

impl Authority {
    /// The role without its particulars.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Admin => Role::Admin,
            Self::Staff => Role::Staff,
            Self::Customer(_) => Role::Customer,
        }
    }
}
