//! Login, registration and logout. What protects the API's endpoints protects these: the limits per address and
//! account, and the time that a wrong password takes.

use domain::Secret;
use domain::identity::login;
use domain::identity::login::{Attempt, Grant};
use pages::shop::{Login, Register};
use pages::{Layout, Notice};

use crate::handlers::auth::{self, RegisterRequest};
use crate::pages::here::{Here, fresh, is_about_form, sent};
use crate::pages::logins::{
    BUSINESS, PASSWORD, begin, end, next_in_address, next_of, open, user_agent,
};
use crate::schema::endpoint::Endpoint;
use crate::schema::form::Form;
use crate::schema::next::NEXT;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::Response;
use crate::schema::text::{Email, FromText};

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
        Endpoint::action("sendLogout", "/shop/{business}/logout", log_out)
            .for_any_role()
            .same_as(&["logout"]),
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

async fn log_out(here: Here, _form: Form) -> Response {
    let target = here.path("");
    end(&here, &target).await
}
