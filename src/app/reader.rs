//! A log that is only read.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    code::{Code, Fault},
    keys::{SecretKey, service::load_or_make},
    store::{Place, Store},
};

/// A data directory opened for reading only, also while a service works on it.
#[derive(Debug)]
pub struct Reader {
    /// The database; what it would write fails.
    pub store: Arc<dyn Store>,
    data: PathBuf,
}

impl Reader {
    /// Opens a log without taking part in it. `place` is its database, `data` where its keys are.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn open(data: &Path, place: &Place) -> Result<Self, Fault> {
        if !place.exists() {
            return Err(Fault::new(
                Code::DataMissing,
                format!("{} has no data", data.display()),
            ));
        }
        Ok(Self {
            store: place.reader().await?,
            data: data.to_owned(),
        })
    }

    /// The issuer and the key that signs access tokens.
    ///
    /// # Errors
    /// When either cannot be read.
    pub async fn access(&self) -> Result<(String, SecretKey), Fault> {
        let issuer = self.store.meta("issuer").await?;
        let issuer = issuer.ok_or_else(|| {
            Fault::new(Code::StoreCorrupt, "the database does not know its issuer")
        })?;
        Ok((
            issuer,
            load_or_make(&self.data.join("keys"), "access", false)?,
        ))
    }
}
