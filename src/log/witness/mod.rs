//! Witnesses: who has to have seen a checkpoint before it is published (C2SP tlog-witness, tlog-policy).
//!
//! `witnesses.toml` in the data directory names them, so that every command that publishes asks the same ones.
//! [`ask`] speaks to one witness, [`round`] asks all of them about one checkpoint, and the sequencer decides what the answer
//! means for publishing.

pub mod ask;
pub mod round;

use std::{fs, io, path::Path, time::Duration};

use goodstanding_verify::{note::VerifierKey, witness_policy::WitnessPolicy};
use serde::Deserialize;

use crate::code::{Code, Fault};

/// Name of the settings file in the data directory.
pub const SETTINGS: &str = "witnesses.toml";

/// What happens to a checkpoint that too few witnesses have cosigned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenMissed {
    /// It is not published: the last witnessed one stays (fail closed).
    #[default]
    Wait,
    /// It is published all the same, and again with the cosignatures when they come (fail open).
    Publish,
}

impl WhenMissed {
    /// The name in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Publish => "publish",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    policy: String,
    #[serde(default)]
    when_missed: WhenMissed,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u64,
}

fn default_timeout_ms() -> u64 {
    2000
}

/// Which witnesses a log asks, and what it does without them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnesses {
    /// The policy, the log's own line included.
    pub policy: WitnessPolicy,
    /// What happens without a quorum.
    pub when_missed: WhenMissed,
    /// How long one witness may take to answer.
    pub timeout: Duration,
}

impl Witnesses {
    /// No witnesses: every checkpoint may be published.
    ///
    /// # Errors
    /// Never in practice: a key's text is a policy line.
    pub fn none(own: &VerifierKey) -> Result<Self, Fault> {
        Ok(Self {
            policy: WitnessPolicy::parse(&format!("log {own}\nquorum none\n"))?,
            when_missed: WhenMissed::default(),
            timeout: Duration::from_millis(default_timeout_ms()),
        })
    }

    /// Reads `witnesses.toml` of a data directory; without it there are none.
    ///
    /// # Errors
    /// `witness.settings_invalid`.
    pub fn load(data: &Path, own: &VerifierKey) -> Result<Self, Fault> {
        let path = data.join(SETTINGS);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, own).map_err(|fault| {
                Fault::new(
                    Code::WitnessSettings,
                    format!("{}: {}", path.display(), fault.detail()),
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::none(own),
            Err(error) => Err(Fault::new(
                Code::InputUnreadable,
                format!("{}: {error}", path.display()),
            )),
        }
    }

    /// Reads the settings' text.
    ///
    /// # Errors
    /// `witness.settings_invalid`, also when the policy names another log, or a quorum that could never be met because its
    /// witnesses have no URL.
    pub fn parse(text: &str, own: &VerifierKey) -> Result<Self, Fault> {
        let invalid = |why: String| Fault::new(Code::WitnessSettings, why);
        let settings: Settings = toml::from_str(text).map_err(|e| invalid(e.to_string()))?;
        let names_log = settings
            .policy
            .lines()
            .any(|line| line.split_whitespace().next() == Some("log"));
        let text = if names_log {
            settings.policy
        } else {
            format!("log {own}\n{}", settings.policy)
        };
        let policy = WitnessPolicy::parse(&text).map_err(|e| invalid(e.detail().to_owned()))?;
        if !policy.logs().eq([own]) {
            return Err(invalid(format!(
                "its log line must be `log {own}` or absent"
            )));
        }
        let reachable: Vec<&str> = policy.witness_urls().map(|(name, _, _)| name).collect();
        for (name, key, url) in policy.witness_urls() {
            ask::Witness::new(name, key, url)?;
        }
        if policy.wants_quorum() && !policy.is_met_by(|name| reachable.contains(&name)) {
            return Err(invalid(
                "the witnesses that have a URL cannot make the quorum".to_owned(),
            ));
        }
        if settings.timeout_ms == 0 || settings.timeout_ms > 60_000 {
            return Err(invalid("timeout_ms is not within 1..60000".to_owned()));
        }
        Ok(Self {
            policy,
            when_missed: settings.when_missed,
            timeout: Duration::from_millis(settings.timeout_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::SecretKey, log::sign::LogSigner};

    const W1: &str = "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";

    fn log(name: &str, seed: u8) -> VerifierKey {
        let key = SecretKey::from_seed(&[seed; 32]);
        LogSigner::new(name, key).verifier().unwrap()
    }

    fn own() -> VerifierKey {
        log("log.example/rep", 1)
    }

    #[test]
    fn settings_with_and_without_the_log_line() {
        let lines = format!("witness w1 {W1} http://127.0.0.1:1/\nquorum w1\n");
        let short = Witnesses::parse(&format!("policy = '''\n{lines}'''"), &own()).unwrap();
        assert_eq!(short.when_missed, WhenMissed::Wait);
        let full = format!("log {}\n{lines}", own());
        let text = format!("when_missed = 'publish'\ntimeout_ms = 50\npolicy = '''{full}'''");
        let long = Witnesses::parse(&text, &own()).unwrap();
        assert_eq!(long.policy, short.policy);
        assert_eq!(long.when_missed, WhenMissed::Publish);
        assert_eq!(long.timeout, Duration::from_millis(50));
    }

    #[test]
    fn settings_that_could_never_work_are_refused() {
        let other = log("log.example/other", 3);
        for policy in [
            format!("witness w1 {W1}\nquorum w1\n"),
            format!("witness w1 {W1} ftp://x/\nquorum w1\n"),
            format!("witness w1 {W1} http://x/\n"),
            format!("log {other}\nquorum none\n"),
            format!("witness w1 {W1} http://x/\nquorum w2\n"),
        ] {
            let fault = Witnesses::parse(&format!("policy = '''{policy}'''"), &own()).unwrap_err();
            assert!(fault.is(Code::WitnessSettings), "{policy}: {fault}");
        }
        assert!(Witnesses::parse("policy = 'quorum none'\nfoo = 1", &own()).is_err());
        assert!(Witnesses::parse("policy = 'quorum none'\ntimeout_ms = 0", &own()).is_err());
        let none = Witnesses::parse("policy = 'quorum none'", &own()).unwrap();
        assert_eq!(none, Witnesses::none(&own()).unwrap());
    }
}
