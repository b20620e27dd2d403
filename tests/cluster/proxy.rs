//! The network between processes and PostgreSQL, as bad as one likes: cut, half closed, silent or slow.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    sync::{broadcast, watch},
    task::JoinSet,
};

/// What becomes of bytes from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// They pass.
    Clear,
    /// They pass, each piece this much later.
    Slow(Duration),
    /// Connections are accepted and stay open, and nothing passes.
    Stalled,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// What happens to the connections that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Both ends get a RST.
    Reset,
    /// One end is told that the other has nothing more to say, in the middle of whatever it was saying.
    Half(Way),
    /// The network forgets them: they stay open, and nothing passes ever again. New ones are as good as any.
    Forget,
}

/// One network between some processes and the server.
pub(crate) struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    cuts: broadcast::Sender<Cut>,
    // Whoever holds the connections; they end with this.
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// To the server of this URL.
    pub(crate) async fn to(server: &str) -> Self {
        let server = reqwest::Url::parse(server).unwrap();
        let address = (
            server.host_str().unwrap().to_owned(),
            server.port().unwrap(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (weather, _) = watch::channel(Weather::Clear);
        let (cuts, _) = broadcast::channel(64);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, address, weather.clone(), cuts.clone()));
        Self {
            port,
            weather,
            cuts,
            _accepting: accepting,
        }
    }

    /// The same database, through this network.
    pub(crate) fn url(&self, database: &str) -> String {
        let mut url = reqwest::Url::parse(database).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    pub(crate) fn cut(&self, cut: Cut) {
        // Nobody is connected: nothing to cut.
        let _ = self.cuts.send(cut);
    }
}

async fn accept(
    listener: TcpListener,
    server: (String, u16),
    weather: watch::Sender<Weather>,
    cuts: broadcast::Sender<Cut>,
) {
    let server = Arc::new(server);
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (server, weather) = (server.clone(), weather.subscribe());
        let (there, back) = (cuts.subscribe(), cuts.subscribe());
        connections.spawn(async move {
            // A server that is down refuses; the client sees its connection end.
            let Ok(server) = TcpStream::connect((&*server.0, server.1)).await else {
                let _ = client.set_zero_linger();
                return;
            };
            connect(client, server, weather, there, back).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Carries both ways until both have ended or the connection is reset.
async fn connect(
    mut client: TcpStream,
    mut server: TcpStream,
    weather: watch::Receiver<Weather>,
    there: broadcast::Receiver<Cut>,
    back: broadcast::Receiver<Cut>,
) {
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let reset = {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let ways = tokio::try_join!(
            carry(
                &mut from_client,
                &mut to_server,
                Way::ToServer,
                weather.clone(),
                there
            ),
            carry(
                &mut from_server,
                &mut to_client,
                Way::ToClient,
                weather,
                back
            ),
        );
        ways.is_err()
    };
    if reset {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

/// The connection is to be reset.
struct Reset;

/// Carries one way until its source ends, or it is cut.
async fn carry(
    from: &mut tcp::ReadHalf<'_>,
    to: &mut tcp::WriteHalf<'_>,
    way: Way,
    mut weather: watch::Receiver<Weather>,
    mut cuts: broadcast::Receiver<Cut>,
) -> Result<(), Reset> {
    {
        let passing = pass(from, to, &mut weather);
        tokio::pin!(passing);
        loop {
            tokio::select! {
                passed = &mut passing => {
                    if passed.is_err() {
                        return Err(Reset);
                    }
                    break;
                }
                cut = cuts.recv() => match cut {
                    Ok(Cut::Half(half)) if half == way => break,
                    Ok(Cut::Half(_)) => {}
                    Ok(Cut::Forget) => std::future::pending().await,
                    Ok(Cut::Reset) | Err(_) => return Err(Reset),
                }
            }
        }
    }
    let _ = to.shutdown().await;
    Ok(())
}

/// Carries bytes as the weather allows.
async fn pass(
    from: &mut tcp::ReadHalf<'_>,
    to: &mut tcp::WriteHalf<'_>,
    weather: &mut watch::Receiver<Weather>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // Also the end has to come through.
        let now = *weather
            .wait_for(|weather| *weather != Weather::Stalled)
            .await
            .map_err(std::io::Error::other)?;
        if let Weather::Slow(by) = now {
            tokio::time::sleep(by).await;
        }
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
