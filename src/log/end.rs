//! The end of a log: its key never rotates, so a log whose key is lost, stolen or retired ends and names its successor.

use goodstanding_verify::successor::{EndReason, Successor};
use serde::{Deserialize, Serialize};

use crate::code::{Code, Fault};

/// Name of the setting that ends a log.
pub const META: &str = "log_end";

/// The notice as a file beside the database, so that an older copy of that does not bring the log back.
pub const FILE: &str = "log.ended";

/// That a log has ended. Written once, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Why.
    pub reason: String,
    /// The log that goes on, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Named>,
    /// The signed notice, `log-successor+jwt`.
    pub notice: String,
}

/// The successor, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its origin.
    pub origin: String,
    /// Its verifier key.
    pub vkey: String,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl From<&Successor> for Named {
    fn from(successor: &Successor) -> Self {
        Self {
            origin: successor.origin.clone(),
            vkey: successor.vkey.clone(),
            url: successor.url.clone(),
        }
    }
}

impl Ended {
    /// The end of a log, to be stored.
    pub fn new(reason: EndReason, successor: Option<&Successor>, notice: String) -> Self {
        Self {
            reason: reason.as_str().to_owned(),
            successor: successor.map(Named::from),
            notice,
        }
    }

    /// Reads the setting.
    ///
    /// # Errors
    /// `store.corrupt`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        serde_json::from_str(text)
            .map_err(|e| Fault::new(Code::StoreCorrupt, format!("{META}: {e}")))
    }

    /// The refusal of everything that would write.
    pub fn refusal(&self) -> Fault {
        let detail = match &self.successor {
            None => format!(
                "this log has ended ({}) and names no successor",
                self.reason
            ),
            Some(Named { origin, url, .. }) => {
                let at = url
                    .as_ref()
                    .map_or(String::new(), |url| format!(" at {url}"));
                format!("this log has ended ({}); {origin}{at} goes on", self.reason)
            }
        };
        Fault::new(Code::LogEnded, detail)
    }
}
