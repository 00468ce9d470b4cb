//! Who may call: decided once, before any extractor or handler of `/api` runs, around the very handler that the routing
//! has picked. Nothing here reads the path: what two readers could read differently, nobody decides by.
//!
//! In this order: the credential, the limit of its rate, the role, the business that the request names. What a handler
//! then gets is a [`Authenticated`] caller, a [`Visitor`] or the [`Platform`]; none can be had without passing here. In a
//! middleware and not in extractors, since actix polls those together: a bad body could be answered before a bad
//! credential.
//!
//! The app's data must have [`Verifier`], [`Gateways`], [`Limits`], [`BusinessCache`], [`RevocationCache`], [`AccessLog`], [`Sealer`],
//! [`PaymentWorker`] and [`Database`], each as [`web::Data`].

use std::future::{Ready, ready};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use domain::audit::seals::Sealer;
use domain::card::PaymentWorker;
use domain::card::provider::Offline;
use domain::identity::api_keys;
use domain::identity::businesses::Business;
use domain::{
    AccessLog, Authority, BusinessCache, Caller, Database, IdempotencyKey, PlatformCaller, Refusal,
    RevocationCache, RevokedCredential, StoredResponse, WriteRequest,
};
use entity::{BusinessId, Currency, UserId};

use crate::access::authenticator::{Authenticator, Holder, Refused};
use crate::access::token::{BadToken, Verifier};
use crate::http::gateways::{GATEWAY, Gateways};
use crate::http::headers::BUSINESS_ID;
use crate::http::limits::{self, Limits};
use crate::http::log;
use crate::http::request::RequestId;
use crate::schema::endpoint::{Endpoint, Who};
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{BusinessIsRead, Query};
use crate::schema::response::Answer;
use crate::schema::text::BusinessName;
use crate::schema::text::{self, FromText, Text};

/// That [`check`] has had the request. In its extensions from then on.
struct Checked;

/// The middleware of one endpoint, around its handler.
///
/// # Errors
/// Those of what it wraps; its own refusals are responses.
pub async fn check(
    endpoint: Rc<Endpoint>,
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    req.extensions_mut().insert(Checked);
    let response = match admit(&req, &endpoint).await {
        Ok(()) => next.call(req).await?.map_into_boxed_body(),
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
    } else if endpoint.method != Method::GET {
        note_change(&response);
    }
    Ok(response)
}

/// The middleware around all endpoints, for [`actix_web::middleware::from_fn`]: counts what the routing has answered
/// itself, with 404 or 405, and so no [`check`] has had.
///
/// # Errors
/// Those of what it wraps; its own refusals are responses.
pub async fn count_strays(
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

/// Tells the sealer that there may be new entries.
fn note_change(response: &ServiceResponse<BoxBody>) {
    let request = response.request();
    if let (Some(sealer), Some(caller)) = (
        request.app_data::<web::Data<Sealer>>(),
        request.extensions().get::<Caller>(),
    ) {
        sealer.note(caller.business_id);
    }
}

/// Leaves an entry in the audit trail of what a caller was refused, here or further in, or someone whose credential is
/// good no more. Of who has shown none, there is nothing to tell, and no business to tell it to.
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

/// Leaves the caller or the visitor in the request's extensions, or says why there is none.
async fn admit(req: &ServiceRequest, endpoint: &Endpoint) -> Result<(), Problem> {
    admit_to(req, endpoint).await?;
    // Where no handler reads the query, nothing may be in it: a typo never passes silently. After the credential, so
    // that who may not call learns nothing of the endpoint.
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

async fn admit_to(req: &ServiceRequest, endpoint: &Endpoint) -> Result<(), Problem> {
    match endpoint.who {
        // Counted when its signature turns out to be none: whoever sends much that is good is never refused for it.
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
            match offline && limits::is_local(req) {
                true => Ok(()),
                false => Err(Problem::of_status(StatusCode::NOT_FOUND)),
            }
        }
    }
}

/// Who calls: someone of a business, or the platform, which is of none.
enum Identity {
    Business(Caller),
    Platform(PlatformCaller),
}

/// The caller of a business. The platform is none: it sees no business's rows.
async fn authenticate(req: &ServiceRequest) -> Result<Caller, Problem> {
    match identify(req).await? {
        Identity::Business(caller) => Ok(caller),
        Identity::Platform(_) => Err(forbidden()),
    }
}

/// Who calls. Counts the request against the credential that it brought, or against its address if that was none: a good
/// credential is never refused for what others do at the same address.
///
/// A caller is left in the request's extensions here, and not when it is let in, so that a refusal is known to be its
/// own; no handler runs after one.
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
        // The database did not say.
        Err(_) => {}
    }
    identity
}

/// Whether the request says who calls: with a credential, or by way of a gateway.
fn has_credential(req: &ServiceRequest) -> Result<bool, Problem> {
    let headers = req.headers();
    Ok(headers.contains_key(AUTHORIZATION)
        || (headers.contains_key(BUSINESS_ID) && gateway(req)?.is_some()))
}

/// From the credential of the `Authorization` header. Only where there is none, a gateway's word counts.
async fn identify_uncounted(req: &ServiceRequest) -> Result<Identity, Problem> {
    if !req.headers().contains_key(AUTHORIZATION)
        && let Some(authority) = gateway(req)?
    {
        let business_id = one_business(req).ok_or_else(unauthenticated)?;
        count_stranger(req, business_id)?;
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
        count_stranger(req, business_id)?;
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
                // So that the refusal is in its business's trail.
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
    if bearer.is_key {
        data::<AccessLog>(req)?.key_used(&caller);
    }
    Ok(Identity::Business(caller))
}

fn caller_of(
    req: &ServiceRequest,
    business: &Business,
    user_id: UserId,
    authority: Authority,
) -> Caller {
    log::name_business(req, business.id);
    Caller {
        business_id: business.id,
        currency: business.currency,
        user_id,
        authority,
        request_id: request_id(req),
    }
}

/// That the request has been counted against its address. In its extensions from then on.
struct CountedByAddress;

/// Counts a request against its address before its credential is looked at, when the business that it names is none that
/// this process has met: anyone can make up such ids, and each costs a look into the database. So the first good request
/// of a business can be refused for what others do at its address, and no later one.
fn count_stranger(req: &ServiceRequest, business_id: BusinessId) -> Result<(), Problem> {
    if !data::<BusinessCache>(req)?.knows(business_id) {
        data::<Limits>(req)?.of_address(req)?;
        req.extensions_mut().insert(CountedByAddress);
    }
    Ok(())
}

fn request_id(req: &ServiceRequest) -> String {
    let id = req.extensions().get::<RequestId>().map(|id| id.0.clone());
    id.unwrap_or_default()
}

/// What the call may do if its socket's peer is a gateway.
fn gateway(req: &ServiceRequest) -> Result<Option<Authority>, Problem> {
    Ok(data::<Gateways>(req)?.authority_of(req.peer_addr()))
}

/// The business of a lone `X-Business-Id` header.
fn one_business(req: &ServiceRequest) -> Option<BusinessId> {
    let mut headers = req.headers().get_all(BUSINESS_ID);
    let business_id = text::id(headers.next()?.to_str().ok()?)?;
    headers.next().is_none().then_some(business_id)
}

/// The token of `Authorization: Bearer …`; the scheme's case does not matter (RFC 9110).
fn bearer(req: &ServiceRequest) -> Option<&str> {
    let mut headers = req.headers().get_all(AUTHORIZATION);
    let (scheme, token) = headers.next()?.to_str().ok()?.split_once(' ')?;
    let only_one = headers.next().is_none();
    (only_one && scheme.eq_ignore_ascii_case("bearer")).then_some(token.trim())
}

/// `X-Business-Id` may repeat the caller's business, or that of the query, and names no other.
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

/// What the query says is the business: a slug or an id.
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

/// The business with this slug or id.
async fn business_named(req: &ServiceRequest, name: &str) -> Result<Arc<Business>, Problem> {
    let unknown = || Problem::new(Code::NotFound, "There is no such business.");
    let Text(name) = BusinessName::from_text(name).map_err(|_no_name| unknown())?;
    let found = data::<BusinessCache>(req)?
        .by_name(data::<Database>(req)?, &name)
        .await
        .map_err(failed)?;
    found.ok_or_else(unknown)
}

/// A failure before the business is known, whose currency no problem of that kind mentions.
fn failed(error: domain::Error) -> Problem {
    Problem::of(error, Currency::USD)
}

fn data<T: 'static>(req: &ServiceRequest) -> Result<&web::Data<T>, Problem> {
    req.app_data::<web::Data<T>>().ok_or_else(|| {
        tracing::error!(of = std::any::type_name::<T>(), "the app lacks data");
        Problem::internal()
    })
}

fn unauthenticated() -> Problem {
    Problem::new(
        Code::Unauthenticated,
        "A valid token or key is needed: Authorization: Bearer <token>.",
    )
}

fn forbidden() -> Problem {
    Problem::new(Code::Forbidden, "The caller's role may not do this.")
}

fn mismatch(detail: &str) -> Problem {
    Problem::new(Code::TenantMismatch, detail)
}

/// The caller of an endpoint that is not public.
#[derive(Debug, Clone)]
pub struct Authenticated(pub Caller);

impl Authenticated {
    /// What a domain error is to this caller: `.map_err(|error| caller.problem(error))?`.
    #[must_use]
    pub fn problem(&self, error: domain::Error) -> Problem {
        Problem::of(error, self.currency)
    }

    /// The response to what the domain has answered.
    ///
    /// # Errors
    /// The problem that a domain error is to this caller.
    pub fn answer(
        &self,
        answer: Result<impl Answer, domain::Error>,
    ) -> Result<HttpResponse, Problem> {
        answer.map_err(|error| self.problem(error))?.into_response()
    }

    /// A write in this caller's name.
    pub fn write<'a, T>(
        &'a self,
        key: Option<&'a IdempotencyKey>,
        render: &'a (dyn Fn(&T) -> StoredResponse + Sync),
    ) -> WriteRequest<'a, T> {
        WriteRequest {
            caller: self,
            key,
            render,
        }
    }
}

impl Deref for Authenticated {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(extension::<Caller>(req).map(Self))
    }
}

/// The caller of an endpoint of the platform. It has no business, so it can be taken for no [`Authenticated`] caller.
#[derive(Debug, Clone)]
pub struct Platform(pub PlatformCaller);

impl FromRequest for Platform {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(extension::<PlatformCaller>(req).map(Self))
    }
}

/// Whoever calls an endpoint that is public within a business.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The business: the caller's, or the one that the query names.
    pub business_id: BusinessId,
    /// Its currency.
    pub currency: Currency,
    /// The caller, if there were credentials.
    pub caller: Option<Caller>,
}

impl Visitor {
    /// What a domain error is to this visitor.
    #[must_use]
    pub fn problem(&self, error: domain::Error) -> Problem {
        Problem::of(error, self.currency)
    }

    /// The response to what the domain has answered.
    ///
    /// # Errors
    /// The problem that a domain error is to this visitor.
    pub fn answer(
        &self,
        answer: Result<impl Answer, domain::Error>,
    ) -> Result<HttpResponse, Problem> {
        answer.map_err(|error| self.problem(error))?.into_response()
    }
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(extension::<Self>(req))
    }
}

/// What [`check`] has left in the request. A handler that asks for what its endpoint does not give is a bug.
fn extension<T: Clone + 'static>(req: &HttpRequest) -> Result<T, Problem> {
    req.extensions().get::<T>().cloned().ok_or_else(|| {
        tracing::error!(
            of = std::any::type_name::<T>(),
            "the endpoint gives its handler none"
        );
        Problem::internal()
    })
}
