//! Schemas: the reading of requests and the description of responses.
//!
//! The folder holds the parsers of text, bodies and queries, problems, idempotency keys, the endpoint table and its
//! OpenAPI document. The parsers report all faults at once. It may use `domain` and `entity`, and no other folder.

pub mod body;
pub mod canonical;
pub mod contact;
pub mod content_negotiation;
pub mod csv_body;
pub mod csv_dialect;
pub mod csv_text;
pub mod cursor_seal;
pub mod endpoint;
pub mod faults;
pub mod form;
pub mod idempotency;
pub mod image_url;
pub mod metadata;
pub mod next;
pub mod openapi;
pub mod path;
pub mod picture_body;
pub mod problem;
pub mod query;
pub mod response;
pub mod text;
