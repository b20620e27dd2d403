//! The two ends of a move, and holding on to them: while one is held, nobody else writes to it.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    code::{Code, Fault},
    log::cluster::LEASE,
    store::{
        Place, Store as _,
        cluster::{Cluster as _, Term, Turn},
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

/// The lead of a PostgreSQL database, held: nobody else writes to it.
#[derive(Debug)]
pub(super) struct Lead {
    /// What it writes is refused once the lead is lost.
    pub(super) store: Arc<PostgresStore>,
    term: Term,
    beating: JoinSet<()>,
    lost: CancellationToken,
}

fn lost() -> Fault {
    Fault::new(
        Code::DataLocked,
        "the database was taken over by another process, or cannot be reached any more",
    )
}

impl Lead {
    /// Takes the lead of an end that is on a server.
    ///
    /// # Errors
    /// `data.locked` when somebody has it.
    pub(super) async fn of(end: &End) -> Result<Option<Self>, Fault> {
        let End::Server(url) = end else {
            return Ok(None);
        };
        let store = Arc::new(PostgresStore::connect(url, Options::default()).await?);
        let mut turn = store.lead_marked(LEASE).await?;
        for _ in 0..TRIES {
            if turn.is_none() {
                tokio::time::sleep(BEAT).await;
                turn = store.lead_marked(LEASE).await?;
            }
        }
        let Some(Turn { term, .. }) = turn else {
            store.close().await;
            let why = "a process writes to this database: stop every service on it";
            return Err(Fault::new(Code::DataLocked, why));
        };
        let lost = CancellationToken::new();
        let mut beating = JoinSet::new();
        let (beaten, told) = (store.clone(), lost.clone());
        beating.spawn(async move {
            while matches!(beaten.beat(term).await, Ok(true)) {
                tokio::time::sleep(BEAT).await;
            }
            told.cancel();
        });
        Ok(Some(Self {
            store,
            term,
            beating,
            lost,
        }))
    }

    /// Returns when somebody took it away.
    pub(super) async fn lost(lead: Option<&Self>) -> Fault {
        match lead {
            None => std::future::pending().await,
            Some(lead) => {
                lead.lost.cancelled().await;
                lost()
            }
        }
    }

    /// That nobody has taken it away, as far as is known.
    pub(super) fn still(&self) -> Result<(), Fault> {
        if self.lost.is_cancelled() {
            Err(lost())
        } else {
            Ok(())
        }
    }

    /// Gives it back.
    pub(super) async fn release(mut self) {
        self.beating.shutdown().await;
        self.store.resign(self.term).await;
        self.store.close().await;
    }
}
