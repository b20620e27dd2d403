//! The two ends of a move, and holding on to them: while one is held, nobody else writes to it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    app,
    code::{Code, Fault},
    log::cluster::LEASE,
    store::{
        Place, Store as _,
        cluster::{Cluster as _, Term},
        postgres::{Options, PostgresStore},
        sqlite::FILE,
    },
};

/// How often the one that holds a PostgreSQL database says so.
const BEAT: std::time::Duration = std::time::Duration::from_millis(500);
/// How long to try for the lead: one that was just given up is seen with the next look.
const TRIES: u32 = 10;

/// An end of a move.
#[derive(Clone, PartialEq, Eq)]
pub enum End {
    /// A data directory with a SQLite file: `sqlite:DIR`.
    Directory(PathBuf),
    /// `postgres://…`
    Server(String),
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err("sqlite: is followed by a data directory".to_owned()),
            Some(data) => Ok(Self::Directory(data.into())),
            None if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                Ok(Self::Server(text.to_owned()))
            }
            // The text is not repeated: it may be a URL with a password.
            None => Err("an end is sqlite:DIR or postgres://…".to_owned()),
        }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.place(), f)
    }
}

impl End {
    /// The database.
    pub fn place(&self) -> Place {
        match self {
            Self::Directory(data) => Place::File(data.join(FILE)),
            Self::Server(url) => Place::Server(url.clone()),
        }
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(data) => Some(data),
            Self::Server(_) => None,
        }
    }
}

/// An end that nobody else writes to.
#[derive(Debug)]
pub(super) struct Held {
    /// Of the directory with the database, or with the keys of one on a server.
    lock: Option<fs::File>,
    lead: Option<Lead>,
}

#[derive(Debug)]
struct Lead {
    store: Arc<PostgresStore>,
    term: Term,
    beating: JoinSet<()>,
    lost: CancellationToken,
}

impl Held {
    /// Takes an end. `data` is the directory beside it; that of a server that is a target is the source's and held there.
    ///
    /// # Errors
    /// `data.locked` when somebody uses it.
    pub(super) async fn take(end: &End, data: &Path) -> Result<Self, Fault> {
        match end {
            End::Directory(data) => Ok(Self {
                lock: Some(app::lock(data)?),
                lead: None,
            }),
            End::Server(url) => Ok(Self {
                lock: None,
                lead: Some(Lead::take(url, data).await?),
            }),
        }
    }

    /// The store that was taken with the lead.
    pub(super) fn store(&self) -> Option<&PostgresStore> {
        self.lead.as_ref().map(|lead| lead.store.as_ref())
    }

    /// Returns when somebody took it away.
    pub(super) async fn lost(&self) -> Fault {
        match &self.lead {
            None => std::future::pending().await,
            Some(lead) => {
                lead.lost.cancelled().await;
                lost()
            }
        }
    }

    /// That nobody has taken it away, as far as is known.
    pub(super) fn still(&self) -> Result<(), Fault> {
        match &self.lead {
            Some(lead) if lead.lost.is_cancelled() => Err(lost()),
            _ => Ok(()),
        }
    }

    pub(super) async fn release(&mut self) {
        if let Some(mut lead) = self.lead.take() {
            lead.beating.shutdown().await;
            lead.store.resign(lead.term).await;
            lead.store.close().await;
        }
        self.lock.take();
    }
}

fn lost() -> Fault {
    Fault::new(
        Code::DataLocked,
        "the database was taken over by another process, or cannot be reached any more",
    )
}

impl Lead {
    async fn take(url: &str, _data: &Path) -> Result<Self, Fault> {
        let store = Arc::new(PostgresStore::connect(url, Options::default()).await?);
        let mut turn = None;
        for _ in 0..TRIES {
            turn = store.lead_marked(LEASE).await?;
            if turn.is_some() {
                break;
            }
            tokio::time::sleep(BEAT).await;
        }
        let Some(turn) = turn else {
            store.close().await;
            let holder = "a process writes to this database: stop every service on it";
            return Err(Fault::new(Code::DataLocked, holder));
        };
        let lost = CancellationToken::new();
        let mut beating = JoinSet::new();
        let (beaten, told, term) = (store.clone(), lost.clone(), turn.term);
        beating.spawn(async move {
            while matches!(beaten.beat(term).await, Ok(true)) {
                tokio::time::sleep(BEAT).await;
            }
            told.cancel();
        });
        Ok(Self {
            store,
            term,
            beating,
            lost,
        })
    }
}
