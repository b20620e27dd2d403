//! Operators' commands that work on a data directory, or on the service that runs on it.

use serde_json::Value;

use super::{client::Client, output::Usage};

/// Where to do it: `--url` and `--token` name a running service; without them it is the data directory.
#[derive(Debug, clap::Args)]
pub(super) struct Remote {
    /// Do it on the service at this URL instead of in the data directory
    #[arg(long, requires = "token")]
    url: Option<String>,
    /// Operator's bearer token from `access grant`; @FILE reads it from a file
    #[arg(long, env = "GOODSTANDING_TOKEN", hide_env_values = true)]
    token: Option<String>,
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
        let token = match &self.token {
            None => return Err(Usage("--url needs --token".to_owned()).into()),
            Some(token) => match token.strip_prefix('@') {
                Some(file) => super::input::text(file)?.trim().to_owned(),
                None => token.clone(),
            },
        };
        let client = Client::new(url)?.with_bearer(&token);
        Ok(Some(Service { client }))
    }
}

impl Service {
    /// The JSON answer to a `POST` of a JSON document. Waits where the service asks to.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.client.post_document(path, body).await
    }

    /// The JSON answer to a `GET`.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.client.get_json(path).await
    }
}
