//! The command `tradeline create-business`: it creates a business and its first admin.
//!
//! It needs no platform token: everyone who can connect as the service's role has the same rights.

use std::io::{self, BufRead, IsTerminal, Read};

use domain::foundation::new_password::{NewPassword, WeakPassword};
use domain::identity::founding::{self, Founded, NewBusiness};
use domain::identity::passwords::Passwords;
use domain::{PlatformCaller, StoredResponse, WriteRequest};
use entity::UserId;
use uuid::Uuid;

use crate::commands::database_choice;
use crate::config::BusinessRequest;
use crate::config::Settings;

/// The most bytes that are read of a password. The longest valid password has fewer.
const PASSWORD_BYTES: u64 = 4096;

/// Why no business was created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The password is too weak.
    #[error("the password {0}")]
    Password(#[from] WeakPassword),
    /// The two passwords that were typed differ.
    #[error("the two passwords differ: no business was created")]
    Differ,
    /// The password cannot be read.
    #[error("the password cannot be read from standard input: {0}")]
    Input(#[from] io::Error),
    /// There is no database, or it cannot be used.
    #[error(transparent)]
    DatabaseChoice(#[from] database_choice::Error),
    /// The slug is taken, or the database did not answer.
    #[error("the business {slug} was not created: {source}")]
    Refused {
        /// The slug of the business.
        slug: String,
        /// The domain's error.
        source: domain::Error,
    },
    /// The embedded server did not stop.
    #[error(transparent)]
    Server(#[from] embedded::Error),
}

/// Reads the admin's password: typed twice on a terminal without echo, otherwise the first line of standard input. It
/// is never an argument, which every user of the machine could see.
///
/// # Errors
/// See [`Error`].
pub fn read_password() -> Result<NewPassword, Error> {
    let stdin = io::stdin();
    let text = if stdin.is_terminal() {
        let typed = rpassword::prompt_password("Password of the admin: ")?;
        if rpassword::prompt_password("Again: ")? != typed {
            return Err(Error::Differ);
        }
        typed
    } else {
        let mut line = String::new();
        stdin.lock().take(PASSWORD_BYTES).read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    Ok(NewPassword::new(&text)?)
}

/// Creates the business, and returns the message for the operator.
///
/// # Errors
/// See [`Error`].
pub async fn create(
    settings: &Settings,
    request: BusinessRequest,
    password: NewPassword,
) -> Result<String, Error> {
    let new = NewBusiness {
        slug: request.slug.0,
        name: request.name.0,
        currency: request.currency,
        time_zone: request.time_zone,
        admin_email: request.admin_email.into_string(),
        admin_password: password,
    };
    let platform = PlatformCaller {
        user_id: UserId(Uuid::nil()),
        request_id: "create-business".to_owned(),
    };
    let said = |founded: &Founded| {
        let text = format!(
            "created the business {} with the id {}; its admin {} logs in with that slug and the password",
            founded.business.slug, founded.business.id, founded.admin.email
        );
        StoredResponse::new(text.into_bytes())
    };
    let write = WriteRequest {
        caller: &platform,
        key: None,
        render: &said,
    };
    let (database, server) = database_choice::open_as_service(settings).await?;
    let passwords = Passwords::default();
    let made = founding::create(&database, &passwords, &write, &new).await;
    database.close().await;
    if let Some(server) = server {
        server.stop().await?;
    }
    let slug = new.slug;
    let made = made.map_err(|source| Error::Refused { slug, source })?;
    Ok(String::from_utf8_lossy(made.response().bytes()).into_owned())
}
