//! The addresses of the customer: adding, changing and removing one.
//!
//! A form carries the addresses as its page has read them, so that a change by somebody else meanwhile is noticed, and
//! a form that is sent twice has one effect.

use domain::Error;
use domain::identity::customers;
use entity::users::Role;
use entity::{CustomerAddress, CustomerAddresses, CustomerId};
use pages::Notice;
use pages::shop::{AddressPage, address_members};

use crate::access::Authenticated;
use crate::handlers::customers::{Addresses, list_of};
use crate::pages::here::{Here, fresh, is_about_form, sent};
use crate::schema::contact::CustomerAddressRequest;
use crate::schema::endpoint::Endpoint;
use crate::schema::form::Form;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::Response;

/// The number in the path of the page that adds an address.
const NEW: &str = "new";
/// The fields that are no members of the address.
const NUMBER: &str = "number";
const REPLACES: &str = "replaces";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let roles = &[Role::Admin, Role::Staff, Role::Customer];
    vec![
        Endpoint::page(
            "showAddress",
            "/shop/{business}/account/addresses/{number}",
            show,
        )
        .for_roles(&[Role::Customer]),
        Endpoint::action("sendAddress", "/shop/{business}/account/addresses", save)
            .for_roles(roles)
            .same_as(&["replaceAddresses"]),
        Endpoint::action(
            "sendAddressRemoval",
            "/shop/{business}/account/addresses/remove",
            remove,
        )
        .for_roles(roles)
        .same_as(&["replaceAddresses"]),
    ]
}

crate::body! {
    /// The addresses as the page has read them.
    struct ReadAddresses {
        /// None if there were none.
        replaces: Option<Addresses>,
    }
}

/// The customer of the caller. Staff have no addresses.
fn own(here: &Here) -> Result<CustomerId, Problem> {
    let own = here.confined_to();
    own.ok_or_else(|| Problem::new(Code::Forbidden, "Only customers have addresses."))
}

async fn present(here: &Here) -> Result<Vec<CustomerAddress>, Problem> {
    let customer = customers::read(&here.state.database, here.caller()?, own(here)?).await;
    let customer = customer.map_err(|error| here.problem(error))?;
    Ok(customer.addresses.unwrap_or_default().0)
}

async fn show(here: Here) -> Response {
    let addresses = present(&here).await?;
    let number = match here.req.match_info().query(NUMBER) {
        NEW => None,
        // Any other text is the number of no address.
        number => Some(number.parse().unwrap_or(usize::MAX)),
    };
    let mut form = fresh();
    if let Some(number) = number {
        let Some(address) = addresses.get(number) else {
            return Ok(here.see(&here.path("/account"), None));
        };
        let values = address_members(address).into_iter();
        form.values = values
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
    }
    here.page(&AddressPage {
        layout: here.layout().await?,
        form,
        number,
        addresses,
    })
}

async fn save(here: Here, caller: Authenticated, form: Form) -> Response {
    let change = match change_of(&form) {
        Ok(change) => change,
        Err(problem) => return refused(&here, &form, problem).await,
    };
    replace(&here, &caller, &form, change).await
}

async fn remove(here: Here, caller: Authenticated, form: Form) -> Response {
    let (number, read) = (number_of(&form)?, read_of(&form)?);
    let mut wished = read.clone();
    match number {
        Some(number) if number < wished.0.len() => drop(wished.0.remove(number)),
        _ => return Err(foreign()),
    }
    replace(&here, &caller, &form, (wished, read)).await
}

/// The addresses that the form asks for, and those that its page has read.
fn change_of(form: &Form) -> Result<(CustomerAddresses, CustomerAddresses), Problem> {
    let (number, read) = (number_of(form)?, read_of(form)?);
    let mut members = form.clone();
    members.take(NUMBER);
    members.remove_below(REPLACES);
    let address = CustomerAddress::from(members.read::<CustomerAddressRequest>()?);
    let mut wished = read.clone();
    match number {
        Some(number) => *wished.0.get_mut(number).ok_or_else(foreign)? = address,
        None if wished.0.len() < CustomerAddresses::MAX => wished.0.push(address),
        None => {
            let message = format!(
                "cannot be added: {} addresses are kept, which is the most",
                CustomerAddresses::MAX
            );
            return Err(Problem::fault("/line1", &message));
        }
    }
    Ok((wished, read))
}

/// The place of the address in the list that the page has read; `None` for a new one.
fn number_of(form: &Form) -> Result<Option<usize>, Problem> {
    match form.text(NUMBER) {
        "" => Ok(None),
        number => number.parse().map(Some).map_err(|_no_number| foreign()),
    }
}

fn foreign() -> Problem {
    Problem::fault("/number", "must be the number of an address of the page")
}

fn read_of(form: &Form) -> Result<CustomerAddresses, Problem> {
    let read = form.only_below(REPLACES).read::<ReadAddresses>()?;
    Ok(read.replaces.map(list_of).unwrap_or_default())
}

async fn replace(
    here: &Here,
    caller: &Authenticated,
    form: &Form,
    (wished, read): (CustomerAddresses, CustomerAddresses),
) -> Response {
    let database = &here.state.database;
    let replaced =
        customers::replace_addresses(database, caller, own(here)?, &wished, Some(&read)).await;
    match replaced {
        Ok(_) => Ok(here.see(&here.path("/account"), Some(Notice::AddressesSaved))),
        Err(error @ Error::AddressesChanged { .. }) => {
            refused(here, form, caller.problem(error)).await
        }
        Err(error) => Err(caller.problem(error)),
    }
}

/// The page again with what was typed. An address that is no longer in the list as it was read can only be added anew.
async fn refused(here: &Here, form: &Form, problem: Problem) -> Response {
    if !is_about_form(&problem) || here.confined_to().is_none() {
        return Err(problem);
    }
    let addresses = present(here).await?;
    let read = read_of(form).unwrap_or_default();
    let was = number_of(form).ok().flatten();
    let was = was.and_then(|number| read.0.get(number));
    let number = was.and_then(|was| addresses.iter().position(|address| address == was));
    let mut members = form.clone();
    members.take(NUMBER);
    members.remove_below(REPLACES);
    let page = AddressPage {
        layout: here.layout().await?,
        form: sent(&members, &problem, &[]),
        number,
        addresses,
    };
    here.refused(problem, &page)
}
