//! Where a database is: a file in the data directory, or a PostgreSQL server.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Error, Store,
    postgres::{PostgresStore, snapshot::PostgresSnapshot},
    snapshot::Snapshot,
    sqlite::{self, SqliteStore, snapshot::SqliteSnapshot},
};

/// Where a database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file.
    File(PathBuf),
    /// `postgres://…`
    Server(String),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For people, and without the password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server(url) => match url.split_once("://") {
                Some((scheme, rest)) => write!(f, "{scheme}://{}", without_secrets(rest)),
                None => f.write_str("postgres://"),
            },
        }
    }
}

/// Server and database of a URL, without what comes before and after: either may have a password.
fn without_secrets(rest: &str) -> &str {
    let (shown, parameters) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    match shown.rsplit_once('@') {
        // A password that is not encoded can have any of these characters: nobody knows then where it ends.
        _ if parameters.contains('@') => "…",
        Some((_, shown)) => shown,
        None => shown,
    }
}

impl Place {
    /// The database of a data directory: at `url`, or a file in it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the URL is of another kind of database.
    pub fn of(data: &Path, url: Option<&str>) -> Result<Self, Error> {
        match url {
            None => Ok(Self::File(data.join(sqlite::FILE))),
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::Server(url.to_owned()))
            }
            Some(_) => Err(Error::Unsupported(
                "a database URL begins with postgres://".to_owned(),
            )),
        }
    }

    /// Whether there is something: a server is asked only when it is opened.
    pub fn exists(&self) -> bool {
        match self {
            Self::File(path) => path.exists(),
            Self::Server(_) => true,
        }
    }

    /// Opens it for reading only, beside whoever writes to it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn reader(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(match self {
            Self::File(path) => Arc::new(SqliteStore::open_reader(path).await?),
            Self::Server(url) => Arc::new(PostgresStore::connect_reader(url).await?),
        })
    }

    /// What it contains now, read beside whoever writes to it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be read, [`Error::Corrupt`] when it is no database.
    pub async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        match self {
            Self::File(path) => Ok(Box::new(SqliteSnapshot::open(path).await?)),
            Self::Server(url) => Ok(Box::new(PostgresSnapshot::open(url).await?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_without_its_password() {
        let data = Path::new("data");
        let place = |url| Place::of(data, Some(url)).unwrap();
        for url in [
            "postgres://me:secret@db.example:5432/goodstanding",
            "postgresql://me:se@cret@db.example/goodstanding?password=secret",
        ] {
            let shown = format!("{0} {0:?}", place(url));
            assert!(shown.contains("db.example"), "{shown}");
            assert!(!shown.contains("cret"), "{shown}");
        }
        for url in [
            "postgres://db.example/goodstanding?user=me&password=pre@secret",
            "postgres://me:pre?secret@db.example/goodstanding",
            "postgres://me:pre#secret@db.example/goodstanding",
            "postgres://me:pre/@secret?pre@db.example/goodstanding",
        ] {
            let shown = format!("{0} {0:?}", place(url));
            assert_eq!(shown, "postgres://… postgres://…");
        }
        assert!(Place::of(data, Some("mysql://db")).is_err());
        assert_eq!(
            Place::of(data, None).unwrap().to_string(),
            format!("data/{}", sqlite::FILE)
        );
    }
}
