//! Whose log it is: issuer and origin, fixed when a log is made, and the log's key.

use std::path::Path;

use super::Open;
use crate::{
    code::{Code, Fault},
    keys::{SecretKey, service::load_or_make},
    log::{
        cluster::Role,
        end::META,
        sign::{LOG_VKEY, LogSigner},
    },
    store::Store,
};

/// Whose log it is: what the database says, and what it will be told once nothing speaks against it.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) issuer: String,
    pub(super) origin: String,
    /// Settings that it does not have yet.
    new: Vec<(&'static str, String)>,
}

impl Identity {
    /// Issuer and origin as stored, or as given for a new log.
    ///
    /// # Errors
    /// `data.mismatch` when they are stored and others were given; `store.unavailable`.
    pub(super) async fn of(store: &dyn Store, open: &Open) -> Result<Self, Fault> {
        let mut new = Vec::new();
        let default_issuer = || format!("http://{}", crate::config::Config::default().listen);
        let given = open.issuer.as_deref();
        let issuer = settle(store, "issuer", given, default_issuer, &mut new).await?;
        let host = issuer
            .split_once("://")
            .map_or(issuer.as_str(), |(_, host)| host)
            .trim_end_matches('/')
            .to_owned();
        let given = open.origin.as_deref();
        let origin = settle(store, "origin", given, || host, &mut new).await?;
        Ok(Self {
            issuer,
            origin,
            new,
        })
    }

    /// Tells a new database. Not before every check: one that belongs to another log must not be given this one's name.
    ///
    /// # Errors
    /// `data.mismatch` when another process told it something else meanwhile; `store.unavailable`.
    pub(super) async fn keep(&self, store: &dyn Store) -> Result<(), Fault> {
        for (key, value) in &self.new {
            remember(store, key, value).await?;
        }
        Ok(())
    }
}

pub(super) fn check_issuer(issuer: &str) -> Result<(), Fault> {
    let rest = issuer
        .strip_prefix("https://")
        .or_else(|| issuer.strip_prefix("http://"));
    let plain =
        |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '+' | '"' | '\\' | '<' | '>');
    match rest {
        Some(rest) if !rest.is_empty() && !rest.ends_with('/') && rest.chars().all(plain) => Ok(()),
        _ => Err(Fault::new(
            Code::DataMismatch,
            "an issuer is an http(s) URL without query, fragment and trailing slash",
        )),
    }
}

pub(super) fn check_origin(origin: &str) -> Result<(), Fault> {
    LogSigner::new(origin, SecretKey::from_seed(&[1; 32])).verifier()?;
    Ok(())
}

async fn settle(
    store: &dyn Store,
    key: &'static str,
    given: Option<&str>,
    default: impl FnOnce() -> String,
    new: &mut Vec<(&'static str, String)>,
) -> Result<String, Fault> {
    match (store.meta(key).await?, given) {
        (Some(stored), Some(given)) if stored != given => Err(Fault::new(
            Code::DataMismatch,
            format!("{key} is {stored}, not {given}"),
        )),
        (Some(stored), _) => Ok(stored),
        (None, given) => {
            let value = given.map_or_else(default, str::to_owned);
            new.push((key, value.clone()));
            Ok(value)
        }
    }
}

/// Writes a setting once. Another process on the same database may do so at the same moment.
///
/// # Errors
/// `data.mismatch` when that one wrote something else; `store.unavailable`.
async fn remember(store: &dyn Store, key: &str, value: &str) -> Result<(), Fault> {
    let Err(error) = store.set_meta(key, value).await else {
        return Ok(());
    };
    match store.meta(key).await? {
        None => Err(error.into()),
        Some(stored) if stored == value => Ok(()),
        Some(stored) => Err(Fault::new(
            Code::DataMismatch,
            format!("{key} is {stored}, not {value}"),
        )),
    }
}

/// The log's signer: with its key, or, to end a log whose key is lost, with what the directory remembers of it.
pub(super) async fn log_signer(
    store: &dyn Store,
    keys_dir: &Path,
    identity: &mut Identity,
    is_new: bool,
    open: &Open,
) -> Result<LogSigner, Fault> {
    let remembered = store.meta(LOG_VKEY).await?;
    let has_ended = store.meta(META).await?.is_some();
    let key = match load_or_make(keys_dir, "log", is_new) {
        Ok(key) => key,
        // Who never writes needs no key to sign with.
        Err(fault) => {
            match remembered.filter(|_| open.repair || has_ended || open.role == Role::Api) {
                Some(vkey) if !keys_dir.join("log.json").exists() => {
                    return Ok(LogSigner::without_key(&vkey)?);
                }
                _ => return Err(fault),
            }
        }
    };
    let signer = LogSigner::new(&identity.origin, key);
    signer.verifier()?;
    match remembered {
        None => identity.new.push((LOG_VKEY, signer.vkey())),
        Some(vkey) if vkey == signer.vkey() => {}
        Some(vkey) => {
            let detail = format!("keys/log.json is another key; this log's is {vkey}");
            return Err(Fault::new(Code::KeyUnusable, detail));
        }
    }
    Ok(signer)
}
