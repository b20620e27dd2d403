//! Amounts: decimal strings held as integer nano-units, so equal values compare equal and nothing rounds.

use std::fmt;

use crate::code::{Code, Error};

/// Nano-units in one unit.
const NANO: u64 = 1_000_000_000;

/// An amount in nano-units (1e-9), below 10^18. Grammar: `^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads the decimal form; `1.50` and `1.5` are the same amount.
    ///
    /// # Errors
    /// `amount.invalid` if the text is outside the grammar.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).ok_or_else(|| {
            Error::new(
                Code::AmountInvalid,
                "not up to nine digits and up to nine decimals",
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (whole, decimals) = match text.split_once('.') {
            Some((whole, decimals)) => (whole, Some(decimals)),
            None => (text, None),
        };
        if whole.len() > 1 && whole.starts_with('0') {
            return None;
        }
        let nano = match decimals {
            None => 0,
            Some(decimals) => {
                let missing = u32::try_from(9_usize.checked_sub(decimals.len())?).ok()?;
                digits(decimals)?.checked_mul(10_u64.checked_pow(missing)?)?
            }
        };
        digits(whole)?
            .checked_mul(NANO)?
            .checked_add(nano)
            .map(Self)
    }

    /// The amount of this many nano-units.
    ///
    /// # Errors
    /// `amount.invalid` from 10^18 on.
    pub fn from_nano(nano: u64) -> Result<Self, Error> {
        if nano < 1_000_000_000_000_000_000 {
            Ok(Self(nano))
        } else {
            Err(Error::new(Code::AmountInvalid, "10^9 units or more"))
        }
    }

    /// Nano-units, below 10^18.
    pub fn nano(self) -> u64 {
        self.0
    }

    /// Whether this is zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// One to nine ASCII digits as a number.
fn digits(text: &str) -> Option<u64> {
    if !(1..=9).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl fmt::Display for Amount {
    /// The shortest decimal form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, nano) = (self.0 / NANO, self.0 % NANO);
        if nano == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{nano:09}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

impl std::str::FromStr for Amount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl serde::Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn grammar() {
        for (text, nano) in [
            ("0", 0),
            ("0.0", 0),
            ("1", NANO),
            ("1.50", 1_500_000_000),
            ("0.000000001", 1),
            ("999999999.999999999", 999_999_999_999_999_999),
        ] {
            assert_eq!(Amount::parse(text).unwrap().nano(), nano, "{text}");
        }
        for bad in [
            "",
            "00",
            "01",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1000000000",
            "0.0000000001",
            "1 ",
            "1,5",
            "١",
            "1.5.5",
        ] {
            assert_eq!(
                Amount::parse(bad).unwrap_err().code(),
                Code::AmountInvalid,
                "{bad}"
            );
        }
        assert!(Amount::from_nano(1_000_000_000_000_000_000).is_err());
        assert_eq!(Amount::parse("10.250").unwrap().to_string(), "10.25");
        assert_eq!(
            serde_json::to_string(&Amount::parse("1.0").unwrap()).unwrap(),
            "\"1\""
        );
    }

    proptest! {
        #[test]
        fn shortest_form_reads_back(nano in 0..1_000_000_000_000_000_000_u64) {
            let amount = Amount::from_nano(nano).unwrap();
            prop_assert_eq!(Amount::parse(&amount.to_string()).unwrap(), amount);
        }

        #[test]
        fn never_panics(text in ".*") {
            let _ = Amount::parse(&text);
        }
    }
}
