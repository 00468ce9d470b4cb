//! Login, registration, logout, and a new password for a forgotten one. The protections of the API's endpoints hold here
//! too: the limits per address and account, and the time that a wrong password takes.

use domain::identity::login;
use domain::identity::login::{Attempt, Grant};
use domain::{Secret, WriteRequest};
use pages::shop::{Login, Register, Reset};
use pages::{Layout, Notice, Refusal};

use crate::handlers::auth::{self, RegisterRequest};
use crate::handlers::passwords::{ResetRequest, reset_password};
use crate::pages::here::{Here, fresh, is_about_form, sent};
use crate::pages::logins::{
    BUSINESS, PASSWORD, begin, end, next_in_address, next_of, open, user_agent,
};
use crate::schema::endpoint::Endpoint;
use crate::schema::form::Form;
use crate::schema::next::{NEXT, Next};
use crate::schema::problem::{Code, Problem};
use crate::schema::response::{Response, see_other};
use crate::schema::text::{Email, FromText};

const CODE: &str = "code";
const NEW: &str = "new";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page("showLogin", "/shop/{business}/login", show_login).public(),
        Endpoint::action("sendLogin", "/shop/{business}/login", log_in)
            .public()
            .guarded()
            .same_as(&["login"]),
        Endpoint::page("showRegister", "/shop/{business}/register", show_register).public(),
        Endpoint::action("sendRegister", "/shop/{business}/register", register)
            .public()
            .guarded()
            .same_as(&["register"]),
        Endpoint::page("showReset", "/shop/{business}/reset", show_reset).public(),
        Endpoint::action("sendReset", "/shop/{business}/reset", reset)
            .public()
            .guarded()
            .same_as(&["resetPassword"]),
        // For all, since the second click of two finds the session ended.
        Endpoint::action("sendLogout", "/shop/{business}/logout", log_out)
            .public()
            .of_browsers_only(),
    ]
}

/// The frame of a page that leads on: its own links to the login keep where it leads.
async fn layout(here: &Here, next: &str) -> Result<Layout, Problem> {
    Ok(Layout {
        path: next.to_owned(),
        ..here.layout().await?
    })
}

async fn show_login(here: Here) -> Response {
    let next = next_in_address(&here);
    if here.visit.session.is_some() {
        return Ok(here.see(&next, None));
    }
    here.page(&Login {
        layout: layout(&here, &next).await?,
        form: fresh(),
        next,
    })
}

async fn show_register(here: Here) -> Response {
    let next = next_in_address(&here);
    if here.visit.session.is_some() {
        return Ok(here.see(&next, None));
    }
    here.page(&Register {
        layout: layout(&here, &next).await?,
        form: fresh(),
        next,
    })
}

async fn log_in(here: Here, mut form: Form) -> Response {
    let next = next_of(&here, form.take(NEXT).as_deref());
    form.set(BUSINESS, here.slug());
    match open(&here, &form).await {
        Ok(login) => Ok(begin(&here, &next, &login.token, Notice::SignedIn).await),
        Err(problem) if is_about_form(&problem) => {
            let page = Login {
                layout: layout(&here, &next).await?,
                form: sent(&form, &problem, &[PASSWORD, BUSINESS]),
                next,
            };
            here.refused(problem, &page)
        }
        Err(problem) => Err(problem),
    }
}

async fn register(here: Here, mut form: Form) -> Response {
    let next = next_of(&here, form.take(NEXT).as_deref());
    form.set(BUSINESS, here.slug());
    match register_user(&here, &form).await {
        Ok(token) => Ok(begin(&here, &next, &token, Notice::Registered).await),
        Err(problem) if is_about_form(&problem) => {
            let page = Register {
                layout: layout(&here, &next).await?,
                form: sent(&form, &problem, &[PASSWORD, BUSINESS]),
                next,
            };
            here.refused(problem, &page)
        }
        Err(problem) => Err(problem),
    }
}

/// Registers a customer and logs them in.
async fn register_user(here: &Here, form: &Form) -> Result<Secret, Problem> {
    let body = form.read::<RegisterRequest>()?;
    let state = &here.state;
    let user = match auth::register_user(state, &here.req, here.request_id(), body).await {
        Ok(user) => user,
        // A visitor who knows the password has sent the form twice, or had forgotten the account.
        Err(problem) if problem.code() == Code::AlreadyExists => {
            let mut form = form.clone();
            form.take("name");
            let login = open(here, &form).await;
            return login.map(|login| login.token).map_err(|_refused| problem);
        }
        Err(problem) => return Err(problem),
    };
    let attempt = Attempt {
        business: here.slug().to_owned(),
        audit_email: Email::from_text(&user.email)
            .is_ok()
            .then(|| user.email.clone()),
        email: user.email,
        password: Secret::from(form.text(PASSWORD).to_owned()),
        request_id: here.request_id().0,
    };
    let user_agent = user_agent(here);
    let grant = Grant::Session {
        user_agent: user_agent.as_deref(),
    };
    let (database, passwords) = (&state.database, &state.passwords);
    let login = login::log_in(database, &state.businesses, passwords, &attempt, grant).await;
    login
        .map(|login| login.token)
        .map_err(|error| here.problem(error))
}

async fn show_reset(here: Here) -> Response {
    let next = next_in_address(&here);
    here.page(&Reset {
        layout: layout(&here, &next).await?,
        form: fresh(),
        next,
    })
}

async fn reset(here: Here, mut form: Form) -> Response {
    let next = next_of(&here, form.take(NEXT).as_deref());
    form.set(BUSINESS, here.slug());
    let back =
        Next::of(&next, here.area(), here.slug()).map_or_else(String::new, |next| next.query());
    let login = format!("{}?{back}", here.path("/login"));
    let write = WriteRequest {
        caller: &(),
        key: form.key.as_ref(),
        render: &|(): &()| see_other(&login),
    };
    let request = (&here.req, here.request_id());
    let set = match form.read::<ResetRequest>() {
        Ok(body) => reset_password(&here.state, request, &write, body).await,
        Err(problem) => Err(problem),
    };
    match set {
        Ok(outcome) => here.see_outcome(outcome, Notice::PasswordReset, None),
        Err(problem) if is_about_form(&problem) => {
            let mut form = sent(&form, &problem, &[CODE, NEW, BUSINESS]);
            if problem.code() == Code::InvalidCredentials {
                form.refusal = Some(wrong_code());
            }
            let page = Reset {
                layout: layout(&here, &next).await?,
                form,
                next,
            };
            here.refused(problem, &page)
        }
        Err(problem) => Err(problem),
    }
}

/// An unknown address and a code that is wrong, used or expired look alike.
fn wrong_code() -> Refusal {
    Refusal {
        title: "Email address or code is wrong".to_owned(),
        text: "Check both. A code is valid for one hour and one use; the business can give you a new one."
            .to_owned(),
        figures: Vec::new(),
        links: Vec::new(),
    }
}

async fn log_out(here: Here, _form: Form) -> Response {
    let target = here.path("");
    end(&here, &target).await
}
