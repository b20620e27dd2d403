//! Operators' commands that work on a data directory, or on the service that runs on it.

use std::collections::HashMap;

use serde_json::Value;

use super::{client::Client, input, output::Usage};
use crate::code::Fault;

/// Where to do it: `--url` and `--token` name a running service; without them it is the data directory.
#[derive(Debug, clap::Args)]
pub(super) struct Remote {
    /// Do it on the service at this URL instead of in the data directory
    #[arg(long, requires = "token")]
    url: Option<String>,
    /// Bearer token from `access grant`: @FILE reads it from a file, @- from standard input, and nobody sees it among the processes
    #[arg(long, env = "GOODSTANDING_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// The text of a bearer token.
pub(super) fn bearer(given: &str) -> Result<String, Fault> {
    Ok(match given.strip_prefix('@') {
        Some(file) => input::text(file)?.trim().to_owned(),
        None => given.trim().to_owned(),
    })
}

/// A running service, addressed as an operator.
pub(super) struct Service {
    client: Client,
}

impl Remote {
    /// The service, if one was named.
    pub(super) fn service(&self) -> anyhow::Result<Option<Service>> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let Some(token) = &self.token else {
            return Err(Usage("--url needs --token".to_owned()).into());
        };
        let client = Client::new(url)?.with_bearer(&bearer(token)?);
        Ok(Some(Service { client }))
    }
}

impl Service {
    /// The service at `url`, with a bearer token if there is one.
    pub(super) fn at(url: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let client = Client::new(url)?;
        let client = match token {
            Some(token) => client.with_bearer(&bearer(token)?),
            None => client,
        };
        Ok(Self { client })
    }

    /// The JSON answer to a `POST` of a JSON document, or of nothing for null. Waits where the service asks to, and says so
    /// when what was logged is not published yet.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.client.post_document(path, body).await?;
        if answer["published"] == false {
            eprintln!(
                "Logged and durable, but not published yet: witnesses are missing. The service asks them again by itself; until they \
                 answer, receipts, tokens and the trust bundle stay at the last witnessed checkpoint. /readyz says who is missing."
            );
        }
        Ok(answer)
    }

    /// Every name that the service has for an agent, by DID.
    pub(super) async fn aliases(&self) -> anyhow::Result<HashMap<String, String>> {
        let mut names = HashMap::new();
        let mut path = "/v1/aliases?limit=1000".to_owned();
        loop {
            let page = self.get(&path).await?;
            for item in page["items"].as_array().into_iter().flatten() {
                if let (Some(agent), Some(alias)) = (item["agent"].as_str(), item["alias"].as_str())
                {
                    names.insert(agent.to_owned(), alias.to_owned());
                }
            }
            match page["next_cursor"].as_str() {
                Some(next) => path = format!("/v1/aliases?limit=1000&cursor={next}"),
                None => return Ok(names),
            }
        }
    }

    /// The JSON answer to a `GET`.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.client.get_json(path).await
    }
}
