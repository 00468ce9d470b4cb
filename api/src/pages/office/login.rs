//! Login and logout of the back office. Customers log in at the store.

use domain::identity::login::Login as Granted;
use domain::identity::sessions;
use domain::{Authority, Caller};
use entity::SessionId;
use pages::office::Login;
use pages::{Notice, Refusal};

use crate::pages::here::{Here, fresh, is_about_form, sent};
use crate::pages::logins::{BUSINESS, PASSWORD, begin, end, next_in_address, next_of, open};
use crate::schema::endpoint::{Endpoint, SHOP};
use crate::schema::form::Form;
use crate::schema::next::NEXT;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::Response;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page("showOfficeLogin", "/office/{business}/login", show).public(),
        Endpoint::action("sendOfficeLogin", "/office/{business}/login", log_in)
            .public()
            .guarded()
            .same_as(&["login"]),
        // For all, since the second click of two finds the session ended.
        Endpoint::action("sendOfficeLogout", "/office/{business}/logout", log_out)
            .public()
            .of_browsers_only(),
    ]
}

async fn show(here: Here) -> Response {
    let next = next_in_address(&here);
    let is_staff = here.visit.caller.is_some() && here.confined_to().is_none();
    if is_staff {
        return Ok(here.see(&next, None));
    }
    here.page(&Login {
        frame: here.frame().await?,
        form: fresh(),
        next,
    })
}

async fn log_in(here: Here, mut form: Form) -> Response {
    let next = next_of(&here, form.take(NEXT).as_deref());
    form.set(BUSINESS, here.slug());
    let login = match open(&here, &form).await {
        Ok(login) => login,
        Err(problem) if is_about_form(&problem) => {
            let form = sent(&form, &problem, &[PASSWORD, BUSINESS]);
            return refused(&here, problem, form, next).await;
        }
        Err(problem) => return Err(problem),
    };
    if let Authority::Customer(_) = login.authority {
        end_of_customer(&here, login).await?;
        let problem = Problem::new(Code::Forbidden, "The login is a customer's.");
        let refusal = Refusal {
            title: "This is the login of a customer".to_owned(),
            text:
                "The back office is for the people of the business. Your orders are in the store."
                    .to_owned(),
            figures: Vec::new(),
            links: Vec::new(),
        };
        let store = format!("{SHOP}/{}/login", here.slug());
        let form = pages::Form {
            values: form.texts_without(&[PASSWORD, BUSINESS]),
            refusal: Some(refusal.link("Log in at the store", store)),
            ..fresh()
        };
        return refused(&here, problem, form, next).await;
    }
    Ok(begin(&here, &next, &login.token, Notice::SignedIn).await)
}

async fn refused(here: &Here, problem: Problem, form: pages::Form, next: String) -> Response {
    let page = Login {
        frame: here.frame().await?,
        form,
        next,
    };
    here.refused(problem, &page)
}

/// Ends the session of a customer that the right password has opened.
async fn end_of_customer(here: &Here, login: Granted) -> Result<(), Problem> {
    let caller = Caller {
        business_id: login.business.id,
        currency: login.business.currency,
        user_id: login.user.id,
        authority: login.authority,
        request_id: here.request_id().0,
    };
    let state = &here.state;
    let session = SessionId(login.login);
    let ended = sessions::end(&state.database, &state.revocation, &caller, session).await;
    ended.map_err(|error| here.problem(error))
}

async fn log_out(here: Here, _form: Form) -> Response {
    let target = here.path("/login");
    end(&here, &target).await
}
