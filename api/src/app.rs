//! The HTTP app: the API below `/api`, its OpenAPI document, the pages, health and metrics.

use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig};

use crate::access::{Permissions, routing};
use crate::pages::assets::{self, Assets};
use crate::pages::{office, shop};
use crate::schema::endpoint::{BadTable, Table};
use crate::schema::openapi;
use crate::schema::openapi::{BadDocument, Document};
use crate::schema::problem;
use crate::state::State;
use crate::{handlers, metrics};

/// A bug in the app's declaration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two endpoints conflict, or one is declared wrongly.
    #[error(transparent)]
    Table(#[from] BadTable),
    /// The OpenAPI document cannot be made.
    #[error("the API's document cannot be made: {0}")]
    Document(#[from] BadDocument),
    /// A static file cannot be compressed.
    #[error("a static file cannot be compressed: {0}")]
    Assets(#[from] std::io::Error),
}

/// The immutable parts that all workers share.
#[derive(Debug, Clone)]
pub struct Parts {
    table: Arc<Table>,
    permissions: Data<Permissions>,
    document: Data<Document>,
    assets: Data<Assets>,
}

impl Parts {
    /// # Errors
    /// A bug in the endpoint table.
    pub fn new() -> Result<Self, Error> {
        let table = table()?;
        Ok(Self {
            document: openapi::json(&table)?,
            permissions: Data::new(Permissions::of(&table)),
            assets: Data::new(Assets::new()?),
            table: Arc::new(table),
        })
    }
}

/// The endpoint table: every endpoint below `/api`, and every page.
///
/// # Errors
/// A bug in the table.
pub fn table() -> Result<Table, BadTable> {
    Table::new(handlers::endpoints())?.with_pages([shop::endpoints(), office::endpoints()].concat())
}

/// Configures the app of one worker.
pub fn configure(config: &mut ServiceConfig, parts: &Parts, state: State) {
    config
        .app_data(Data::from(state.verifier.clone()))
        .app_data(Data::from(state.gateways.clone()))
        .app_data(Data::from(state.businesses.clone()))
        .app_data(Data::from(state.limits.clone()))
        .app_data(Data::from(state.catalogue.clone()))
        .app_data(Data::from(state.revocation.clone()))
        .app_data(Data::from(state.sessions.clone()))
        .app_data(Data::from(state.site.clone()))
        .app_data(Data::from(state.hasher.clone()))
        .app_data(Data::from(state.access_log.clone()))
        .app_data(Data::from(state.sealer.clone()))
        .app_data(Data::from(state.payment_worker.clone()))
        .app_data(Data::new(state.database.clone()))
        .app_data(Data::new(state))
        .app_data(parts.permissions.clone())
        .configure(|config| routing::configure(&parts.table, config))
        .configure(|config| assets::configure(parts.assets.clone(), config))
        .configure(handlers::configure_health)
        .configure(problem::pages::configure)
        .configure(metrics::configure)
        .configure(|config| openapi::configure(parts.document.clone(), config));
}
