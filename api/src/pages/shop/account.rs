//! The account: what is owed, the password and the logins, and the statement.

use actix_web::HttpRequest;
use chrono::{Days, Utc};
use domain::foundation::dates::When;
use domain::identity::{customers, login, sessions};
use domain::receivables::{overdue, statements};
use entity::ledger_entries::Kind;
use entity::users::Role;
use entity::{CustomerId, OrderNumber, SessionId, customers as customer_rows};
use pages::Notice;
use pages::shop::{Account, Entry, Figures, Session, Statement};

use crate::access::Authenticated;
use crate::handlers::passwords::{PasswordRequest, change_own};
use crate::handlers::statements::as_csv;
use crate::pages::here::{Here, fresh, is_about_form, sent};
use crate::pages::shop::checkout::credit_of;
use crate::schema::csv_dialect::Dialect;
use crate::schema::endpoint::Endpoint;
use crate::schema::form::Form;
use crate::schema::problem::Problem;
use crate::schema::query::Query;
use crate::schema::response::{Response, see_other};
use crate::schema::text;

/// The days of a statement whose first day is not given.
const STATEMENT_DAYS: Days = Days::new(90);

/// The fields that are never shown again.
const SECRETS: [&str; 2] = ["old", "new"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page("showAccount", "/shop/{business}/account", show).for_any_role(),
        Endpoint::action(
            "sendPassword",
            "/shop/{business}/account/password",
            change_password,
        )
        .for_any_role()
        .same_as(&["changePassword"]),
        Endpoint::action(
            "sendSessionEnd",
            "/shop/{business}/account/sessions/{session_id}/end",
            end_session,
        )
        .for_any_role()
        .of_browsers_only(),
        Endpoint::page(
            "showStatement",
            "/shop/{business}/account/statement",
            statement,
        )
        .for_roles(&[Role::Customer]),
        Endpoint::page(
            "exportStatement",
            "/shop/{business}/account/statement.csv",
            statement_as_csv,
        )
        .for_roles(&[Role::Customer]),
    ]
}

async fn show(here: Here) -> Response {
    here.page(&page(&here, fresh()).await?)
}

async fn page(here: &Here, password: pages::Form) -> Result<Account, Problem> {
    let (database, caller) = (&here.state.database, here.caller()?);
    let problem = |error| here.problem(error);
    let profile = login::profile(database, caller).await.map_err(problem)?;
    let customer = match caller.confined_to() {
        Some(id) => Some(
            customers::read(database, caller, id)
                .await
                .map_err(problem)?,
        ),
        None => None,
    };
    let figures = match &customer {
        Some(customer) => Some(figures_of(here, customer).await?),
        None => None,
    };
    let (email, name) = profile.user.map(|user| (user.email, user.name)).unzip();
    let addresses = customer
        .as_ref()
        .and_then(|customer| customer.addresses.clone());
    Ok(Account {
        layout: here.layout().await?,
        customer_name: customer
            .map(|customer| customer.name)
            .or(name)
            .unwrap_or_default(),
        email: email.unwrap_or_default(),
        figures,
        addresses: addresses.unwrap_or_default().0,
        password,
        sessions: sessions_of(here).await?,
    })
}

async fn figures_of(here: &Here, customer: &customer_rows::Model) -> Result<Figures, Problem> {
    let credit = credit_of(customer).unwrap_or(pages::shop::Credit {
        limit: customer.credit_limit,
        balance: customer.balance,
        available: customer.available_credit(),
        terms_days: customer.payment_terms_days,
    });
    let overdue = overdue::of_customer(&here.state.database, here.caller()?, customer.id).await;
    Ok(Figures {
        credit,
        // The balance is what is due less the credit on account.
        due: customer.balance + customer.on_account,
        overdue: overdue.map_err(|error| here.problem(error))?,
        on_account: customer.on_account,
    })
}

/// The logins of the user, this one first.
async fn sessions_of(here: &Here) -> Result<Vec<Session>, Problem> {
    let rows = sessions::list(&here.state.database, here.caller()?).await;
    let rows = rows.map_err(|error| here.problem(error))?;
    let own = here.visit.session.as_ref().map(|session| session.id);
    let mut all: Vec<Session> = rows
        .into_iter()
        .map(|row| Session {
            id: row.id.to_string(),
            device: row.user_agent.unwrap_or_default(),
            created_at: row.created_at,
            used_at: row.last_used_at,
            is_this: own == Some(row.id),
        })
        .collect();
    all.sort_by_key(|session| !session.is_this);
    Ok(all)
}

async fn change_password(here: Here, caller: Authenticated, mut form: Form) -> Response {
    // By this field a browser finds the password that it keeps.
    form.take("email");
    let login = here.visit.session.as_ref().map(|session| session.id.0);
    let account = here.path("/account");
    let render = |(): &()| see_other(&account);
    let write = caller.write(form.key.as_ref(), &render);
    let changed = match form.read::<PasswordRequest>() {
        Ok(body) => change_own(&here.state, &here.req, &write, (body, login)).await,
        Err(problem) => Err(problem),
    };
    match changed {
        Ok(outcome) => here.see_outcome(outcome, Notice::PasswordChanged, None),
        Err(problem) if is_about_form(&problem) => {
            let page = page(&here, sent(&form, &problem, &SECRETS)).await?;
            here.refused(problem, &page)
        }
        Err(problem) => Err(problem),
    }
}

async fn end_session(here: Here, req: HttpRequest, _form: Form) -> Response {
    let state = &here.state;
    // Any other text is the id of no session.
    if let Some(id) = text::id::<SessionId>(req.match_info().query("session_id")) {
        let ended = sessions::end(&state.database, &state.revocation, here.caller()?, id).await;
        ended.map_err(|error| here.problem(error))?;
    }
    Ok(here.see(&here.path("/account"), Some(Notice::SessionEnded)))
}

async fn statement(here: Here) -> Response {
    let caller = here.caller()?;
    let id = caller
        .confined_to()
        .unwrap_or(CustomerId(uuid::Uuid::nil()));
    let layout = here.layout().await?;
    let mut query = Query::of(here.req.query_string()).without_empty();
    let (from, to) = (query.take::<When>("from"), query.take::<When>("to"));
    let today = layout.business.time_zone.day_of(Utc::now());
    let day = |when: Option<When>| {
        when.map(|when| match when {
            When::Day(day) => day,
            When::Moment(moment) => layout.business.time_zone.day_of(moment),
        })
    };
    let last = day(to).unwrap_or(today);
    let first = day(from).unwrap_or(last - STATEMENT_DAYS);
    let mut form = fresh();
    form.values.insert("from".to_owned(), first.to_string());
    form.values.insert("to".to_owned(), last.to_string());
    let (database, bounds) = (&here.state.database, (When::Day(first), When::Day(last)));
    let read = statements::statement(database, caller, id, Some(bounds.0), Some(bounds.1)).await;
    let (read, form) = match read {
        Ok(read) => (read, form),
        Err(error) => {
            let problem = here.problem(error);
            if !is_about_form(&problem) {
                return Err(problem);
            }
            form.faults = problem
                .faults_by_field()
                .into_iter()
                .map(|(name, message)| (name.trim_start_matches('?').to_owned(), message))
                .collect();
            let all = statements::statement(database, caller, id, None, None).await;
            (all.map_err(|error| here.problem(error))?, form)
        }
    };
    here.page(&Statement {
        layout,
        customer_name: read.customer.name,
        form,
        from: first,
        to: last,
        opening_balance: read.opening_balance,
        entries: read.entries.into_iter().map(entry_of).collect(),
        closing_balance: read.closing_balance,
        csv: Some(here.path(&format!("/account/statement.csv?from={first}&to={last}"))),
    })
}

async fn statement_as_csv(here: Here) -> Response {
    let caller = here.caller()?;
    let id = caller
        .confined_to()
        .unwrap_or(CustomerId(uuid::Uuid::nil()));
    let mut query = Query::of(here.req.query_string());
    let span = (query.take::<When>("from"), query.take::<When>("to"));
    let dialect = Dialect::take(&mut query);
    query.finish()?;
    let read = statements::statement(&here.state.database, caller, id, span.0, span.1).await;
    let read = read.map_err(|error| here.problem(error))?;
    Ok(as_csv(read, span, dialect, caller.currency))
}

fn entry_of(entry: statements::Entry) -> Entry {
    let text = match entry.kind {
        Kind::Charge => "Order",
        Kind::Payment => "Payment",
        Kind::Reversal => "Reversal",
        Kind::CreditNote => "Credit note",
        Kind::WriteOff => "Write-off",
        Kind::Payout => "Payout",
    };
    let number = entry.order_id.map(|id| OrderNumber::of(id).to_string());
    Entry {
        at: entry.effective_at,
        text: text.to_owned(),
        reference: number.or(entry.reference).unwrap_or_default(),
        order_id: entry.order_id,
        amount: entry.amount,
        balance_after: entry.balance_after,
    }
}
