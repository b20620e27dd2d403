//! The published schemas take every document that this crate takes.

use std::path::Path;

use goodstanding_verify::{b64, jws::Compact};
use serde_json::Value;

use crate::{text, vectors};

fn schema(name: &str) -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../schemas/{name}.schema.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn accepts_all(name: &str, documents: impl Iterator<Item = Value>) {
    let mut schema = schema(name);
    if name == "entry" {
        // The one reference from schema to schema, put in place so that nothing is fetched.
        let text = schema
            .to_string()
            .replace(r#"{"$ref":"policy.schema.json"}"#, r#"{"type":"object"}"#);
        schema = serde_json::from_str(&text).unwrap();
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut count = 0;
    for document in documents {
        count += 1;
        if let Err(error) = validator.validate(&document) {
            panic!("{name}: {error}\n{document}");
        }
    }
    assert!(count > 0, "{name}: no documents");
}

fn good(file: &str) -> impl Iterator<Item = Value> {
    vectors(file)
        .into_iter()
        .filter(|case| case["code"].is_null())
}

fn payload(jws: &str) -> Value {
    Compact::parse(jws).unwrap().payload_json().unwrap()
}

#[test]
fn schemas_take_what_we_take() {
    accepts_all(
        "trade-outcome",
        good("reports.json").map(|case| payload(text(&case, "jws"))),
    );
    accepts_all(
        "trust-bundle",
        good("trust-bundle.json").map(|case| payload(text(&case, "jws"))),
    );
    accepts_all(
        "status-list",
        good("status-list.json").map(|case| payload(text(&case, "jws"))),
    );
    accepts_all(
        "log-successor",
        good("successor.json").map(|case| payload(text(&case, "jws"))),
    );
    accepts_all(
        "token",
        good("token.json").map(|case| payload(text(&case, "token").split('~').next().unwrap())),
    );
    let entry = |case: Value| {
        serde_json::from_slice(&b64::std_decode(text(&case, "bytes_base64")).unwrap()).unwrap()
    };
    accepts_all("entry", good("entries.json").map(entry));
    let statements = |case: Value| case["statements"].as_array().unwrap().clone();
    accepts_all(
        "claims",
        good("statement.json")
            .flat_map(statements)
            .map(|item| item["claims"].clone()),
    );
    let statement = |item: Value| serde_json::from_str(text(&item, "statement")).unwrap();
    accepts_all(
        "statement",
        good("statement.json").flat_map(statements).map(statement),
    );
}
