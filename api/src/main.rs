//! The `tradeline` program: reads the settings and does what it is told.

use std::net::TcpListener;
use std::process::ExitCode;

use chrono::Utc;
use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tradeline::backend::{self, Backend};
use tradeline::config::{Cli, Command, Settings, TokenRequest};
use tradeline::service::Service;
use tradeline::token::Keys;
use tradeline::{app, log, openapi};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    // Only in the tests' build is there anything to set up: places at which it stops, named in FAILPOINTS.
    let _failpoints = fail::FailScenario::setup();
    let cli = Cli::parse();
    let outcome = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(&cli.settings).await,
        Command::Token(request) => token(&cli.settings, &request),
        Command::Verify => return verify(&cli.settings).await,
        Command::Openapi => print_openapi(),
        Command::DatabaseUrl => database_url(&cli.settings),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// Says what went wrong, and why.
fn complain(error: &dyn std::error::Error) {
    eprint!("tradeline: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
}

/// Unlike other commands it has three ends: that the books do not add up is no failure to look.
async fn verify(settings: &Settings) -> ExitCode {
    match tradeline::verify::once(settings, &mut std::io::stdout()).await {
        Ok(outcome) if outcome.found() == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

/// Runs until it is told to stop, or until its own database server is gone.
async fn serve(settings: &Settings) -> Outcome {
    log::start(settings.log)?;
    allow_many_files();
    // Before anything else: an address that is taken is said at once.
    let listener = TcpListener::bind(settings.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", settings.listen))?;
    listener.set_nonblocking(true)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let mut backend = Backend::open(settings).await?;
    let service = Service::start(settings, &backend.url, &backend.jwt_secret, listener).await?;
    println!("Tradeline listens on http://{}", service.address);
    if backend.server.is_some() && !settings.listen.ip().is_loopback() {
        tracing::warn!(
            "the embedded database has demo logins that everyone knows, and others can reach this address"
        );
    }

    let database_gone = async {
        match &mut backend.server {
            Some(server) => server.exited().await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        status = database_gone => Err(format!("the embedded database ended by itself: {status:?}").into()),
    };
    tracing::info!("stopping: requests in flight finish first");
    service.stop().await;
    if outcome.is_ok()
        && let Some(server) = backend.server
    {
        server.stop().await?;
    }
    outcome
}

/// Every connection of a client takes two files, and the usual limit of 1,024 is soft: a program may raise its own.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the number of open files cannot be raised");
    }
}

fn token(settings: &Settings, request: &TokenRequest) -> Outcome {
    let keys = Keys::new(backend::jwt_secret(settings)?.reveal().as_bytes())?;
    println!("{}", request.sign(&keys, Utc::now())?);
    Ok(())
}

fn print_openapi() -> Outcome {
    println!("{}", openapi::document(&app::table()?)?.to_pretty_json()?);
    Ok(())
}

fn database_url(settings: &Settings) -> Outcome {
    println!("{}", backend::url_of_running(settings)?);
    Ok(())
}
