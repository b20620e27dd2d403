//! Which names agents may be given: a name has one agent, and an agent one name. Neither is ever replaced: what was exported
//! under a name would become another agent's.

use std::collections::BTreeMap;

use goodstanding_verify::did::Did;

use crate::code::{Code, Fault};

/// Those of the wanted names that are not known yet, ascending.
///
/// # Errors
/// `agent.alias_taken` when a name has another agent, or an agent another name, among the known or the wanted.
pub fn new_names(
    known: &[(String, Did)],
    wanted: &[(String, Did)],
) -> Result<Vec<(String, Did)>, Fault> {
    let mut agents: BTreeMap<&str, Did> = BTreeMap::new();
    let mut names: BTreeMap<Did, &str> = BTreeMap::new();
    for (name, agent) in known {
        agents.insert(name, *agent);
        names.insert(*agent, name);
    }
    let mut new = Vec::new();
    for (name, agent) in wanted {
        match (agents.get(name.as_str()), names.get(agent)) {
            (Some(have), _) if have == agent => {}
            (Some(have), _) => {
                return Err(taken(format!("{name} is {have} here, not {agent}")));
            }
            (None, Some(have)) => {
                return Err(taken(format!("{agent} is called {have} here, not {name}")));
            }
            (None, None) => {
                agents.insert(name, *agent);
                names.insert(*agent, name);
                new.push((name.clone(), *agent));
            }
        }
    }
    new.sort();
    Ok(new)
}

fn taken(detail: String) -> Fault {
    Fault::new(Code::AliasTaken, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    fn named(names: &[(&str, u8)]) -> Vec<(String, Did)> {
        let did = |n: u8| SecretKey::from_seed(&[n; 32]).did();
        names
            .iter()
            .map(|(name, n)| ((*name).to_owned(), did(*n)))
            .collect()
    }

    #[test]
    fn a_name_has_one_agent_and_an_agent_one_name() {
        let known = named(&[("alice", 1), ("bob", 2)]);
        let new = new_names(&known, &named(&[("dora", 4), ("bob", 2), ("carl", 3)]));
        assert_eq!(new.unwrap(), named(&[("carl", 3), ("dora", 4)]));
        for wanted in [
            &[("alice", 3)][..],
            &[("carol", 1)],
            &[("alice", 2), ("bob", 1)],
            &[("carol", 3), ("cora", 3)],
            &[("carol", 3), ("carol", 4)],
        ] {
            let refused = new_names(&known, &named(wanted)).unwrap_err();
            assert!(refused.is(Code::AliasTaken), "{wanted:?}: {refused}");
        }
    }
}
