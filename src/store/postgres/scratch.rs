//! Schemas for a while, in a database that belongs to somebody: made, brought up to date, and dropped with all that is in them.

use std::str::FromStr as _;

use sqlx::{AssertSqlSafe, Connection as _, Row as _, postgres::PgConnectOptions};

use super::{
    Options, PostgresStore,
    session::{self, Failure},
    sql,
};
use crate::store::{Error, Store as _};

/// Schemas that are dropped when [`Scratch::drop_all`] is called, and stay when it is not: a drop in the background could not be waited for.
#[derive(Debug)]
pub struct Scratch {
    url: String,
    prefix: String,
    made: Vec<String>,
}

impl Scratch {
    /// In the database at `url`, with names that begin with `goodstanding_` and this process's number.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: format!("goodstanding_{}", std::process::id()),
            made: Vec::new(),
        }
    }

    /// A schema with every table, and the URL that leads into it. `name` is letters, digits and underscores.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another name or a URL that cannot be read, and what the database says.
    pub async fn make(&mut self, name: &str) -> Result<String, Error> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Error::Unsupported(format!("a schema named {name:?}")));
        }
        let schema = format!("{}_{name}", self.prefix);
        self.execute(format!("CREATE SCHEMA {schema}")).await?;
        self.made.push(schema.clone());
        let sign = if self.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{sign}options[search_path]={schema}", self.url);
        let migrate = Options {
            migrate: true,
            ..Options::default()
        };
        PostgresStore::connect(&url, migrate).await?.close().await;
        Ok(url)
    }

    /// Bytes of the tables and indexes of the schema that was made with this name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn bytes(&self, name: &str) -> Result<u64, Error> {
        let mut connection = session::connect(&self.options()?).await?;
        let sum = sqlx::query(sql::SCHEMA_BYTES)
            .bind(format!("{}_{name}", self.prefix))
            .fetch_one(&mut connection);
        let sum = sum.await.map_err(Failure::from)?;
        let _ = connection.close().await;
        crate::store::convert::to_u64(sum.get(0))
    }

    /// Drops everything that was made.
    ///
    /// # Errors
    /// What the database says first; the others are dropped nevertheless.
    pub async fn drop_all(mut self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for schema in std::mem::take(&mut self.made) {
            let dropped = self.execute(format!("DROP SCHEMA {schema} CASCADE")).await;
            outcome = outcome.and(dropped);
        }
        outcome
    }

    fn options(&self) -> Result<PgConnectOptions, Error> {
        // The error is not shown: it may quote the password.
        PgConnectOptions::from_str(&self.url)
            .map_err(|_| Error::Unsupported("the database URL cannot be read".to_owned()))
    }

    /// `sql` has no other names than those made here.
    async fn execute(&self, sql: String) -> Result<(), Error> {
        let mut connection = session::connect(&self.options()?).await?;
        let done = sqlx::query(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await;
        done.map_err(Failure::from)?;
        let _ = connection.close().await;
        Ok(())
    }
}
