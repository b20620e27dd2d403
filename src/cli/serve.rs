//! `serve`: the service, until it is told to stop.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Ctx, input, output};
use crate::{
    app::{App, Open},
    code::{Code, Fault},
    config::Config,
    log::cluster::Role,
    store::Place,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "GOODSTANDING_LISTEN")]
    listen: Option<SocketAddr>,
    /// Settings as TOML; flags and environment come before it
    #[arg(long, value_name = "FILE", env = "GOODSTANDING_CONFIG")]
    config: Option<PathBuf>,
    /// URL that tokens name as their issuer; fixed when the data directory is made [default: `http://LISTEN`]
    #[arg(long, value_name = "URL", env = "GOODSTANDING_ISSUER")]
    issuer: Option<String>,
    /// What this process does of those that share a database on a server: answer and write in turn, only answer, or only write
    /// in turn
    #[arg(long, value_enum, env = "GOODSTANDING_ROLE")]
    role: Option<Role>,
    /// Name of the log; fixed when the data directory is made [default: the issuer without its scheme]
    #[arg(long, value_name = "NAME", env = "GOODSTANDING_ORIGIN")]
    origin: Option<String>,
}

impl Args {
    /// The settings: file, then environment and flags.
    fn settings(self, ctx: &Ctx) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            None => Config::default(),
            Some(path) => {
                let text = input::text(&path.to_string_lossy())?;
                Config::parse(&text).map_err(|e| {
                    let why = e.to_string();
                    let detail = format!("{}: {}", path.display(), why.trim_end());
                    Fault::new(Code::ConfigInvalid, detail)
                })?
            }
        };
        if let Some(data) = &ctx.data {
            config.data.clone_from(data);
        }
        if ctx.database_url.is_some() {
            config.database_url.clone_from(&ctx.database_url);
        }
        config.role = self.role.unwrap_or(config.role);
        if config.role != Role::All && config.database_url.is_none() {
            let detail = "--role is for processes that share a database on a server; name it with --database-url";
            return Err(Fault::new(Code::ConfigInvalid, detail).into());
        }
        config.listen = self.listen.unwrap_or(config.listen);
        // Paths are appended to it.
        config.issuer = self
            .issuer
            .or(config.issuer)
            .map(|issuer| issuer.trim_end_matches('/').to_owned());
        config.origin = self.origin.or(config.origin);
        Ok(config)
    }
}

pub(super) async fn run(ctx: Ctx, args: Args) -> anyhow::Result<()> {
    let mut config = args.settings(&ctx)?;
    let listener = listen(config.listen).await?;
    config.listen = listener
        .local_addr()
        .map_err(|e| cannot_listen(config.listen, &e))?;
    let place = Place::of(&config.data, config.database_url.as_deref())?;
    // On a server, what it is called is a decision for the whole cluster.
    let is_new = !place.exists();
    let open = Open {
        create: true,
        issuer: config
            .issuer
            .clone()
            .or_else(|| is_new.then(|| default_issuer(config.listen))),
        origin: config.origin.clone(),
        database_url: config.database_url.clone(),
        role: config.role,
        connections: config.database_connections,
        queue: config.queue,
        token_life_s: config.token_life_s,
        ..Open::new(&config.data)
    };
    let app = App::open(open).await?;
    tracing::info!(listen = %config.listen, issuer = app.issuer, data = %config.data.display(), "serving");
    if ctx.json
        && let Err(error) = ready(&app, config.listen)
    {
        // Whoever started it would wait for that line for ever.
        app.close().await;
        return Err(error);
    }
    let stop = CancellationToken::new();
    let mut signals = JoinSet::new();
    signals.spawn(stop_on_signal(stop.clone()));
    let served = crate::http::serve(app.clone(), config, listener, stop).await;
    app.close().await;
    tracing::info!("stopped");
    served
}

/// Listens, or says on which address it could not.
pub(super) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    Ok(bound.map_err(|e| cannot_listen(address, &e))?)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Fault {
    Fault::new(Code::ListenFailed, format!("{address}: {error}"))
}

/// One line for the program that started the service: it takes connections from now on, and this is what it is.
fn ready(app: &App, listen: SocketAddr) -> anyhow::Result<()> {
    let head = app.log.shared().head.borrow().as_ref().map(|h| h.size);
    let line = json!({
        "ready": true,
        "address": listen.to_string(),
        "issuer": app.issuer,
        "origin": app.signer.origin(),
        "log_size": head.unwrap_or(0),
        "version": env!("CARGO_PKG_VERSION"),
    });
    output::say!("{line}");
    Ok(())
}

/// What tokens call the issuer if nobody says otherwise.
pub(super) fn default_issuer(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        format!("http://localhost:{}", listen.port())
    } else {
        format!("http://{listen}")
    }
}

/// The first signal asks the service to finish, a second one ends it at once: the log survives that too.
pub(super) async fn stop_on_signal(stop: CancellationToken) {
    signal().await;
    stop.cancel();
    signal().await;
    std::process::exit(1);
}

/// Waits for Ctrl-C or a request to terminate.
async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
