//! The access check: the decision who may call, made once around the handler that the routing has chosen.
//!
//! It runs before every extractor and handler of `/api` and of the pages, whose own check is in [`visits`]. It does not
//! read the path of `/api`, which two parsers could read differently. There it checks, in this order:
//!
//! 1. the credential;
//! 2. its rate limit;
//! 3. the role;
//! 4. the business that the request names;
//! 5. the formats that it accepts.
//!
//! A handler then takes an [`Authenticated`](crate::access::Authenticated) caller, a [`Visitor`], a
//! [`Visit`](crate::access::Visit) or the [`Platform`](crate::access::Platform). None of them exists without the
//! check. The check is a middleware, not an extractor, because actix polls extractors together: a request could then be
//! rejected for its body before its credential.
//!
//! The app's data must contain [`Verifier`], [`Gateways`], [`Limits`], [`BusinessCache`], [`RevocationCache`],
//! [`AccessLog`], [`Sealer`], [`CatalogueCache`], [`PaymentWorker`] and [`Database`], each as [`web::Data`].

use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use domain::audit::seals::Sealer;
use domain::card::PaymentWorker;
use domain::card::provider::Offline;
use domain::identity::api_keys;
use domain::identity::businesses::Business;
use domain::{
    AccessLog, Authority, BusinessCache, Caller, CatalogueCache, Database, PlatformCaller, Refusal,
    RevocationCache, RevokedCredential,
};
use entity::BusinessId;

use crate::access::authenticator::{Authenticator, Holder, Refused};
use crate::access::callers::{OfLogin, Visitor};
use crate::access::parts::{caller_of, data, failed, forbidden, request_id, unauthenticated};
use crate::access::token::{BadToken, Verifier};
use crate::access::visits;
use crate::http::client_address;
use crate::http::gateways::{GATEWAY, Gateways};
use crate::http::headers::BUSINESS_ID;
use crate::http::limits::Limits;
use crate::http::log;
use crate::http::request::RequestId;
use crate::schema::content_negotiation::{self, CSV_SUFFIX};
use crate::schema::endpoint::{Endpoint, Who};
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{BusinessIsRead, Query};
use crate::schema::text::BusinessName;
use crate::schema::text::{self, FromText, Text};

/// Marks a request that [`check`] has seen. Stored in the request's extensions.
struct Checked;

/// The middleware of one endpoint, around its handler.
///
/// # Errors
/// Those of the wrapped service. A rejection is a response, not an error.
pub async fn check(
    endpoint: Rc<Endpoint>,
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    req.extensions_mut().insert(Checked);
    let writes = endpoint.method != Method::GET;
    let response = match admit(&req, &endpoint).await {
        Ok(()) => {
            if writes {
                note_writer(req.request()).await;
            }
            next.call(req).await?.map_into_boxed_body()
        }
        Err(problem) if endpoint.is_for_browsers() => visits::refused(req, problem),
        Err(problem) => req.error_response(problem),
    };
    if endpoint.signed
        && response.status().is_client_error()
        && let Some(limits) = response.request().app_data::<web::Data<Limits>>()
        && let Err(problem) = limits.of_stray(response.request())
    {
        return Ok(response.error_response(problem));
    }
    if matches!(
        response.status(),
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED
    ) {
        note_refusal(&response, &endpoint);
    } else if writes {
        note_change(&response, &endpoint);
        note_writer(response.request()).await;
    }
    Ok(response)
}

/// The middleware around all endpoints, for [`actix_web::middleware::from_fn`]. It counts the requests that the routing
/// itself answers with 404 or 405, which no [`check`] sees.
///
/// # Errors
/// Those of the wrapped service. A rejection is a response, not an error.
pub async fn count_unmatched(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let limits = data::<Limits>(&req)?.clone();
    let response = next.call(req).await?;
    if !response.request().extensions().contains::<Checked>()
        && let Err(problem) = limits.of_stray(response.request())
    {
        return Ok(response.error_response(problem));
    }
    Ok(response.map_into_boxed_body())
}

/// Notifies the sealer of possible new audit entries, and the catalogue cache of what its entries may lack. Also after
/// a failure, whose commit may have succeeded.
fn note_change(response: &ServiceResponse<BoxBody>, endpoint: &Endpoint) {
    let request = response.request();
    let extensions = request.extensions();
    let Some(caller) = extensions.get::<Caller>() else {
        return;
    };
    if let Some(sealer) = request.app_data::<web::Data<Sealer>>() {
        sealer.note(caller.business_id);
    }
    if endpoint.changes_catalogue
        && let Some(catalogue) = request.app_data::<web::Data<CatalogueCache>>()
    {
        catalogue.forget(caller.business_id);
    }
}

/// Lets a customer who writes read the database: from before the write on, since a refused form gets its page again, and
/// for some time after it.
async fn note_writer(request: &HttpRequest) {
    let writer = request.extensions().get::<Caller>().and_then(|caller| {
        let customer = caller.confined_to()?;
        Some((caller.business_id, customer))
    });
    if let (Some(catalogue), Some((business, customer))) =
        (request.app_data::<web::Data<CatalogueCache>>(), writer)
    {
        catalogue.note_write(business, customer).await;
    }
}

/// Passes a rejected request to the access log, which writes an audit entry. It needs a caller, or a revoked
/// credential: without either, the business of the entry is not known.
fn note_refusal(response: &ServiceResponse<BoxBody>, endpoint: &Endpoint) {
    let request = response.request();
    let extensions = request.extensions();
    let Some(access_log) = request.app_data::<web::Data<AccessLog>>() else {
        return;
    };
    let problem = response
        .response()
        .error()
        .and_then(Error::as_error::<Problem>);
    let refusal = Refusal {
        method: request.method().to_string(),
        path: endpoint.path.to_owned(),
        code: problem.map_or(Code::Forbidden, Problem::code).text(),
    };
    if let Some(caller) = extensions.get::<Caller>() {
        access_log.refused(caller, refusal);
    } else if let Some(void) = extensions.get::<RevokedCredential>() {
        let id = extensions.get::<RequestId>().map_or("", |id| id.0.as_str());
        access_log.refused_void(*void, id, refusal);
    }
}

/// Stores the caller or the visitor in the request's extensions, or returns the reason for the rejection.
async fn admit(req: &ServiceRequest, endpoint: &Endpoint) -> Result<(), Problem> {
    if endpoint.is_for_browsers() {
        return visits::admit(req, endpoint).await;
    }
    admit_to(req, endpoint).await?;
    check_formats(req, endpoint)?;
    // If no handler reads the query, it must be empty, so that a misspelt parameter is never ignored. This check
    // follows the credential's: callers without access learn nothing about the endpoint.
    let reads_query = endpoint
        .query
        .iter()
        .any(|parameter| parameter.name != "business");
    if reads_query {
        return Ok(());
    }
    let query = Query::of(req.query_string());
    if endpoint.who == Who::PublicOf {
        query.without("business").finish()
    } else {
        query.finish()
    }
}

/// Rejects a request that accepts no format of the endpoint, before anything is read or changed.
fn check_formats(req: &ServiceRequest, endpoint: &Endpoint) -> Result<(), Problem> {
    let formats: Vec<&str> = endpoint.formats().into_iter().collect();
    let names_its_format = req.path().ends_with(CSV_SUFFIX) && endpoint.has_csv();
    if formats.is_empty() || names_its_format {
        return Ok(());
    }
    content_negotiation::check(req, &formats)
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind of endpoint")]
async fn admit_to(req: &ServiceRequest, endpoint: &Endpoint) -> Result<(), Problem> {
    match endpoint.who {
        // Counted only if its signature is invalid, so that a sender of many valid events is never rejected.
        Who::Public if endpoint.signed => Ok(()),
        Who::Public if endpoint.guarded => data::<Limits>(req)?.of_guesses(req),
        Who::Public => data::<Limits>(req)?.of_address(req),
        Who::PublicOf if !has_credential(req)? => {
            data::<Limits>(req)?.of_address(req)?;
            let name = business_name(req)?.ok_or_else(|| {
                Problem::new(
                    Code::Unauthenticated,
                    "Without credentials, ?business= must name a business.",
                )
            })?;
            let business = business_named(req, &name).await?;
            check_header(req, business.id)?;
            log::name_business(req, business.id);
            req.extensions_mut().insert(BusinessIsRead);
            req.extensions_mut().insert(Visitor {
                business_id: business.id,
                currency: business.currency,
                caller: None,
            });
            Ok(())
        }
        Who::PublicOf => {
            let caller = authenticate(req).await?;
            check_header(req, caller.business_id)?;
            if let Some(name) = business_name(req)?
                && business_named(req, &name).await?.id != caller.business_id
            {
                return Err(mismatch(
                    "The business of the query is not the caller's business.",
                ));
            }
            req.extensions_mut().insert(BusinessIsRead);
            req.extensions_mut().insert(Visitor {
                business_id: caller.business_id,
                currency: caller.currency,
                caller: Some(caller),
            });
            Ok(())
        }
        Who::Any => {
            let caller = authenticate(req).await?;
            check_header(req, caller.business_id)
        }
        Who::Roles(roles) => {
            let caller = authenticate(req).await?;
            if !roles.contains(&caller.authority.role()) {
                return Err(forbidden());
            }
            check_header(req, caller.business_id)
        }
        Who::Platform => {
            let Identity::Platform(platform) = identify(req).await? else {
                return Err(forbidden());
            };
            if req.headers().contains_key(BUSINESS_ID) {
                return Err(mismatch("A platform caller has no business."));
            }
            req.extensions_mut().insert(platform);
            Ok(())
        }
        Who::Local => {
            data::<Limits>(req)?.of_address(req)?;
            let provider = data::<PaymentWorker>(req)?.provider();
            let offline = provider.is_some_and(|provider| provider.name() == Offline::NAME);
            match offline && client_address::is_local(req.request()) {
                true => Ok(()),
                false => Err(Problem::of_status(StatusCode::NOT_FOUND)),
            }
        }
    }
}

/// The caller: of a business, or the platform, which belongs to none.
enum Identity {
    Business(Caller),
    Platform(PlatformCaller),
}

/// The caller of a business. Rejects the platform, which may not see a business's rows.
async fn authenticate(req: &ServiceRequest) -> Result<Caller, Problem> {
    match identify(req).await? {
        Identity::Business(caller) => Ok(caller),
        Identity::Platform(_) => Err(forbidden()),
    }
}

/// Identifies the caller and counts the request: against its credential, or against its address if that is invalid. A
/// valid credential is therefore never rejected because of other requests from the same address.
///
/// The caller is stored in the request's extensions here, before the role check, so that a rejection is logged with the
/// caller. No handler runs after a rejection.
async fn identify(req: &ServiceRequest) -> Result<Identity, Problem> {
    let identity = identify_uncounted(req).await;
    let limits = data::<Limits>(req)?;
    match &identity {
        Ok(Identity::Business(caller)) => {
            limits.of_credential(Some(caller.business_id), caller.user_id)?;
            req.extensions_mut().insert(caller.clone());
        }
        Ok(Identity::Platform(platform)) => limits.of_credential(None, platform.user_id)?,
        Err(problem) if problem.code().status() == StatusCode::UNAUTHORIZED => {
            if !req.extensions().contains::<CountedByAddress>() {
                limits.of_address(req)?;
            }
        }
        // The database did not answer.
        Err(_) => {}
    }
    identity
}

/// Whether the request identifies its caller, with a credential or through a gateway.
fn has_credential(req: &ServiceRequest) -> Result<bool, Problem> {
    let headers = req.headers();
    Ok(headers.contains_key(AUTHORIZATION)
        || (headers.contains_key(BUSINESS_ID) && gateway(req)?.is_some()))
}

/// Reads the credential of the `Authorization` header. A gateway's `X-Business-Id` counts only without that header.
async fn identify_uncounted(req: &ServiceRequest) -> Result<Identity, Problem> {
    if !req.headers().contains_key(AUTHORIZATION)
        && let Some(authority) = gateway(req)?
    {
        let business_id = one_business(req).ok_or_else(unauthenticated)?;
        count_unproven(req, business_id)?;
        let business = data::<BusinessCache>(req)?
            .by_unproven_id(data::<Database>(req)?, business_id)
            .await
            .map_err(failed)?
            .ok_or_else(unauthenticated)?;
        let caller = caller_of(req, &business, GATEWAY, authority);
        return Ok(Identity::Business(caller));
    }
    let text = bearer(req).ok_or_else(unauthenticated)?;
    if let Some(business_id) = api_keys::business_of(text) {
        count_unproven(req, business_id)?;
    }
    let authenticator = Authenticator {
        verifier: data::<Verifier>(req)?,
        businesses: data::<BusinessCache>(req)?,
        revocation: data::<RevocationCache>(req)?,
        database: data::<Database>(req)?,
    };
    let holder = authenticator
        .authenticate(text)
        .await
        .map_err(|refused| match refused {
            Refused::Token(BadToken::Expired) => {
                Problem::new(Code::TokenExpired, "The token has expired.")
            }
            Refused::Token(BadToken::Invalid) => unauthenticated(),
            Refused::RevokedCredential(void) => {
                // Records the rejection in the access log of the credential's business.
                void.map(|void| req.extensions_mut().insert(void));
                unauthenticated()
            }
            Refused::Failed(error) => failed(error),
        })?;
    let bearer = match holder {
        Holder::OfBusiness(bearer) => bearer,
        Holder::Platform(user_id) => {
            return Ok(Identity::Platform(PlatformCaller {
                user_id,
                request_id: request_id(req),
            }));
        }
    };
    let caller = caller_of(req, &bearer.business, bearer.user_id, bearer.authority);
    if let Some(login) = bearer.login {
        req.extensions_mut().insert(OfLogin(login));
    }
    if bearer.is_key {
        data::<AccessLog>(req)?.key_used(&caller);
    }
    Ok(Identity::Business(caller))
}

/// Marks a request that was counted against its address. Stored in the request's extensions.
struct CountedByAddress;

/// Counts a request against its address before its credential is verified, if this process does not know the business.
///
/// Anyone can invent such ids, and each costs a database query. As a consequence, the first valid request of a business
/// may be rejected because of other requests from its address. Later ones are not.
fn count_unproven(req: &ServiceRequest, business_id: BusinessId) -> Result<(), Problem> {
    if !data::<BusinessCache>(req)?.knows(business_id) {
        data::<Limits>(req)?.of_address(req)?;
        req.extensions_mut().insert(CountedByAddress);
    }
    Ok(())
}

/// The authority of the call if the socket's peer is a gateway.
fn gateway(req: &ServiceRequest) -> Result<Option<Authority>, Problem> {
    Ok(data::<Gateways>(req)?.authority_of(req.peer_addr()))
}

/// The business of an `X-Business-Id` header that occurs exactly once.
fn one_business(req: &ServiceRequest) -> Option<BusinessId> {
    let mut headers = req.headers().get_all(BUSINESS_ID);
    let business_id = text::id(headers.next()?.to_str().ok()?)?;
    headers.next().is_none().then_some(business_id)
}

/// The token of `Authorization: Bearer …`. The case of the scheme is ignored (RFC 9110).
fn bearer(req: &ServiceRequest) -> Option<&str> {
    let mut headers = req.headers().get_all(AUTHORIZATION);
    let (scheme, token) = headers.next()?.to_str().ok()?.split_once(' ')?;
    let only_one = headers.next().is_none();
    (only_one && scheme.eq_ignore_ascii_case("bearer")).then_some(token.trim())
}

/// `X-Business-Id` may repeat the business of the caller or of the query. Any other business is rejected.
fn check_header(req: &ServiceRequest, own: BusinessId) -> Result<(), Problem> {
    let repeats = |value: &actix_web::http::header::HeaderValue| {
        value.to_str().ok().and_then(text::id::<BusinessId>) == Some(own)
    };
    if req.headers().get_all(BUSINESS_ID).all(repeats) {
        Ok(())
    } else {
        Err(mismatch(
            "The X-Business-Id header is not the caller's business.",
        ))
    }
}

/// The parameter `business` of the query: a slug or an id.
fn business_name(req: &ServiceRequest) -> Result<Option<String>, Problem> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(req.query_string());
    let mut names = pairs
        .map_or_else(|_undecodable| Vec::new(), web::Query::into_inner)
        .into_iter()
        .filter(|(name, _)| name == "business");
    let named = names.next().map(|(_, name)| name);
    match names.next() {
        Some(_) => Err(Problem::fault("?business", "must not be repeated")),
        None => Ok(named),
    }
}

/// Finds the business with this slug or id.
async fn business_named(req: &ServiceRequest, name: &str) -> Result<Arc<Business>, Problem> {
    let unknown = || Problem::new(Code::NotFound, "There is no such business.");
    let Text(name) = BusinessName::from_text(name).map_err(|_no_name| unknown())?;
    let found = data::<BusinessCache>(req)?
        .by_name(data::<Database>(req)?, &name)
        .await
        .map_err(failed)?;
    found.ok_or_else(unknown)
}

fn mismatch(detail: &str) -> Problem {
    Problem::new(Code::TenantMismatch, detail)
}
