//! `/api/businesses` and `/api/business`: creating a business, and reading and changing one's own.

use actix_web::web::Data;
use chrono::NaiveDate;
use domain::WriteRequest;
use domain::foundation::new_password::NewPassword;
use domain::identity::businesses::{self, BusinessChange, HoldLimitsChange};
use domain::identity::founding::{self, Founded, NewBusiness};
use entity::users::Role;
use entity::{BusinessId, Currency, Money, TimeZone, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Authenticated, Platform};
use crate::schema::body::{Change, Json, Replace};
use crate::schema::endpoint::Endpoint;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::{Answer, Response, View, created};
use crate::schema::text::{Amount, Email, Slug, Text, Whole};
use crate::state::State;

/// The path at which callers find their own business.
const OWN: &str = "/api/business";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("createBusiness", "/api/businesses", create)
            .summary("Create a business with its first admin")
            .for_platform()
            .body::<BusinessRequest>()
            .created::<FoundedView>()
            .codes(&[Code::AlreadyExists, Code::IdempotencyKeyExpired])
            .idempotent(),
        Endpoint::get("getBusiness", OWN, read)
            .summary("Read the caller's business")
            .for_any_role()
            .ok::<BusinessView>(),
        Endpoint::patch("updateBusiness", OWN, change)
            .summary("Change the caller's business; its slug and its currency never change")
            .for_roles(&[Role::Admin])
            .changes_catalogue()
            .body::<BusinessPatch>()
            .ok::<BusinessView>(),
    ]
}

crate::body! {
    /// A new business.
    #[example({"name": "Acme Inc."})]
    pub(super) struct BusinessRequest {
        /// The name on documents.
        name: Text<1, 200>,
        /// The name in URLs and logins: lower-case letters, digits and hyphens. It never changes.
        slug: Slug,
        /// The currency of all amounts. It never changes.
        currency: Currency,
        /// The time zone of due dates and of reports by date, a name of the IANA database; UTC if left out.
        time_zone: Option<TimeZone>,
        /// The first user, who sets up everything else.
        admin: AdminRequest,
    }
}

crate::body! {
    /// The first user of a business, an admin.
    pub(super) struct AdminRequest {
        /// The email address to log in with.
        email: Email,
        /// The password to log in with.
        password: NewPassword,
    }
}

crate::body! {
    /// Changes to a business. Members that are left out keep their value.
    #[example({"block_after_days": 60})]
    pub(super) struct BusinessPatch {
        /// The name on documents.
        name: Replace<Text<1, 200>>,
        /// Blocks purchases on credit while the customer has an order that is past due by more than this many days.
        /// Null blocks none.
        block_after_days: Change<Whole<0, 3650>>,
        /// The time zone of due dates and of reports by date from now on. Due dates that are already set stay at the
        /// same moment.
        time_zone: Replace<TimeZone>,
        /// The first open day, at most today: no document can be dated before it. Null opens all days.
        books_closed_until: Change<NaiveDate>,
        /// Bounds on what one customer may hold at once.
        hold_limits: Replace<HoldLimitsPatch>,
    }
}

/// A bound on the units that one customer may hold at once.
type HeldUnits = Whole<0, 1_000_000>;

crate::body! {
    /// Changes to the bounds on what one customer may hold at once, in reservations, waitlist positions and unpaid card
    /// orders together. Members that are left out keep their value; null removes a bound.
    #[example({"units": 100, "self_registered_units": 20})]
    pub(super) struct HoldLimitsPatch {
        /// The maximum of units.
        units: Change<HeldUnits>,
        /// The maximum value of the units.
        value: Change<Money>,
        /// The maximum of units for customers who registered themselves, if it is lower; 20 by default.
        self_registered_units: Change<HeldUnits>,
        /// The maximum value of the units for customers who registered themselves, if it is lower.
        self_registered_value: Change<Money>,
    }
}

/// A business.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"slug": "acme", "name": "Acme Inc.", "block_after_days": 60}))]
pub(super) struct BusinessView {
    id: BusinessId,
    slug: String,
    name: String,
    currency: Currency,
    /// Purchases on credit are blocked while the customer has an order that is past due by more than this many days.
    /// Null blocks none.
    block_after_days: Option<i32>,
    /// The time zone of due dates and of reports by date.
    time_zone: TimeZone,
    /// The first open day: no document can be dated before it. Null leaves all days open.
    books_closed_until: Option<NaiveDate>,
    hold_limits: HoldLimitsView,
}

/// Bounds on what one customer may hold at once, in reservations, waitlist positions and unpaid card orders together.
/// Null is no bound.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"units": 100, "self_registered_units": 20}))]
struct HoldLimitsView {
    /// The maximum of units.
    units: Option<i64>,
    /// The maximum value of the units.
    value: Option<Amount>,
    /// The maximum of units for customers who registered themselves, if it is lower.
    self_registered_units: Option<i64>,
    /// The maximum value of the units for customers who registered themselves, if it is lower.
    self_registered_value: Option<Amount>,
}

/// A new business with its first user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"slug": "acme", "name": "Acme Inc."}))]
struct FoundedView {
    id: BusinessId,
    slug: String,
    name: String,
    currency: Currency,
    time_zone: TimeZone,
    admin: AdminView,
}

/// The first user of a business, an admin.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"email": "admin@example.com"}))]
struct AdminView {
    user_id: UserId,
    email: String,
}

impl From<entity::businesses::Model> for BusinessView {
    fn from(business: entity::businesses::Model) -> Self {
        let amount = |value: Option<Money>| value.map(|value| Amount::of(value, business.currency));
        Self {
            hold_limits: HoldLimitsView {
                units: business.hold_limit_units,
                value: amount(business.hold_limit_value),
                self_registered_units: business.self_registered_hold_limit_units,
                self_registered_value: amount(business.self_registered_hold_limit_value),
            },
            id: business.id,
            slug: business.slug,
            name: business.name,
            currency: business.currency,
            block_after_days: business.block_after_days,
            time_zone: business.time_zone,
            books_closed_until: business.books_closed_until,
        }
    }
}

async fn create(
    state: Data<State>,
    platform: Platform,
    request: Json<BusinessRequest>,
) -> Response {
    let BusinessRequest {
        name,
        slug,
        currency,
        time_zone,
        admin,
    } = request.body;
    let new = NewBusiness {
        slug: slug.0,
        name: name.0,
        currency,
        time_zone: time_zone.unwrap_or(TimeZone::UTC),
        admin_email: admin.email.into_string(),
        admin_password: admin.password,
    };
    let render = |founded: &Founded| {
        let Founded { business, admin } = founded.clone();
        let view = FoundedView {
            id: business.id,
            slug: business.slug,
            name: business.name,
            currency: business.currency,
            time_zone: business.time_zone,
            admin: AdminView {
                user_id: admin.id,
                email: admin.email,
            },
        };
        created(OWN, &view)
    };
    let write = WriteRequest {
        caller: &platform.0,
        key: request.key.as_ref(),
        render: &render,
    };
    let founded = founding::create(&state.database, &state.passwords, &write, &new).await;
    founded
        .map_err(|error| match error {
            domain::Error::WeakPassword(weak) => {
                Problem::fault("/admin/password", &weak.to_string())
            }
            // These errors contain no amounts, so the currency has no effect.
            error => Problem::of(error, currency),
        })?
        .into_response()
}

async fn read(state: Data<State>, caller: Authenticated) -> Response {
    let business = businesses::of_caller(&state.database, &caller).await;
    caller.answer(business.map(|business| View(BusinessView::from(business))))
}

fn hold_limits(patch: HoldLimitsPatch) -> HoldLimitsChange {
    HoldLimitsChange {
        units: patch.units.changed(Whole::get),
        value: patch.value.changed(std::convert::identity),
        self_registered_units: patch.self_registered_units.changed(Whole::get),
        self_registered_value: patch.self_registered_value.changed(std::convert::identity),
    }
}

async fn change(
    state: Data<State>,
    caller: Authenticated,
    request: Json<BusinessPatch>,
) -> Response {
    let body = request.body;
    let days = |days: Whole<0, 3650>| i32::try_from(days.get()).unwrap_or(i32::MAX);
    let change = BusinessChange {
        name: body.name.value().map(|name| name.0),
        block_after_days: body.block_after_days.changed(days),
        time_zone: body.time_zone.value(),
        books_closed_until: body.books_closed_until.changed(|date| date),
        hold_limits: body
            .hold_limits
            .value()
            .map_or_else(HoldLimitsChange::default, hold_limits),
    };
    let business = businesses::change(&state.database, &caller, &change).await;
    caller.answer(business.map(|business| View(BusinessView::from(business))))
}
