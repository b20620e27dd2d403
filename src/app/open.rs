//! How a log is opened.

use std::path::{Path, PathBuf};

use crate::{clock::Clock, log::cluster::Role};

/// How to open a data directory.
#[derive(Clone, Debug)]
pub struct Open {
    /// The directory.
    pub data: PathBuf,
    /// `postgres://…`; `None` = a SQLite file in the directory.
    pub database_url: Option<String>,
    /// What this process does of those that share a database on a server.
    pub role: Role,
    /// Connections for reading to a database on a server.
    pub connections: u32,
    /// Make it when it is not there.
    pub create: bool,
    /// Issuer URL of a new directory; must be the stored one of an old directory.
    pub issuer: Option<String>,
    /// Origin of a new directory; must be the stored one of an old directory.
    pub origin: Option<String>,
    /// Log time of a new log's first entries, Unix milliseconds; `None` = now. Imports of old trades begin the log when those began.
    pub begin_ms: Option<u64>,
    /// The clock.
    pub clock: Clock,
    /// Jobs that may wait for the writer.
    pub queue: usize,
    /// Life of a token, seconds.
    pub token_life_s: u64,
    /// Open it also when a key file is missing, to replace that key or to end the log.
    pub repair: bool,
}

impl Open {
    /// The usual way to open `data`.
    pub fn new(data: &Path) -> Self {
        let config = crate::config::Config::default();
        Self {
            data: data.to_owned(),
            database_url: None,
            role: Role::default(),
            connections: config.database_connections,
            create: false,
            issuer: None,
            origin: None,
            begin_ms: None,
            clock: Clock::System,
            queue: config.queue,
            token_life_s: config.token_life_s,
            repair: false,
        }
    }
}
