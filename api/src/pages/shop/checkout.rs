//! The checkout: an order of what is in the cart, on credit or by card.

use std::collections::BTreeSet;

use domain::desk::purchase::{Purchase, Receipt};
use domain::desk::{Command, Executed, Work};
use domain::identity::customers;
use domain::{Error, IdempotencyKey, Outcome, StoredResponse};
use entity::users::Role;
use entity::{
    Address, AddressKind, CustomerAddresses, OrderId, ProductId, Quantity,
    customers as customer_rows,
};
use pages::Notice;
use pages::shop::{Checkout, Credit};

use crate::access::Authenticated;
use crate::handlers::checkout::place_order;
use crate::handlers::purchase::{PurchaseRequest, purchase_of};
use crate::pages::cart::MAX_LINES;
use crate::pages::here::{Here, fresh, is_about_form, sent};
use crate::pages::order_view::can_pay_here;
use crate::pages::shop::cart::Lines;
use crate::schema::body::List;
use crate::schema::contact::AddressRequest;
use crate::schema::endpoint::Endpoint;
use crate::schema::form::Form;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::{Response, see_other};
use crate::schema::text::{self, FromText};

/// The fields that only the page has.
const PAYMENT_METHOD: &str = "payment_method";
const DELIVERY: &str = "delivery";
/// The member of the order that holds the chosen address.
const ADDRESS: &str = "delivery_address";
/// The addresses that the page offers.
const CHOICES: &str = "choices";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page("showCheckout", "/shop/{business}/checkout", show)
            .for_roles(&[Role::Customer]),
        Endpoint::action("sendCheckout", "/shop/{business}/checkout", order)
            .for_roles(&[Role::Admin, Role::Staff, Role::Customer])
            .same_as(&["createPurchase", "createCheckout"]),
    ]
}

/// The customer of the caller. Staff buy for nobody in a store.
async fn customer(here: &Here) -> Result<Option<customer_rows::Model>, Problem> {
    let caller = here.caller()?;
    let Some(id) = caller.confined_to() else {
        return Ok(None);
    };
    let customer = customers::read(&here.state.database, caller, id).await;
    customer.map(Some).map_err(|error| here.problem(error))
}

/// The terms of a purchase on credit; `None` for a customer without credit.
pub(super) fn credit_of(customer: &customer_rows::Model) -> Option<Credit> {
    let credit = Credit {
        limit: customer.credit_limit,
        balance: customer.balance,
        available: customer.available_credit(),
        terms_days: customer.payment_terms_days,
    };
    let zero = entity::Money::ZERO;
    (credit.limit > zero || credit.available > zero).then_some(credit)
}

/// The addresses to which the customer has goods sent.
fn addresses_of(customer: Option<&customer_rows::Model>) -> Vec<Address> {
    let all = customer.and_then(|customer| customer.addresses.as_ref());
    let all = all.into_iter().flat_map(|addresses| &addresses.0);
    let delivery = all.filter(|one| one.kind == AddressKind::Delivery);
    delivery.map(|one| one.address.clone()).collect()
}

async fn show(here: Here) -> Response {
    let cart = here.cart();
    let lines = Lines::of(&here, cart.lines()).await?;
    if lines.lines.is_empty() {
        return Ok(here.see(&here.path("/cart"), None));
    }
    let customer = customer(&here).await?;
    let form = (fresh(), addresses_of(customer.as_ref()));
    here.page(&page(&here, (lines, customer.as_ref()), form).await?)
}

async fn page(
    here: &Here,
    (lines, customer): (Lines, Option<&customer_rows::Model>),
    (form, addresses): (pages::Form, Vec<Address>),
) -> Result<Checkout, Problem> {
    Ok(Checkout {
        layout: here.layout().await?,
        form,
        lines: lines.lines,
        total: lines.total,
        credit: customer.and_then(credit_of),
        by_card: can_pay_here(here),
        addresses,
    })
}

async fn order(here: Here, caller: Authenticated, form: Form) -> Response {
    let customer = customer(&here).await?;
    let wanted = wanted(&form);
    let mut request = form.clone();
    let is_by_card = request
        .take(PAYMENT_METHOD)
        .is_some_and(|method| method == "card");
    let problem = match request_of(&mut request) {
        Ok(body) => {
            let bought: BTreeSet<ProductId> = wanted.iter().map(|(id, _)| *id).collect();
            let cart = here.cart().without(&bought);
            let cookie = cart.cookie(&here.state.site, here.slug());
            let purchase = purchase_of(&caller, body)?;
            match placed_order(&here, &caller, (purchase, form.key.clone()), is_by_card).await {
                Ok(Placed::OnCredit(outcome)) => {
                    return here.see_outcome(outcome, Notice::OrderPlaced, Some(cookie));
                }
                Ok(Placed::ByCard(id)) => {
                    let target = here.path(&format!("/orders/{id}/pay"));
                    return Ok(here.see_with(&target, Some(Notice::OrderPlaced), cookie));
                }
                Err(problem) => problem,
            }
        }
        Err(problem) => problem,
    };
    if !is_about_form(&problem) {
        return Err(problem);
    }
    let mut lines = Lines::of(&here, &wanted).await?;
    lines.refused(&problem, caller.currency);
    let choices = choices_of(&form);
    let form = explained(&here, sent(&form, &problem, &[]), &problem);
    let page = page(&here, (lines, customer.as_ref()), (form, choices)).await?;
    here.refused(problem, &page)
}

/// An order that was placed.
enum Placed {
    OnCredit(Outcome<Executed>),
    ByCard(OrderId),
}

async fn placed_order(
    here: &Here,
    caller: &Authenticated,
    (purchase, key): (Purchase, Option<IdempotencyKey>),
    is_by_card: bool,
) -> Result<Placed, Problem> {
    if is_by_card {
        if !can_pay_here(here) {
            return Err(caller.problem(Error::NoPaymentProvider));
        }
        let by_card = |terms| Work::Checkout(purchase, terms);
        let id = match place_order(&here.state, caller, key, by_card).await {
            Ok((_, checkout)) => checkout.order_id,
            // The order is placed, and its payment follows.
            Err(problem) => placed_without_payment(&problem).ok_or(problem)?,
        };
        return Ok(Placed::ByCard(id));
    }
    let command = Command {
        work: Work::Purchase(purchase, placed),
        key,
        caller: caller.0.clone(),
    };
    let outcome = here.state.desk.execute(command).await;
    let outcome = outcome.map_err(|error| caller.problem(error))?;
    Ok(Placed::OnCredit(outcome))
}

/// The order that was placed although the provider did not make its payment.
fn placed_without_payment(problem: &Problem) -> Option<OrderId> {
    let is_placed = problem.code() == Code::PaymentProviderError;
    let id = problem.member("order_id").filter(|_| is_placed)?;
    text::id(id.as_str()?)
}

/// The order that the form asks for, with the address that was chosen.
///
/// An address that is kept for the customer is ordered to as the page showed it, whatever it is by now.
fn request_of(form: &mut Form) -> Result<PurchaseRequest, Problem> {
    let delivery = form.take(DELIVERY).unwrap_or_default();
    if delivery != "other" {
        form.remove_below(ADDRESS);
    }
    match delivery.parse::<usize>() {
        Ok(place) => choose(form, place)?,
        Err(_no_number) if ["", "none", "other"].contains(&delivery.as_str()) => {}
        Err(_no_number) => {
            let message = "must be one of the addresses of the page, other or none";
            return Err(Problem::fault("/delivery", message));
        }
    }
    form.remove_below(CHOICES);
    form.read()
}

/// Sets the address of the order to one of those of the page.
fn choose(form: &mut Form, place: usize) -> Result<(), Problem> {
    let chosen = format!("{CHOICES}/{place}");
    let members = form.members_of(&chosen);
    if members.is_empty() {
        let message = "must be one of the addresses of the page";
        return Err(Problem::fault("/delivery", message));
    }
    for (name, text) in members {
        form.set(&format!("{ADDRESS}/{name}"), &text);
    }
    Ok(())
}

crate::body! {
    /// The addresses that the page offered.
    struct Choices {
        /// None if there were none.
        choices: Option<List<AddressRequest, 0, { CustomerAddresses::MAX }>>,
    }
}

/// The addresses that the page offered, to offer them again under the same numbers.
fn choices_of(form: &Form) -> Vec<Address> {
    let choices = form.only_below(CHOICES).read::<Choices>();
    let choices = choices.ok().and_then(|choices| choices.choices);
    let choices = choices.into_iter().flatten();
    choices.map(Address::from).collect()
}

/// The products that the form orders, as far as they can be read.
fn wanted(form: &Form) -> Vec<(ProductId, Quantity)> {
    let line = |number: usize| {
        let text = |member: &str| form.text(&format!("items/{number}/{member}"));
        let id = text::id(text("product_id"))?;
        Some((id, Quantity::from_text(text("quantity")).ok()?))
    };
    (0..MAX_LINES).filter_map(line).collect()
}

/// The refusal with what is true now, and what can be done.
fn explained(here: &Here, mut form: pages::Form, problem: &Problem) -> pages::Form {
    let amount = |name: &str| problem.member(name).and_then(|amount| amount.as_str());
    form.refusal = form.refusal.take().map(|refusal| match problem.code() {
        Code::CreditLimitExceeded => ["available_credit", "amount", "balance", "credit_limit"]
            .into_iter()
            .zip(["Available credit", "This order", "Balance", "Credit limit"])
            .fold(refusal, |refusal, (member, name)| match amount(member) {
                Some(amount) => refusal.figure(name, amount),
                None => refusal,
            })
            .link("Your account", here.path("/account"))
            .link("Change the cart", here.path("/cart")),
        Code::IdempotencyKeyReused => refusal.link("Your orders", here.path("/orders")),
        Code::InsufficientStock | Code::PurchaseLimitReached | Code::SaleNotOpen => {
            refusal.link("Change the cart", here.path("/cart"))
        }
        Code::CustomerOverdue => match amount("order_id") {
            Some(id) => refusal.link("The order", here.path(&format!("/orders/{id}"))),
            None => refusal,
        },
        _ => refusal,
    });
    form
}

/// The response to an order that was placed: the way to it, beside the checkout.
fn placed(receipt: &Receipt) -> StoredResponse {
    see_other(&format!("orders/{}", receipt.order_id))
}
