//! `demo`: the whole story on an empty machine.

mod market;
mod random;
mod shell;
mod story;
mod tokens;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Ctx,
    client::Client,
    output::{self, Usage, say, unreadable, unwritable},
    serve::{default_issuer, listen, stop_on_signal},
};
use crate::{
    app::{App, Open},
    config::Config,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// End after the story instead of leaving the service running
    #[arg(long)]
    exit: bool,
}

pub(super) async fn run(ctx: Ctx, args: Args) -> anyhow::Result<()> {
    let listener = pick_listener(args.listen).await?;
    let data = match &ctx.data {
        Some(data) => empty(data)?,
        None => fresh()?,
    };
    let address = listener.local_addr()?;
    let url = default_issuer(address);
    let config = Config {
        data: data.clone(),
        listen: address,
        ..Config::default()
    };
    let app = App::open(Open {
        create: true,
        issuer: Some(url.clone()),
        ..Open::new(&data)
    })
    .await?;
    let stop = CancellationToken::new();
    let mut service = JoinSet::new();
    service.spawn(crate::http::serve(
        app.clone(),
        config,
        listener,
        stop.clone(),
    ));
    let mut signals = JoinSet::new();
    signals.spawn(stop_on_signal(stop.clone()));
    let told = tell(&ctx, &app, &url, &data, stop.clone(), args.exit).await;
    if told.is_ok() && !args.exit && !stop.is_cancelled() {
        if !ctx.json {
            say!("\nThe service keeps running at {url}. Ctrl-C ends it.");
        }
        stop.cancelled().await;
    }
    if !ctx.json {
        say!("\nThe demo's data stays in {}", data.display());
    }
    stop.cancel();
    let served = service.join_next().await;
    app.close().await;
    told?;
    match served {
        Some(Ok(served)) => served,
        Some(Err(error)) => Err(error.into()),
        None => Ok(()),
    }
}

/// Tells the story, unless Ctrl-C ends it first.
async fn tell(
    ctx: &Ctx,
    app: &Arc<App>,
    url: &str,
    data: &Path,
    stop: CancellationToken,
    leaves: bool,
) -> anyhow::Result<()> {
    let client = Client::new(url)?;
    let story = story::Story::new(app, &client, url, data, ctx.json, leaves);
    let outcome = tokio::select! {
        outcome = story.tell() => outcome?,
        () = stop.cancelled() => return Ok(()),
    };
    if ctx.json {
        output::json(&outcome)
    } else {
        Ok(())
    }
}

/// A directory of the user's, which must not hold anything.
fn empty(data: &Path) -> anyhow::Result<PathBuf> {
    match std::fs::read_dir(data) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                let why = format!(
                    "{} is not empty; the demo begins with nothing. Name a new directory, or none",
                    data.display()
                );
                return Err(Usage(why).into());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(data.display(), &error).into()),
    }
    std::fs::create_dir_all(data).map_err(|e| unwritable(data.display(), &e))?;
    Ok(std::path::absolute(data)?)
}

/// A new directory among the temporary ones, for this user only.
fn fresh() -> anyhow::Result<PathBuf> {
    let mut name = [0; 6];
    getrandom::fill(&mut name).map_err(crate::keys::Error::Random)?;
    let name = name
        .iter()
        .fold(String::from("goodstanding-demo-"), |name, byte| {
            format!("{name}{byte:02x}")
        });
    let path = std::env::temp_dir().join(name);
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(&path)
        .map_err(|e| unwritable(path.display(), &e))?;
    Ok(path)
}

/// The address asked for; else the usual one, or a free port if somebody has it.
async fn pick_listener(asked: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    if let Some(address) = asked {
        return listen(address).await;
    }
    match TcpListener::bind(Config::default().listen).await {
        Ok(listener) => Ok(listener),
        Err(_) => listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await,
    }
}
