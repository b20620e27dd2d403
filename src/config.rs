//! Typed settings of a running service, with their defaults.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::log::cluster::Role;

/// Who may read reports, agents, statements and salts over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everyone.
    #[default]
    Public,
    /// Who has the role `auditor`; an agent reads its own.
    Auditors,
}

/// What `serve` can be told, by file (TOML), by environment or by flag.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Data directory.
    pub data: PathBuf,
    /// `postgres://…`; `None` = a SQLite file in the data directory.
    pub database_url: Option<String>,
    /// What this process does of those that share a database on a server.
    pub role: Role,
    /// Connections for reading to a database on a server; up to seven more write, lead, send and listen.
    pub database_connections: u32,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Issuer URL, fixed when the data directory is made; `None` = `http://<listen>`.
    pub issuer: Option<String>,
    /// Log origin, fixed when the data directory is made; `None` = the issuer without its scheme.
    pub origin: Option<String>,
    /// Reports waiting for the writer, in jobs of at most 256 reports.
    pub queue: usize,
    /// Reports a minute that one address may send, and its burst.
    pub reports_per_minute: u32,
    /// Seconds between epochs; 0 = only on demand.
    pub epoch_interval_s: u64,
    /// Life of a token, seconds.
    pub token_life_s: u64,
    /// How long to finish open requests after a stop signal, seconds.
    pub drain_s: u64,
    /// Who may read reports, agents, statements and salts.
    pub visibility: Visibility,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("goodstanding-data"),
            database_url: None,
            role: Role::default(),
            database_connections: 8,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            issuer: None,
            origin: None,
            queue: 256,
            reports_per_minute: 20_000,
            epoch_interval_s: 3600,
            token_life_s: 86_400,
            drain_s: 10,
            visibility: Visibility::Public,
        }
    }
}

impl Config {
    /// Parses a TOML file's text.
    ///
    /// # Errors
    /// When a name is unknown or a value does not fit.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// [`Self::drain_s`] as a duration.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults_and_unknown_names_are_refused() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
        assert_eq!(Config::parse("queue = 7").unwrap().queue, 7);
        assert!(Config::parse("quue = 7").is_err());
        let visibility = |text: &str| Config::parse(text).map(|c| c.visibility);
        assert_eq!(
            visibility("visibility = 'auditors'"),
            Ok(Visibility::Auditors)
        );
        assert!(visibility("visibility = 'nobody'").is_err());
    }
}
