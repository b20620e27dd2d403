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

#[test]
fn the_documentation_names_every_constant() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SCORING.md");
    let text = std::fs::read_to_string(path).unwrap();
    let presets: Vec<Policy> = PRESETS
        .iter()
        .map(|name| Policy::preset(name).unwrap())
        .collect();
    for p in Scoring::PARAMETERS {
        let values: Vec<String> = presets
            .iter()
            .map(|policy| policy.scoring.get(p.name).unwrap().to_string())
            .collect();
        let row = format!(
            "| `{}` | {} | {} | {}..{} | {} |",
            p.name, values[0], values[1], p.min, p.max, p.meaning
        );
        assert!(text.contains(&row), "docs/SCORING.md lacks the row\n{row}");
    }
}
