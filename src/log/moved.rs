//! Marks of databases that nobody may write to: copies, and both ends of a move to another database.
//!
//! All are values of the setting [`COPY`](super::tenure::COPY), which every way of opening a database for writing looks at. A move marks the target
//! before there is anything in it, and the source before the target loses its mark: at no moment may both go on, wherever it is
//! interrupted.

use std::fmt;

use crate::code::{Code, Fault};

const MOVING: &str = "moving ";
const MOVED: &str = "moved ";

/// Why nobody may write to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Made by `backup`.
    Backup,
    /// A move to here has not ended; its random id.
    Moving(String),
    /// The log went on elsewhere: the move's id, and where to, for people.
    Moved {
        /// The same as in the target's mark.
        id: String,
        /// Without a password.
        to: String,
    },
}

impl Mark {
    /// Of a setting's value.
    pub fn of(value: &str) -> Self {
        if let Some(id) = value.strip_prefix(MOVING) {
            return Self::Moving(id.to_owned());
        }
        match value.strip_prefix(MOVED).and_then(|v| v.split_once(' ')) {
            Some((id, to)) => Self::Moved {
                id: id.to_owned(),
                to: to.to_owned(),
            },
            None => Self::Backup,
        }
    }

    /// The setting's value; a backup's is the time of its making and has no place here.
    pub fn value(&self) -> String {
        match self {
            Self::Backup => "backup".to_owned(),
            Self::Moving(id) => format!("{MOVING}{id}"),
            Self::Moved { id, to } => format!("{MOVED}{id} {to}"),
        }
    }

    /// The refusal of whoever would write.
    pub fn refusal(&self) -> Fault {
        let code = match self {
            Self::Backup => Code::DataOtherCopy,
            Self::Moving(_) | Self::Moved { .. } => Code::DataMoved,
        };
        Fault::new(code, self.to_string())
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backup => f.write_str(
                "this database is a copy made by `backup`, and was not put here by `restore`",
            ),
            Self::Moving(_) => f.write_str(
                "a move of a log to this database has not ended: run the same `migrate` again",
            ),
            Self::Moved { to, .. } => write!(f, "the log of this database has moved to {to}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_as_they_were_written() {
        let id = "abc".to_owned();
        for mark in [
            Mark::Moving(id.clone()),
            Mark::Moved {
                id,
                to: "/a folder/with blanks".to_owned(),
            },
        ] {
            assert_eq!(Mark::of(&mark.value()), mark);
            assert!(mark.refusal().is(Code::DataMoved));
        }
        // What `backup` writes is a time.
        assert!(Mark::of("1767225600").refusal().is(Code::DataOtherCopy));
    }
}
