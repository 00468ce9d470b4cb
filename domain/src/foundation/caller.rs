//! The authenticated caller of a request, with its business.

use entity::users::Role;
use entity::{BusinessId, Currency, CustomerId, UserId};

/// An authenticated caller. Every domain function that uses a business's data takes one, so that no access is
/// anonymous.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The caller's business, the only one that it can access.
    pub business_id: BusinessId,
    /// The currency of that business.
    pub currency: Currency,
    /// The user or API key that authenticated.
    pub user_id: UserId,
    /// The role, which decides what the caller may do.
    pub authority: Authority,
    /// The id of the request, for the audit entries.
    pub request_id: String,
}

/// A caller of the platform, which creates businesses. It sees no business's rows: functions that need a [`Caller`]
/// do not accept it.
#[derive(Debug, Clone)]
pub struct PlatformCaller {
    /// The platform user that authenticated.
    pub user_id: UserId,
    /// The id of the request, for the audit entries.
    pub request_id: String,
}

/// A caller's role with the data that it needs. A customer role without a customer cannot be constructed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// See [`Role::Admin`].
    Admin,
    /// See [`Role::Staff`].
    Staff,
    /// See [`Role::Customer`]. Holds the only customer for whom the caller may act.
    Customer(CustomerId),
}

impl Caller {
    /// The only customer that the caller may act for; `None` for admins and staff.
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
    /// The role without its data.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Admin => Role::Admin,
            Self::Staff => Role::Staff,
            Self::Customer(_) => Role::Customer,
        }
    }
}
