//! Why a policy is refused: stable codes, one sentence each.

use std::fmt;

/// Stable codes of policy errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyCode {
    /// `policy.unknown_member`
    UnknownMember,
    /// `policy.member_missing`
    MemberMissing,
    /// `policy.member_invalid`
    MemberInvalid,
    /// `policy.preset_unknown`
    PresetUnknown,
    /// `policy.no_seeds`
    NoSeeds,
}

impl PolicyCode {
    /// All codes.
    pub const ALL: &'static [Self] = &[
        Self::UnknownMember,
        Self::MemberMissing,
        Self::MemberInvalid,
        Self::PresetUnknown,
        Self::NoSeeds,
    ];

    /// The code as it appears in errors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownMember => "policy.unknown_member",
            Self::MemberMissing => "policy.member_missing",
            Self::MemberInvalid => "policy.member_invalid",
            Self::PresetUnknown => "policy.preset_unknown",
            Self::NoSeeds => "policy.no_seeds",
        }
    }

    /// A few words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::UnknownMember => "Unknown member in the policy",
            Self::MemberMissing => "Member missing from the policy",
            Self::MemberInvalid => "Policy member out of range or of the wrong type",
            Self::PresetUnknown => "No such preset",
            Self::NoSeeds => "No seed is known to the log",
        }
    }

    /// What happened and what to do about it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::UnknownMember => {
                "The policy has a member that this version does not know. Remove it; a policy is exactly its documented members."
            }
            Self::MemberMissing => {
                "A policy is complete: every documented member is required. Start from a preset."
            }
            Self::MemberInvalid => {
                "A member has the wrong type, is out of its documented range or contradicts another member."
            }
            Self::PresetUnknown => "The presets are agent-market and rating-network.",
            Self::NoSeeds => {
                "No seed of the policy is an agent of any counted report, so no flow starts anywhere and no epoch can be computed. \
                 Name seeds that take part in trades."
            }
        }
    }
}

impl fmt::Display for PolicyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused policy: a stable code, where, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {pointer}: {detail}")]
pub struct PolicyError {
    code: PolicyCode,
    pointer: String,
    detail: String,
}

impl PolicyError {
    /// An error at a JSON pointer (RFC 6901; empty: the whole policy).
    pub(super) fn new(
        code: PolicyCode,
        pointer: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            code,
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }

    /// The stable code.
    pub fn code(&self) -> PolicyCode {
        self.code
    }

    /// JSON pointer to the offending member.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What is wrong there.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}
