//! What a relying party requires of the disclosed claims.

use serde_json::{Map, Value};

use super::{ALWAYS_REQUIRED, Requirements};
use crate::{
    MAX_INTEGER,
    checkpoint::decimal,
    claims,
    code::{Code, Error, excerpt},
    json,
};

/// One requirement: `NAME`, `NAME=VALUE`, `NAME>=N` or `NAME<=N`. A name may lead into an object: `by_kind.service.lower_bp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Claim name and the members below it.
    path: Vec<String>,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    /// Disclosed and, if boolean, true.
    Present,
    /// Equal to this text, or to the JSON value that it spells.
    Equal(String),
    AtLeast(u64),
    AtMost(u64),
}

impl Requirement {
    /// Reads a requirement.
    ///
    /// # Errors
    /// `requirement.malformed`, also for a name that is no claim.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let malformed = |why: &str| {
            Error::new(
                Code::RequirementMalformed,
                format!("{why}: {}", excerpt(text)),
            )
        };
        let number = |text: &str| {
            decimal(text)
                .filter(|n| *n <= MAX_INTEGER)
                .ok_or_else(|| malformed("not an integer"))
        };
        let (path, test) = if let Some((path, bound)) = text.split_once(">=") {
            (path, Test::AtLeast(number(bound)?))
        } else if let Some((path, bound)) = text.split_once("<=") {
            (path, Test::AtMost(number(bound)?))
        } else if let Some((path, value)) = text.split_once('=') {
            (path, Test::Equal(value.to_owned()))
        } else {
            (text, Test::Present)
        };
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty)
            || !path.first().is_some_and(|name| claims::is_name(name))
        {
            return Err(malformed("not a claim"));
        }
        Ok(Self { path, test })
    }

    /// Checks the disclosed claims.
    ///
    /// # Errors
    /// `claims.required_missing` if the claim is not disclosed, `claims.requirement_unmet` if it is not as required.
    fn check(&self, claims: &Map<String, Value>) -> Result<(), Error> {
        let (name, below) = self
            .path
            .split_first()
            .map_or(("", self.path.as_slice()), |(name, below)| {
                (name.as_str(), below)
            });
        let claim = claims.get(name).ok_or_else(|| missing(name))?;
        let value = below
            .iter()
            .try_fold(claim, |value, member| value.get(member));
        let met = value.is_some_and(|value| match &self.test {
            Test::Present => *value != Value::Bool(false),
            Test::Equal(text) => {
                value.as_str() == Some(text)
                    || json::parse(text.as_bytes()).ok().as_ref() == Some(value)
            }
            Test::AtLeast(bound) => value.as_u64().is_some_and(|n| n >= *bound),
            Test::AtMost(bound) => value.as_u64().is_some_and(|n| n <= *bound),
        });
        if met {
            Ok(())
        } else {
            Err(Error::new(
                Code::ClaimsRequirementUnmet,
                excerpt(&self.to_string()),
            ))
        }
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path.join("."))?;
        match &self.test {
            Test::Present => Ok(()),
            Test::Equal(value) => write!(f, "={value}"),
            Test::AtLeast(bound) => write!(f, ">={bound}"),
            Test::AtMost(bound) => write!(f, "<={bound}"),
        }
    }
}

impl std::str::FromStr for Requirement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

fn missing(name: &str) -> Error {
    Error::new(
        Code::ClaimsRequiredMissing,
        format!("{} is not disclosed", excerpt(name)),
    )
}

/// The claims' own types, the three that are always required, the minimum, then the further requirements.
pub(super) fn check(disclosed: &Map<String, Value>, req: &Requirements) -> Result<(), Error> {
    disclosed
        .iter()
        .try_for_each(|(name, value)| claims::check(name, value))?;
    if let Some(name) = ALWAYS_REQUIRED
        .iter()
        .find(|name| !disclosed.contains_key(**name))
    {
        return Err(missing(name));
    }
    let lower_bp = disclosed.get("lower_bp").and_then(Value::as_u64);
    if let (Some(lower_bp), Some(min)) = (lower_bp, req.min_lower_bp)
        && lower_bp < u64::from(min)
    {
        return Err(Error::new(
            Code::ClaimsLowerBoundTooLow,
            format!("lower_bp {lower_bp}, minimum {min}"),
        ));
    }
    req.require
        .iter()
        .try_for_each(|requirement| requirement.check(disclosed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_and_checks() {
        let claims = json!({"lower_bp": 7510, "state": "established", "flags": [], "lower_gte_5000": true,
            "lower_gte_9000": false, "by_kind": {"service": {"lower_bp": 7000}}});
        let claims = claims.as_object().unwrap();
        for met in [
            "lower_bp",
            "flags",
            "lower_gte_5000",
            "lower_gte_5000=true",
            "lower_gte_9000=false",
            "state=established",
            "state=\"established\"",
            "lower_bp=7510",
            "lower_bp>=7510",
            "lower_bp<=7510",
            "flags=[]",
            "by_kind.service.lower_bp>=7000",
        ] {
            let requirement = Requirement::parse(met).unwrap();
            assert_eq!(requirement.check(claims), Ok(()), "{met}");
            assert_eq!(
                Requirement::parse(&requirement.to_string()),
                Ok(requirement)
            );
        }
        for unmet in [
            "lower_gte_9000",
            "state=contested",
            "lower_bp>=7511",
            "lower_bp<=7509",
            "state>=1",
            "flags=",
            "by_kind.purchase.lower_bp>=1",
            "lower_bp.x",
        ] {
            let error = Requirement::parse(unmet)
                .unwrap()
                .check(claims)
                .unwrap_err();
            assert_eq!(error.code(), Code::ClaimsRequirementUnmet, "{unmet}");
        }
        let undisclosed = Requirement::parse("reports>=1")
            .unwrap()
            .check(claims)
            .unwrap_err();
        assert_eq!(undisclosed.code(), Code::ClaimsRequiredMissing);
        for bad in [
            "",
            "=1",
            "lowerbp>=1",
            "lower_bp>=",
            "lower_bp>=-1",
            "lower_bp>=1.5",
            "lower_bp>=01",
            ".",
            "by_kind..x",
        ] {
            assert_eq!(
                Requirement::parse(bad).unwrap_err().code(),
                Code::RequirementMalformed,
                "{bad}"
            );
        }
    }
}
