//! Policies: the presets, what is refused, and that the schema says the same.

use goodstanding_score::policy::{Admission, PRESETS, Policy, PolicyCode, Scoring};
use serde_json::{Value, json};

fn preset() -> Value {
    Policy::preset("agent-market").unwrap().to_value()
}

#[test]
fn presets_read_back() {
    for name in PRESETS {
        let policy = Policy::preset(name).unwrap();
        assert_eq!(policy.preset, *name);
        assert_eq!(Policy::parse(&policy.to_value()).unwrap(), policy);
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }
    assert_eq!(
        Policy::preset("other").unwrap_err().code(),
        PolicyCode::PresetUnknown
    );
}

#[test]
fn every_member_is_required_and_no_other_is_allowed() {
    let whole = preset();
    let members: Vec<String> = whole.as_object().unwrap().keys().cloned().collect();
    for member in members {
        let mut value = whole.clone();
        value.as_object_mut().unwrap().remove(&member);
        let error = Policy::parse(&value).unwrap_err();
        assert_eq!(
            (error.code(), error.pointer()),
            (PolicyCode::MemberMissing, format!("/{member}").as_str())
        );
    }
    for (object, parameters) in [
        ("scoring", Scoring::PARAMETERS),
        ("admission", Admission::PARAMETERS),
    ] {
        for p in parameters {
            let mut value = whole.clone();
            value[object].as_object_mut().unwrap().remove(p.name);
            let error = Policy::parse(&value).unwrap_err();
            assert_eq!(error.code(), PolicyCode::MemberMissing);
            assert_eq!(error.pointer(), format!("/{object}/{}", p.name));
        }
    }
    for pointer in ["", "/scoring", "/admission", "/detection"] {
        let mut value = whole.clone();
        value.pointer_mut(pointer).unwrap()["a/b~"] = json!(1);
        let error = Policy::parse(&value).unwrap_err();
        assert_eq!(
            (error.code(), error.pointer()),
            (
                PolicyCode::UnknownMember,
                format!("{pointer}/a~1b~0").as_str()
            )
        );
    }
}

#[test]
fn ranges_are_checked() {
    let whole = preset();
    for p in Scoring::PARAMETERS {
        for bad in [
            json!(p.max + 1),
            json!(-1),
            json!(1.5),
            json!("1"),
            json!(null),
        ] {
            let mut value = whole.clone();
            value["scoring"][p.name] = bad;
            let error = Policy::parse(&value).unwrap_err();
            assert_eq!(
                (error.code(), error.pointer()),
                (
                    PolicyCode::MemberInvalid,
                    format!("/scoring/{}", p.name).as_str()
                )
            );
        }
    }
    for (pointer, bad) in [
        ("/preset", json!("")),
        ("/preset", json!("Agent market")),
        ("/seeds", json!(["did:key:x"])),
        ("/seeds", json!({})),
        ("/currencies", json!({"USD": 0})),
        ("/currencies", json!({"": 1})),
        ("/amount_bands_milli", json!([])),
        ("/amount_bands_milli", json!([1, 2])),
        ("/amount_bands_milli", json!([0, 5, 5])),
        ("/amount_bands_milli", json!([0, 9, 5])),
        ("/rotation_delay_s", json!(315_360_001)),
        ("/scoring/value_cap_milli", json!(1)),
        ("/scoring/half_life_negative_s", json!(1)),
    ] {
        let mut value = whole.clone();
        *value.pointer_mut(pointer).unwrap() = bad;
        let error = Policy::parse(&value).unwrap_err();
        assert_eq!(error.code(), PolicyCode::MemberInvalid, "{pointer}");
        assert!(error.pointer().starts_with(pointer), "{error}");
    }
    for bad in [json!(null), json!([]), json!("x")] {
        assert!(Policy::parse(&bad).is_err());
    }
}

#[test]
fn codes_are_distinct_and_documented() {
    let mut names: Vec<&str> = PolicyCode::ALL.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), PolicyCode::ALL.len());
    assert!(
        PolicyCode::ALL
            .iter()
            .all(|c| c.as_str().starts_with("policy.")
                && !c.title().is_empty()
                && !c.meaning().is_empty())
    );
}

#[test]
fn the_schema_says_what_the_code_checks() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../schemas/policy.schema.json"
    );
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let same_members = |schema: &Value, members: Vec<&str>| {
        let mut required: Vec<&str> = schema["required"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut properties: Vec<&str> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut members = members;
        for list in [&mut required, &mut properties, &mut members] {
            list.sort_unstable();
        }
        assert_eq!(required, members);
        assert_eq!(properties, members);
        assert_eq!(schema["additionalProperties"], json!(false));
    };
    let whole = preset();
    same_members(
        &schema,
        whole
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect(),
    );
    for (object, parameters) in [
        ("scoring", Scoring::PARAMETERS),
        ("admission", Admission::PARAMETERS),
    ] {
        let part = &schema["properties"][object];
        same_members(part, parameters.iter().map(|p| p.name).collect());
        for p in parameters {
            let expected = json!({"type": "integer", "minimum": p.min, "maximum": p.max, "description": p.meaning});
            assert_eq!(part["properties"][p.name], expected, "{}", p.name);
        }
    }
}

/// A row of the table of section 12: name, the value in each preset, range, meaning.
type Documented = (String, Vec<u64>, (u64, u64), String);

fn documented() -> Vec<Documented> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SCORING.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("\n## 12. Policy\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let head = format!("| constant | {} | range | meaning |", PRESETS.join(" | "));
    let (_, table) = section.split_once(&head).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let row = row
            .strip_prefix("| ")
            .and_then(|row| row.strip_suffix(" |"));
        let cells: Vec<&str> = row.unwrap().split(" | ").collect();
        let [name, values @ .., range, meaning] = cells.as_slice() else {
            panic!("{cells:?}")
        };
        let (min, max) = range.split_once("..").unwrap();
        (
            name.trim_matches('`').to_owned(),
            values.iter().map(|value| value.parse().unwrap()).collect(),
            (min.parse().unwrap(), max.parse().unwrap()),
            (*meaning).to_owned(),
        )
    })
    .collect()
}

#[test]
fn the_table_of_the_documentation_is_the_table_of_the_code() {
    let presets = PRESETS.iter().map(|name| Policy::preset(name).unwrap());
    let presets: Vec<Policy> = presets.collect();
    let of_code: Vec<Documented> = Scoring::PARAMETERS
        .iter()
        .map(|p| {
            let values = presets.iter().map(|policy| policy.scoring.get(p.name));
            (
                p.name.to_owned(),
                values.map(Option::unwrap).collect(),
                (p.min, p.max),
                p.meaning.to_owned(),
            )
        })
        .collect();
    let of_page = documented();
    for (page, code) in of_page.iter().zip(&of_code) {
        assert_eq!(page, code, "docs/SCORING.md, section 12");
    }
    assert_eq!(of_page.len(), of_code.len());
}

/// A preset file is what a reader sees first: its members are in the order of the page.
#[test]
fn the_presets_are_in_the_order_of_the_documentation() {
    for name in PRESETS {
        let path = format!("{}/presets/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let places: Vec<usize> = Scoring::PARAMETERS
            .iter()
            .map(|p| text.find(&format!("\"{}\":", p.name)).unwrap())
            .collect();
        assert!(places.is_sorted(), "{name}");
    }
}

#[test]
fn relations_between_members_are_checked() {
    let refused = |changes: &[(&str, u64)], member: &str, why: &str| {
        let mut value = preset();
        for (name, to) in changes {
            value["scoring"][*name] = json!(to);
        }
        let error = Policy::parse(&value).unwrap_err();
        assert_eq!(error.code(), PolicyCode::MemberInvalid, "{changes:?}");
        assert_eq!(error.pointer(), format!("/scoring/{member}"));
        assert_eq!(error.detail(), why);
    };
    let ramps = ["reciprocal", "slander", "boost", "wash", "value_z"];
    for what in ramps {
        let (low, high) = (format!("{what}_low_milli"), format!("{what}_high_milli"));
        let why = format!("not above {low}");
        refused(&[(&low, 500), (&high, 500)], &high, &why);
        refused(&[(&low, 501), (&high, 500)], &high, &why);
        let mut value = preset();
        value["scoring"][&low] = json!(499);
        value["scoring"][&high] = json!(500);
        assert!(Policy::parse(&value).is_ok(), "{what}");
    }
    // No ramp escapes: every member of this name has a partner above.
    let lows = Scoring::PARAMETERS.iter();
    let lows = lows.filter_map(|p| p.name.strip_suffix("_low_milli"));
    assert_eq!(lows.collect::<Vec<_>>(), ramps);

    let range = [("excess_min_bp", 600), ("excess_max_bp", 599)];
    refused(&range, "excess_max_bp", "less than excess_min_bp");
    let unilateral = [
        ("unilateral_cap_milli", 601),
        ("undelivered_weight_milli", 600),
    ];
    refused(
        &unilateral,
        "undelivered_weight_milli",
        "less than unilateral_cap_milli",
    );
    let value = [("value_base_milli", 300), ("value_cap_milli", 299)];
    refused(&value, "value_cap_milli", "less than value_base_milli");
    for (positive, negative) in [(100, 99), (0, 99)] {
        let lives = [
            ("half_life_s", positive),
            ("half_life_negative_s", negative),
        ];
        refused(&lives, "half_life_negative_s", "shorter than half_life_s");
    }
    let mut equal = preset();
    for (name, to) in [
        ("excess_min_bp", 600),
        ("excess_max_bp", 600),
        ("value_base_milli", 300),
        ("value_cap_milli", 300),
        ("half_life_s", 100),
        ("half_life_negative_s", 0),
    ] {
        equal["scoring"][name] = json!(to);
    }
    assert!(Policy::parse(&equal).is_ok());
}
