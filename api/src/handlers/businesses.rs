//! `/api/businesses` and `/api/business`: making a business, and seeing and changing one's own.

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
use crate::schema::body::{Change, Json};
use crate::schema::endpoint::Endpoint;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::{Answer, Response, View, created};
use crate::schema::text::{Amount, Email, Slug, Text, Whole};
use crate::state::State;

/// Where the callers of a business find it.
const OWN: &str = "/api/business";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("createBusiness", "/api/businesses", create)
            .summary("Make a business with its first admin")
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
            .body::<BusinessPatch>()
            .ok::<BusinessView>(),
    ]
}

crate::body! {
    /// A business to be.
    #[example({"name": "Acme Inc."})]
    pub(super) struct BusinessRequest {
        /// The name on documents.
        name: Text<1, 200>,
        /// The name in addresses, for ever: lower-case letters, digits and hyphens.
        slug: Slug,
        /// The currency of all its amounts, for ever.
        currency: Currency,
        /// Whose days due dates and reports by date follow, a name of the IANA database; UTC if left out.
        time_zone: Option<TimeZone>,
        /// Who makes everything else in it.
        admin: AdminRequest,
    }
}

crate::body! {
    /// The first user of a business.
    pub(super) struct AdminRequest {
        /// The address that it logs in with.
        email: Email,
        /// The password that it logs in with.
        password: NewPassword,
    }
}

crate::body! {
    /// What of a business changes. What is left out stays.
    #[example({"block_after_days": 60})]
    pub(super) struct BusinessPatch {
        /// The name on documents.
        name: Option<Text<1, 200>>,
        /// Purchases on credit are refused while the customer has an order that is past due by more than so many days; null
        /// refuses none.
        block_after_days: Change<Whole<0, 3650>>,
        /// Whose days due dates and reports by date follow from now on. What is due stays due at the same moment.
        time_zone: Option<TimeZone>,
        /// The first day that is open, today at the latest: nothing is dated before it. Null opens everything.
        books_closed_until: Change<NaiveDate>,
        /// How much one customer may hold at once.
        hold_limits: Option<HoldLimitsPatch>,
    }
}

/// How many units a customer may be let hold at once.
type HeldUnits = Whole<0, 1_000_000>;

crate::body! {
    /// Which bounds on what one customer may hold at once change: reservations, places in line and unpaid card orders
    /// together. What is left out stays; null takes a bound away.
    #[example({"units": 100, "self_registered_units": 20})]
    pub(super) struct HoldLimitsPatch {
        /// The most units.
        units: Change<HeldUnits>,
        /// The most that they may be worth.
        value: Change<Money>,
        /// The most units of a customer who registered themselves, if that is less; 20 unless it was changed.
        self_registered_units: Change<HeldUnits>,
        /// The most that they may be worth of a customer who registered themselves, if that is less.
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
    /// Purchases on credit are refused while the customer has an order that is past due by more than so many days; null
    /// refuses none.
    block_after_days: Option<i32>,
    /// Whose days due dates and reports by date follow.
    time_zone: TimeZone,
    /// The first day that is open: nothing is dated before it. Null leaves everything open.
    books_closed_until: Option<NaiveDate>,
    hold_limits: HoldLimitsView,
}

/// How much one customer may hold at once: reservations, places in line and unpaid card orders together. Null is no bound.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"units": 100, "self_registered_units": 20}))]
struct HoldLimitsView {
    /// The most units.
    units: Option<i64>,
    /// The most that they may be worth.
    value: Option<Amount>,
    /// The most units of a customer who registered themselves, if that is less.
    self_registered_units: Option<i64>,
    /// The most that they may be worth of a customer who registered themselves, if that is less.
    self_registered_value: Option<Amount>,
}

/// A business that has just been made.
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

/// The first user of a business.
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
            // No amount can be in what this is refused with.
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
        name: body.name.map(|name| name.0),
        block_after_days: body.block_after_days.changed(days),
        time_zone: body.time_zone,
        books_closed_until: body.books_closed_until.changed(|date| date),
        hold_limits: body
            .hold_limits
            .map_or_else(HoldLimitsChange::default, hold_limits),
    };
    let business = businesses::change(&state.database, &caller, &change).await;
    caller.answer(business.map(|business| View(BusinessView::from(business))))
}
