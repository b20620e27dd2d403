//! Reading a policy from JSON, member by member, each error with its JSON pointer.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use goodstanding_verify::{MAX_INTEGER, did::Did};
use serde_json::{Map, Value};

use super::{Admission, Detection, Policy, PolicyCode, PolicyError, Scoring, constants::Parameter};

/// Most seeds, and most attestors.
const MAX_DIDS: usize = 10_000;
/// Most currencies.
const MAX_CURRENCIES: usize = 1000;
/// Most amount bands.
const MAX_BANDS: usize = 32;
/// The dearest currency: 10^9 reference units a unit.
const MAX_RATE_MILLI: u64 = 1_000_000_000_000;
/// Ten years.
const MAX_ROTATION_DELAY_S: u64 = 315_360_000;

const MEMBERS: &[&str] = &[
    "preset",
    "seeds",
    "currencies",
    "amount_bands_milli",
    "admission",
    "rotation_delay_s",
    "attestors",
    "scoring",
    "detection",
];

pub(super) fn policy(value: &Value) -> Result<Policy, PolicyError> {
    let root = object(value, "")?;
    only_known(root, "", |name| MEMBERS.contains(&name))?;
    let mut admission = Admission::default();
    constants(root, "admission", Admission::PARAMETERS, |name, value| {
        admission.set(name, value);
    })?;
    let mut scoring = Scoring::default();
    constants(root, "scoring", Scoring::PARAMETERS, |name, value| {
        scoring.set(name, value);
    })?;
    consistent(&scoring)?;
    only_known(
        object(member(root, "", "detection")?, "/detection")?,
        "/detection",
        |_| false,
    )?;
    Ok(Policy {
        preset: preset_name(member(root, "", "preset")?)?,
        seeds: dids(member(root, "", "seeds")?, "/seeds")?,
        currencies: currencies(member(root, "", "currencies")?)?,
        amount_bands_milli: bands(member(root, "", "amount_bands_milli")?)?,
        admission,
        rotation_delay_s: integer(
            member(root, "", "rotation_delay_s")?,
            "/rotation_delay_s",
            0..=MAX_ROTATION_DELAY_S,
        )?,
        attestors: dids(member(root, "", "attestors")?, "/attestors")?,
        scoring,
        detection: Detection::default(),
    })
}

/// What a range alone cannot say.
fn consistent(s: &Scoring) -> Result<(), PolicyError> {
    let refuse = |name: &str, why: &str| Err(invalid(format!("/scoring/{name}"), why));
    if s.value_cap_milli < s.value_base_milli {
        return refuse("value_cap_milli", "less than value_base_milli");
    }
    let slower = s.half_life_negative_s == 0
        || (s.half_life_s != 0 && s.half_life_negative_s >= s.half_life_s);
    if !slower {
        return refuse("half_life_negative_s", "shorter than half_life_s");
    }
    if s.excess_max_bp < s.excess_min_bp {
        return refuse("excess_max_bp", "less than excess_min_bp");
    }
    // Else the unilateral reports of one pair would outweigh a countersigned one that nothing was delivered.
    if s.undelivered_weight_milli < s.unilateral_cap_milli {
        return refuse("undelivered_weight_milli", "less than unilateral_cap_milli");
    }
    // Between the two a ramp falls from all to nothing; it divides by their difference.
    for low in Scoring::PARAMETERS {
        if let Some(what) = low.name.strip_suffix("_low_milli") {
            let high = format!("{what}_high_milli");
            if s.get(low.name) >= s.get(&high) {
                return refuse(&high, &format!("not above {}", low.name));
            }
        }
    }
    Ok(())
}

fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> PolicyError {
    PolicyError::new(PolicyCode::MemberInvalid, pointer, detail)
}

/// RFC 6901 escaping of one reference token, cut to a bounded length.
fn token(name: &str) -> String {
    name.chars()
        .take(128)
        .collect::<String>()
        .replace('~', "~0")
        .replace('/', "~1")
}

fn object<'a>(value: &'a Value, pointer: &str) -> Result<&'a Map<String, Value>, PolicyError> {
    value
        .as_object()
        .ok_or_else(|| invalid(pointer, "not an object"))
}

fn member<'a>(
    object: &'a Map<String, Value>,
    pointer: &str,
    name: &str,
) -> Result<&'a Value, PolicyError> {
    object.get(name).ok_or_else(|| {
        PolicyError::new(
            PolicyCode::MemberMissing,
            format!("{pointer}/{name}"),
            "required",
        )
    })
}

fn only_known(
    object: &Map<String, Value>,
    pointer: &str,
    known: impl Fn(&str) -> bool,
) -> Result<(), PolicyError> {
    match object.keys().find(|name| !known(name)) {
        Some(name) => Err(PolicyError::new(
            PolicyCode::UnknownMember,
            format!("{pointer}/{}", token(name)),
            "not a member",
        )),
        None => Ok(()),
    }
}

fn integer(value: &Value, pointer: &str, range: RangeInclusive<u64>) -> Result<u64, PolicyError> {
    match value.as_u64() {
        Some(n) if range.contains(&n) => Ok(n),
        _ => Err(invalid(
            pointer,
            format!("not an integer in {}..={}", range.start(), range.end()),
        )),
    }
}

fn constants(
    root: &Map<String, Value>,
    name: &str,
    parameters: &[Parameter],
    mut set: impl FnMut(&str, u64),
) -> Result<(), PolicyError> {
    let pointer = format!("/{name}");
    let object = object(member(root, "", name)?, &pointer)?;
    only_known(object, &pointer, |name| {
        parameters.iter().any(|p| p.name == name)
    })?;
    for p in parameters {
        let value = integer(
            member(object, &pointer, p.name)?,
            &format!("{pointer}/{}", p.name),
            p.min..=p.max,
        )?;
        set(p.name, value);
    }
    Ok(())
}

fn preset_name(value: &Value) -> Result<String, PolicyError> {
    let fits = |name: &&str| {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    value
        .as_str()
        .filter(fits)
        .map(str::to_owned)
        .ok_or_else(|| {
            invalid(
                "/preset",
                "not 1 to 64 lowercase letters, digits and hyphens",
            )
        })
}

fn dids(value: &Value, pointer: &str) -> Result<Vec<Did>, PolicyError> {
    let list = value
        .as_array()
        .ok_or_else(|| invalid(pointer, "not a list"))?;
    if list.len() > MAX_DIDS {
        return Err(invalid(pointer, format!("more than {MAX_DIDS}")));
    }
    let mut out: Vec<Did> = Vec::with_capacity(list.len());
    for (i, item) in list.iter().enumerate() {
        let at = || format!("{pointer}/{i}");
        let did = item
            .as_str()
            .and_then(|text| Did::parse(text).ok())
            .ok_or_else(|| invalid(at(), "not a did:key"))?;
        if out.last().is_some_and(|last| *last >= did) {
            return Err(invalid(at(), "not ascending and distinct"));
        }
        out.push(did);
    }
    Ok(out)
}

fn currencies(value: &Value) -> Result<BTreeMap<String, u64>, PolicyError> {
    let object = object(value, "/currencies")?;
    if object.len() > MAX_CURRENCIES {
        return Err(invalid(
            "/currencies",
            format!("more than {MAX_CURRENCIES}"),
        ));
    }
    let mut out = BTreeMap::new();
    for (code, rate) in object {
        let pointer = format!("/currencies/{}", token(code));
        if !(1..=128).contains(&code.len()) || !code.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid(
                pointer,
                "not a currency code of 1 to 128 characters",
            ));
        }
        out.insert(code.clone(), integer(rate, &pointer, 1..=MAX_RATE_MILLI)?);
    }
    Ok(out)
}

fn bands(value: &Value) -> Result<Vec<u64>, PolicyError> {
    let pointer = "/amount_bands_milli";
    let list = value
        .as_array()
        .ok_or_else(|| invalid(pointer, "not a list"))?;
    if !(1..=MAX_BANDS).contains(&list.len()) {
        return Err(invalid(pointer, format!("not 1 to {MAX_BANDS} bands")));
    }
    let mut out = Vec::with_capacity(list.len());
    for (i, item) in list.iter().enumerate() {
        out.push(integer(item, &format!("{pointer}/{i}"), 0..=MAX_INTEGER)?);
    }
    if out.first() != Some(&0)
        || out.iter().collect::<BTreeSet<_>>().len() != out.len()
        || !out.is_sorted()
    {
        return Err(invalid(pointer, "not ascending from 0"));
    }
    Ok(out)
}
