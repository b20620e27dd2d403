//! Strict JSON: what parses has one canonical form, which parses to the same value and is its own canonical form; and what
//! parses means the same to an ordinary parser. What the text must not have is looked for in the text itself.
#![no_main]

use goodstanding_verify::json;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let ordinary = serde_json::from_slice::<Value>(bytes);
    let foreign = json::parse_foreign(bytes);
    if let Ok(value) = &foreign {
        assert_eq!(ordinary.as_ref().ok(), Some(value));
    }
    let Ok(value) = json::parse(bytes) else {
        assert!(json::parse_canonical(bytes).is_err());
        return;
    };
    assert_eq!(foreign.as_ref(), Ok(&value));
    let shape = Shape::of(bytes);
    assert_eq!(shape.members, members(&value), "a member twice");
    assert!(shape.depth <= json::MAX_DEPTH && !shape.fraction);
    let canonical = json::canonical(&value).expect("strict JSON has a canonical form");
    assert_eq!(json::parse(&canonical).as_ref(), Ok(&value));
    assert_eq!(json::canonical(&value).as_ref(), Ok(&canonical));
    assert_eq!(json::parse_canonical(&canonical), Ok(value));
    assert_eq!(json::parse_canonical(bytes).is_ok(), canonical == bytes);
});

/// What can be seen of well-formed JSON without parsing it.
struct Shape {
    members: usize,
    depth: usize,
    fraction: bool,
}

impl Shape {
    fn of(text: &[u8]) -> Self {
        let mut shape = Self {
            members: 0,
            depth: 0,
            fraction: false,
        };
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        for byte in text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b':' => shape.members += 1,
                b'.' => shape.fraction = true,
                b'[' | b'{' => {
                    depth += 1;
                    shape.depth = shape.depth.max(depth);
                }
                b']' | b'}' => depth -= 1,
                _ => {}
            }
        }
        shape
    }
}

fn members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        _ => 0,
    }
}
