//! The `tradeline` program: it reads the settings and runs a command.

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use chrono::Utc;
use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tradeline::access::token::Keys;
use tradeline::app;
use tradeline::commands::create_business;
use tradeline::commands::database_choice::{self, DatabaseChoice};
use tradeline::config::{
    self, BusinessRequest, Cli, Command, MigrateAction, MigrateRequest, Settings, TokenRequest,
    unknown_variables,
};
use tradeline::http::log;
use tradeline::schema::openapi;
use tradeline::service::Service;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    // Has an effect only in the tests' build: it sets up the points at which the process stops, named in FAILPOINTS.
    let _failpoints = fail::FailScenario::setup();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage_error(&error),
    };
    let settings = &cli.settings;
    let outcome = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(settings).await,
        Command::Token(request) => token(settings, &request),
        Command::Verify => return verify(settings).await,
        Command::Migrate(request) => migrate(settings, &request).await,
        Command::CreateBusiness(request) => create_business(settings, request).await,
        Command::RenumberAudit => renumber_audit(settings).await,
        Command::Openapi => print_openapi(),
        Command::DatabaseUrl => database_url(settings),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(settings.log, error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// Prints the error in the command line, or the requested help.
fn usage_error(error: &clap::Error) -> ExitCode {
    let asked_for = error.exit_code() == 0;
    if log::Format::before_the_settings() == log::Format::Json && !asked_for {
        eprintln!("{}", log::json_line("ERROR", error.to_string().trim_end()));
    } else if let Err(error) = error.print() {
        eprintln!("tradeline: {error}");
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Prints an error and its causes to standard error.
fn print_error(format: log::Format, error: &dyn std::error::Error) {
    let said = log::with_causes(error);
    match format {
        log::Format::Json => eprintln!("{}", log::json_line("ERROR", &said)),
        log::Format::Pretty => eprintln!("tradeline: {said}"),
    }
}

/// Starts the log, and warns about unknown environment variables.
fn start_log(settings: &Settings) -> Result<(), log::LogError> {
    log::start(settings.log)?;
    for unknown in unknown_variables(std::env::vars_os()) {
        tracing::warn!("{unknown}");
    }
    Ok(())
}

/// Unlike other commands, it has three exit codes: 0 without differences, 1 with differences, 2 if verification failed.
async fn verify(settings: &Settings) -> ExitCode {
    match tradeline::commands::verify::once(settings, &mut std::io::stdout()).await {
        Ok(outcome) if outcome.found() == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            print_error(settings.log, &error);
            ExitCode::from(2)
        }
    }
}

async fn renumber_audit(settings: &Settings) -> Outcome {
    println!(
        "{}",
        tradeline::commands::renumber_audit::audit(settings).await?
    );
    Ok(())
}

/// Runs until a signal stops it, or until its embedded database server ends.
async fn serve(settings: &Settings) -> Outcome {
    start_log(settings)?;
    allow_many_files();
    let checked = settings.check().await?;
    // The address is bound before anything is created, so that a taken address is reported at once.
    let listener = TcpListener::bind(settings.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", settings.listen))?;
    listener.set_nonblocking(true)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let mut choice = DatabaseChoice::open(settings).await?;
    let (url, secret) = (&choice.url, &choice.jwt_secret);
    let service = Service::start_checked(settings, checked, url, secret, listener).await?;
    announce(
        settings.log,
        &format!("Tradeline listens on http://{}", service.address),
    );
    if choice.has_demo {
        announce(
            settings.log,
            &format!(
                "The store of the demo is at {}",
                page_of_demo(settings, service.address, "/shop/acme")
            ),
        );
        announce(
            settings.log,
            &format!(
                "The back office of the demo is at {}",
                page_of_demo(settings, service.address, "/office/acme")
            ),
        );
    }
    if choice.has_demo && !settings.listen.ip().is_loopback() {
        tracing::warn!(
            "the embedded database has demo logins that everyone knows, and others can reach this address"
        );
    }

    let database_gone = async {
        match &mut choice.server {
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
        && let Some(server) = choice.server
    {
        server.stop().await?;
    }
    outcome
}

/// The address of a page of the demo, as browsers reach it.
fn page_of_demo(settings: &Settings, listens: SocketAddr, path: &str) -> String {
    let site = match &settings.public_url {
        Some(url) => url.as_str().to_owned(),
        None => format!("http://{listens}"),
    };
    format!("{site}{path}")
}

/// Prints to standard output that the service listens. The line is JSON if the log is, since many collect both outputs
/// as one log.
fn announce(format: log::Format, message: &str) {
    match format {
        log::Format::Json => println!("{}", log::json_line("INFO", message)),
        log::Format::Pretty => println!("{message}"),
    }
}

/// Raises the soft limit of open files, usually 1,024, to the hard limit. Each client connection takes two files.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the number of open files cannot be raised");
    }
}

fn token(settings: &Settings, request: &TokenRequest) -> Outcome {
    let keys = Keys::new(config::jwt_secret(settings)?.reveal().as_bytes())?;
    println!("{}", request.sign(&keys, Utc::now())?);
    Ok(())
}

async fn migrate(settings: &Settings, request: &MigrateRequest) -> Outcome {
    start_log(settings)?;
    let action = request.action.unwrap_or(MigrateAction::Up);
    Ok(tradeline::commands::migrate::run(settings, action, &mut std::io::stdout()).await?)
}

async fn create_business(settings: &Settings, request: BusinessRequest) -> Outcome {
    start_log(settings)?;
    let password = create_business::read_password()?;
    println!(
        "{}",
        create_business::create(settings, request, password).await?
    );
    Ok(())
}

fn print_openapi() -> Outcome {
    println!("{}", openapi::document(&app::table()?)?.to_pretty_json()?);
    Ok(())
}

fn database_url(settings: &Settings) -> Outcome {
    println!("{}", database_choice::url_of_running(settings)?);
    Ok(())
}
