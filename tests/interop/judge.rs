//! Asking a foreign program for its verdicts and holding them against what they should be.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    cases::{Case, Expected},
    crates, tools,
};

/// Someone who accepts or refuses.
pub(crate) struct Judge {
    pub(crate) name: &'static str,
    /// Kinds of cases that it knows.
    kinds: &'static [&'static str],
    /// Cases that it is known to be more lenient on than it should be; reported, not expected.
    lenient: &'static [&'static str],
    way: Way,
}

enum Way {
    Program(fn() -> Command),
    Here(fn(&Value) -> Value),
}

/// Everyone there is.
pub(crate) fn all() -> [Judge; 5] {
    [
        Judge {
            name: "Go sumdb/note, sumdb/tlog",
            kinds: &["checkpoint", "inclusion", "consistency", "tiles"],
            lenient: &[],
            way: Way::Program(tools::go_judge),
        },
        Judge {
            name: "aics-tlog",
            kinds: &[
                "checkpoint",
                "inclusion",
                "consistency",
                "tiles",
                "cosigned",
            ],
            lenient: &[],
            way: Way::Program(tools::python_judge),
        },
        Judge {
            name: "@sigstore/verify",
            kinds: &["checkpoint", "inclusion"],
            // It asks whose signature it is, not whose checkpoint.
            lenient: &["checkpoint: another origin under our key"],
            way: Way::Program(tools::node_judge),
        },
        Judge {
            name: "signed_note, tlog_tiles",
            kinds: &["checkpoint", "inclusion", "consistency"],
            lenient: &[],
            way: Way::Here(crates::foreign),
        },
        Judge {
            name: "goodstanding-verify",
            kinds: &["checkpoint", "inclusion", "consistency", "cosigned"],
            lenient: &[],
            way: Way::Here(crates::own),
        },
    ]
}

impl Judge {
    /// Judges every case of a kind that it knows and panics with all verdicts that are not the expected ones. Returns how many it
    /// accepted and refused.
    pub(crate) fn check(&self, cases: &[Case]) -> (usize, usize) {
        let cases: Vec<&Case> = cases
            .iter()
            .filter(|case| self.kinds.contains(&case.kind()))
            .collect();
        let verdicts = match self.way {
            Way::Program(command) => self.ask(command(), &cases),
            Way::Here(judge) => cases.iter().map(|case| judge(&case.json)).collect(),
        };
        assert_eq!(verdicts.len(), cases.len(), "{}", self.name);
        let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
        for (case, verdict) in cases.iter().zip(&verdicts) {
            assert_eq!(verdict["name"], case.name(), "{}", self.name);
            let right = match &case.expected {
                Expected::Accepted(read) => {
                    accepted += 1;
                    verdict["accepted"] == true
                        && read.iter().all(|(key, value)| verdict[key] == *value)
                }
                Expected::Refused if self.lenient.contains(&case.name()) => {
                    // Once it is strict, the exception has to go.
                    verdict["accepted"] == true
                }
                Expected::Refused => {
                    refused += 1;
                    verdict["accepted"] == false
                }
            };
            if !right {
                wrong.push(format!("{}: {verdict}", case.name()));
            }
        }
        assert!(wrong.is_empty(), "{}\n{}", self.name, wrong.join("\n"));
        println!(
            "{:28} accepted {accepted:4}, refused {refused:4}",
            self.name
        );
        (accepted, refused)
    }

    fn ask(&self, mut command: Command, cases: &[&Case]) -> Vec<Value> {
        let cases: Vec<&Value> = cases.iter().map(|case| &case.json).collect();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = serde_json::to_vec(&cases).unwrap();
        child.stdin.take().unwrap().write_all(&input).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(
            out.status.success(),
            "{} failed: {}",
            self.name,
            String::from_utf8_lossy(&out.stderr)
        );
        serde_json::from_slice(&out.stdout).unwrap()
    }
}
