//! All that the service answers to: the API below `/api`, its document, health and metrics.

use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig};

use crate::endpoint::{self, BadTable, Table};
use crate::openapi::Document;
use crate::service::{Error, State};
use crate::{handlers, metrics, openapi};

/// What all workers share and nobody changes.
#[derive(Debug, Clone)]
pub struct Parts {
    table: Arc<Table>,
    document: Data<Document>,
}

impl Parts {
    /// # Errors
    /// A bug in the table of endpoints.
    pub fn new() -> Result<Self, Error> {
        let table = table()?;
        Ok(Self {
            document: openapi::json(&table)?,
            table: Arc::new(table),
        })
    }
}

/// Every endpoint below `/api`.
///
/// # Errors
/// A bug in it.
pub fn table() -> Result<Table, BadTable> {
    Table::new(handlers::endpoints())
}

/// Serves everything, for one worker.
pub fn configure(config: &mut ServiceConfig, parts: &Parts, state: State) {
    config
        .app_data(Data::from(state.verifier.clone()))
        .app_data(Data::from(state.gateways.clone()))
        .app_data(Data::from(state.directory.clone()))
        .app_data(Data::from(state.limits.clone()))
        .app_data(Data::from(state.standing.clone()))
        .app_data(Data::from(state.hasher.clone()))
        .app_data(Data::from(state.journal.clone()))
        .app_data(Data::from(state.sealer.clone()))
        .app_data(Data::from(state.payment_worker.clone()))
        .app_data(Data::new(state.database.clone()))
        .app_data(Data::new(state))
        .configure(|config| endpoint::configure(&parts.table, config))
        .configure(handlers::configure_health)
        .configure(metrics::configure)
        .configure(|config| openapi::configure(parts.document.clone(), config));
}
