//! The shared part of the documents of a customer's account: payments, payouts, credit notes and write-offs. Each is
//! posted with the account after it, and may be reversed.

use std::borrow::Cow;

use domain::{AccountSummary, Caller, Posted, StoredResponse};
use entity::Currency;
use serde::Serialize;
use utoipa::openapi::schema::AllOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::schema::response::created;
use crate::schema::text::{Amount, Text};

crate::body! {
    /// A reversal.
    #[example({"reason": "entered twice"})]
    pub(super) struct ReversalRequest {
        /// The reason, as shown on statements.
        pub(super) reason: Text<1, 500>,
    }
}

/// A customer's debt and remaining credit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "customer_balance": "600.00", "available_credit": "400.00", "credit_on_account": "0.00",
}))]
pub(super) struct AccountSummaryView {
    /// The current debt of the customer; negative when they paid ahead.
    customer_balance: Amount,
    /// The remaining credit; negative when the balance exceeds the limit.
    available_credit: Amount,
    /// The part of the customer's credits that settles no order.
    credit_on_account: Amount,
}

/// A document as clients see it.
pub(super) trait DocumentView: Serialize {
    /// The document.
    type Document;

    /// The view of a document.
    fn of(document: &Self::Document, currency: Currency) -> Self;

    /// The path of a document.
    fn location(document: &Self::Document) -> String;
}

/// A document, and the customer's account after it.
#[derive(Debug, Serialize)]
pub(super) struct WithBalance<V> {
    #[serde(flatten)]
    document: V,
    #[serde(flatten)]
    figures: AccountSummaryView,
}

impl AccountSummaryView {
    pub(super) fn of(figures: &AccountSummary, currency: Currency) -> Self {
        Self {
            customer_balance: Amount::of(figures.balance, currency),
            available_credit: Amount::of(figures.available_credit, currency),
            credit_on_account: Amount::of(figures.on_account, currency),
        }
    }
}

// Written by hand: the derived name would be `WithBalance_PaymentView`.
impl<V: ToSchema> PartialSchema for WithBalance<V> {
    fn schema() -> RefOr<Schema> {
        AllOfBuilder::new()
            .description(Some("A document, and the customer's account after it."))
            .item(Ref::from_schema_name(V::name()))
            .item(Ref::from_schema_name(AccountSummaryView::name()))
            .into()
    }
}

impl<V: ToSchema> ToSchema for WithBalance<V> {
    /// `PaymentWithBalance` of `PaymentView`.
    fn name() -> Cow<'static, str> {
        let view = V::name();
        let document = view.strip_suffix("View").unwrap_or(&view);
        Cow::Owned(format!("{document}WithBalance"))
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((V::name().into_owned(), V::schema()));
        V::schemas(schemas);
        let figures = AccountSummaryView::name().into_owned();
        schemas.push((figures, AccountSummaryView::schema()));
        AccountSummaryView::schemas(schemas);
    }
}

/// Renders the 201 response to a document that was posted.
pub(super) fn render<V: DocumentView>(
    caller: &Caller,
) -> impl Fn(&Posted<V::Document>) -> StoredResponse + use<V> {
    let currency = caller.currency;
    move |posted| {
        let view = WithBalance {
            document: V::of(&posted.document, currency),
            figures: AccountSummaryView::of(&posted.account, currency),
        };
        created(&V::location(&posted.document), &view)
    }
}
