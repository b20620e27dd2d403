//! The OpenAPI 3.1 description, built from one table. `schemas/openapi.json` is this document; a test compares them, and
//! another sends a request to every path of it.

mod explanation;

use serde_json::{Map, Value, json};

/// One operation.
struct Operation {
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    /// Query parameters: name and meaning.
    query: &'static [(&'static str, &'static str)],
    /// Media types of the request body.
    takes: &'static [&'static str],
    /// Success status, media type and schema of the body.
    gives: &'static [(u16, &'static str, &'static str)],
    /// Problem statuses.
    problems: &'static [u16],
    /// Needs a bearer token.
    operator: bool,
    /// Who is let through with `visibility = "auditors"`.
    guard: Guard,
}

/// Whom `visibility = "auditors"` keeps out.
enum Guard {
    /// Nobody.
    None,
    /// Everyone without an auditor's bearer token.
    Auditor,
    /// Agents too may read, with a proof, what is their own.
    Own,
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const TEXT: &str = "text/plain";
const JWT: &str = "application/jwt";
/// To a request whose `If-None-Match` names the answer's tag.
const NOT_MODIFIED: (u16, &str, &str) = (304, "", "");
const PAGE: (&str, &str) = ("limit", "1 to 1000, 100 if absent");
const CURSOR: (&str, &str) = ("cursor", "`next_cursor` of the page before");

const fn get(
    path: &'static str,
    summary: &'static str,
    gives: &'static [(u16, &'static str, &'static str)],
    problems: &'static [u16],
) -> Operation {
    Operation {
        path,
        method: "get",
        summary,
        query: &[],
        takes: &[],
        gives,
        problems,
        operator: false,
        guard: Guard::None,
    }
}

const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        takes: &[JWT, NDJSON],
        ..get(
            "/v1/reports",
            "Submit one signed report (application/jwt) or one a line (application/x-ndjson, at most 10,000 lines and 32 MiB)",
            &[(201, JSON, "Receipt"), (200, NDJSON, "LineAnswer")],
            &[400, 409, 413, 415, 422, 429, 503],
        )
    },
    Operation {
        guard: Guard::Own,
        query: &[
            ("subject", "did:key reported on"),
            ("reporter", "did:key that reports"),
            ("market", "exact market"),
            ("trade_id", "exact trade id"),
            ("since", "log time at or after, Unix seconds"),
            PAGE,
            CURSOR,
        ],
        ..get(
            "/v1/reports",
            "List reports, ascending by log index",
            &[(200, JSON, "ReportPage")],
            &[400, 503],
        )
    },
    Operation {
        guard: Guard::Own,
        ..get(
            "/v1/reports/{id}",
            "One report with its signed bytes, or that it was erased",
            &[(200, JSON, "ReportOrErased")],
            &[400, 404, 503],
        )
    },
    get(
        "/v1/reports/{id}/receipt",
        "tlog-proof under the newest published checkpoint",
        &[(200, TEXT, "Text")],
        &[400, 404, 503],
    ),
    Operation {
        method: "post",
        operator: true,
        takes: &[JSON],
        ..get(
            "/v1/reports/{id}/erasure",
            "Erase a report's bytes for good: {\"reason\": \"personal_data | court_order | malware | author_request\"}",
            &[(201, JSON, "ErasedNow")],
            &[400, 401, 403, 404, 409, 413, 415, 503],
        )
    },
    Operation {
        guard: Guard::Own,
        ..get(
            "/v1/agents/{did}",
            "An agent's statement in the newest epoch",
            &[(200, JSON, "Agent")],
            &[400, 404, 503],
        )
    },
    Operation {
        guard: Guard::Own,
        query: &[
            (
                "limit",
                "at most so many contributions, the heaviest first: 1 to 1000, 100 if absent",
            ),
            CURSOR,
        ],
        ..get(
            "/v1/agents/{did}/explanation",
            "What made the score: every contribution with its reports, what was dampened and why, what one more trade would change",
            &[(200, JSON, "Explanation")],
            &[400, 404, 409, 503],
        )
    },
    Operation {
        guard: Guard::Own,
        query: &[PAGE, CURSOR],
        ..get(
            "/v1/agents/{did}/history",
            "An agent's statements, newest epoch first",
            &[(200, JSON, "HistoryPage")],
            &[400, 404, 503],
        )
    },
    Operation {
        operator: true,
        query: &[("alias", "exact name"), PAGE, CURSOR],
        ..get(
            "/v1/aliases",
            "The names that imports gave to agents, ascending",
            &[(200, JSON, "AliasPage")],
            &[400, 401, 403, 404, 503],
        )
    },
    Operation {
        method: "post",
        operator: true,
        takes: &[JSON],
        ..get(
            "/v1/aliases",
            "Name agents: {\"aliases\": {\"<name>\": \"<did>\", …}}, at most 1 MiB",
            &[(200, JSON, "Object")],
            &[400, 401, 403, 409, 413, 415, 503],
        )
    },
    Operation {
        query: &[PAGE, CURSOR],
        ..get(
            "/v1/epochs",
            "List epochs, newest first",
            &[(200, JSON, "EpochPage")],
            &[400, 503],
        )
    },
    Operation {
        method: "post",
        operator: true,
        query: &[("as_of", "Unix seconds; now if absent")],
        ..get(
            "/v1/epochs",
            "Compute and log an epoch now",
            &[(201, JSON, "Object")],
            &[400, 401, 403, 409, 422, 503],
        )
    },
    get(
        "/v1/epochs/{number}",
        "One epoch",
        &[(200, JSON, "Epoch")],
        &[400, 404, 503],
    ),
    Operation {
        guard: Guard::Auditor,
        query: &[("from", "first leaf, 0 if absent")],
        ..get(
            "/v1/epochs/{number}/statements",
            "Agents and claims in leaf order",
            &[(200, NDJSON, "Object")],
            &[400, 404, 503],
        )
    },
    Operation {
        guard: Guard::Auditor,
        ..get(
            "/v1/epochs/{number}/salt-key",
            "K_epoch, which rebuilds every statement",
            &[(200, JSON, "Object")],
            &[400, 404, 503],
        )
    },
    Operation {
        guard: Guard::Auditor,
        query: &[
            ("start", "first index, 0 if absent"),
            ("end", "index after the last, the published size if absent"),
        ],
        ..get(
            "/v1/log/bodies",
            "Signed bytes of entries that have them",
            &[(200, NDJSON, "Object")],
            &[400, 404, 503],
        )
    },
    Operation {
        query: &[
            ("from", "size of the older tree"),
            ("to", "size of the newer tree, the published size if absent"),
        ],
        ..get(
            "/v1/log/consistency",
            "Proof that the tree of `to` entries extends that of `from` (RFC 6962)",
            &[(200, JSON, "Consistency"), NOT_MODIFIED],
            &[400, 404, 503],
        )
    },
    Operation {
        query: &[
            ("index", "the entry; either this or `report`"),
            ("report", "id of the entry's report"),
            (
                "size",
                "under the published checkpoint of this size, the newest if absent",
            ),
        ],
        ..get(
            "/v1/log/inclusion",
            "tlog-proof of an entry under a published checkpoint",
            &[(200, TEXT, "Text"), NOT_MODIFIED],
            &[400, 404, 503],
        )
    },
    get(
        "/checkpoint",
        "Newest published checkpoint (C2SP tlog-checkpoint)",
        &[(200, TEXT, "Text"), NOT_MODIFIED],
        &[503],
    ),
    get(
        "/tile/{path}",
        "Hash tiles and entry bundles (C2SP tlog-tiles)",
        &[(200, "application/octet-stream", "Bytes"), NOT_MODIFIED],
        &[404, 503],
    ),
    Operation {
        query: &[PAGE, CURSOR],
        ..get(
            "/v1/log/checkpoints",
            "Every checkpoint that was ever published, ascending",
            &[(200, JSON, "PublishedCheckpointPage")],
            &[400, 503],
        )
    },
    get(
        "/v1/log/successor",
        "The signed notice of a log that has ended",
        &[(200, "application/log-successor+jwt", "Text")],
        &[404],
    ),
    get(
        "/v1/keys",
        "Every key of the service that the log names, with its validity",
        &[(200, JSON, "KeyPage")],
        &[503],
    ),
    Operation {
        method: "post",
        operator: true,
        takes: &[JSON],
        ..get(
            "/v1/keys",
            "Rotate, retire or revoke a key: {\"use\", \"action\", \"kid\"?, \"from\"?, \"reason\"?}",
            &[(201, JSON, "KeyChange"), (200, JSON, "KeyChange")],
            &[400, 401, 403, 404, 409, 413, 415, 503],
        )
    },
    Operation {
        method: "post",
        takes: &[JWT, JSON],
        ..get(
            "/v1/tokens",
            "Exchange a proof of possession for a token",
            &[(200, JSON, "Issued")],
            &[400, 404, 413, 415, 422, 429, 503],
        )
    },
    Operation {
        method: "post",
        ..get(
            "/oid4vci/nonce",
            "A nonce for a proof of possession",
            &[(200, JSON, "Object")],
            &[429],
        )
    },
    get(
        "/v1/trust-bundle",
        "Everything a verifier needs beside a token, signed",
        &[(200, "application/trust-bundle+jwt", "Text")],
        &[503],
    ),
    get(
        "/v1/status-lists",
        "Status list aggregation",
        &[(200, JSON, "Object")],
        &[503],
    ),
    get(
        "/v1/status-lists/{n}",
        "A status list token",
        &[(200, "application/statuslist+jwt", "Text")],
        &[400, 404, 503],
    ),
    get(
        "/.well-known/jwt-vc-issuer",
        "JWT VC issuer metadata",
        &[(200, JSON, "Object")],
        &[503],
    ),
    get(
        "/.well-known/jwks.json",
        "Token keys",
        &[(200, JSON, "Object")],
        &[503],
    ),
    get(
        "/vct/agent-reputation/1",
        "Type metadata of the token",
        &[(200, JSON, "Object")],
        &[],
    ),
    get(
        "/v1/errors",
        "Registry of error codes",
        &[(200, JSON, "Object")],
        &[],
    ),
    get(
        "/openapi.json",
        "This document",
        &[(200, JSON, "Object")],
        &[],
    ),
    get(
        "/livez",
        "The process answers",
        &[(200, JSON, "Object")],
        &[],
    ),
    get(
        "/metrics",
        "What operators watch, as OpenMetrics text",
        &[(200, "application/openmetrics-text", "Text")],
        &[],
    ),
    get(
        "/readyz",
        "Database and log are usable",
        &[(200, JSON, "Object"), (503, JSON, "Object")],
        &[],
    ),
];

/// The whole document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let entry = paths.entry(operation.path).or_insert_with(|| json!({}));
        entry[operation.method] = describe(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Goodstanding",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Signed trade reports in, recomputable scores and offline-verifiable tokens out.",
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "operator": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "auditor": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "Only where the service says `visibility = \"auditors\"`",
                },
                "holder": {
                    "type": "http", "scheme": "Proof", "bearerFormat": "JWT",
                    "description": "An agent that reads its own: an openid4vci-proof+jwt over a fresh nonce, as for POST /v1/tokens",
                },
            },
            "schemas": schemas(),
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    for (name, meaning) in operation.query {
        parameters.push(json!({"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}}));
    }
    let mut responses = Map::new();
    for (status, media, schema) in operation.gives {
        if media.is_empty() {
            responses.insert(status.to_string(), json!({"description": "Not modified"}));
            continue;
        }
        let content =
            json!({*media: {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
        responses.insert(
            status.to_string(),
            json!({"description": "Success", "content": content}),
        );
    }
    let of_guard: &[u16] = match operation.guard {
        Guard::None => &[],
        Guard::Auditor | Guard::Own => &[400, 401, 403, 404, 422, 429],
    };
    let problems = operation.problems.iter().chain(of_guard);
    for status in problems.chain(&[405, 500]) {
        let content = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        responses.insert(
            status.to_string(),
            json!({"description": "Problem", "content": content}),
        );
    }
    let id = format!("{} {}", operation.method, operation.path);
    let mut described =
        json!({"operationId": id, "summary": operation.summary, "responses": responses});
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if !operation.takes.is_empty() {
        let content: Map<_, _> = operation
            .takes
            .iter()
            .map(|media| ((*media).to_owned(), json!({"schema": {"type": "string"}})))
            .collect();
        described["requestBody"] = json!({"required": true, "content": content});
    }
    if operation.operator {
        described["security"] = json!([{"operator": []}]);
    }
    // Nothing where everything is public.
    match operation.guard {
        Guard::None => {}
        Guard::Auditor => described["security"] = json!([{}, {"auditor": []}]),
        Guard::Own => described["security"] = json!([{}, {"auditor": []}, {"holder": []}]),
    }
    described
}

fn page_of(item: &str) -> Value {
    json!({
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{item}")}},
            "next_cursor": {"type": ["string", "null"]},
        },
    })
}

fn schemas() -> Value {
    let claims: Value =
        serde_json::from_str(include_str!("../../schemas/claims.schema.json")).unwrap_or_default();
    let index = json!({"type": "integer", "minimum": 0});
    let level = json!({"enum": ["unilateral", "matched", "countersigned", "receipt", null]});
    json!({
        "Problem": {
            "type": "object",
            "description": "RFC 9457. The codes are listed at /v1/errors.",
            "required": ["type", "title", "status", "code", "detail"],
            "properties": {
                "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                "code": {"type": "string"}, "detail": {"type": "string"},
            },
        },
        "Receipt": {
            "type": "object",
            "required": ["report_id", "leaf_index", "receipt", "witnessed"],
            "properties": {
                "report_id": {"type": "string"}, "leaf_index": index,
                "receipt": {"type": "string", "description": "tlog-proof under a signed checkpoint"},
                "witnessed": {"type": "boolean"},
            },
        },
        "LineAnswer": {
            "description": "One JSON object a line, in order: the place in the log, or a problem",
            "oneOf": [
                {"type": "object", "required": ["report_id", "leaf_index"], "properties": {"report_id": {"type": "string"}, "leaf_index": index}},
                {"$ref": "#/components/schemas/Problem"},
            ],
        },
        "Report": {
            "type": "object",
            "required": ["report_id", "leaf_index", "at", "historical", "superseded", "level", "level_in_epoch", "report"],
            "properties": {
                "report_id": {"type": "string"}, "leaf_index": index, "at": index,
                "historical": {"type": "boolean"}, "superseded": {"type": "boolean"},
                "level": level, "level_in_epoch": level,
                "report": {"type": "object", "description": "The signed payload, schemas/trade-outcome.schema.json"},
                "jws": {"type": "string"},
            },
        },
        "ReportPage": page_of("Report"),
        "ReportOrErased": {"oneOf": [{"$ref": "#/components/schemas/Report"}, {"$ref": "#/components/schemas/Erased"}]},
        "ErasedNow": {
            "allOf": [{"$ref": "#/components/schemas/Erased"}],
            "required": ["published"],
            "properties": {"published": {"type": "boolean", "description": "false: durable, and waits for a quorum of witnesses"}},
        },
        "Erased": {
            "type": "object",
            "required": ["report_id", "leaf_index", "erased", "reason", "erasure_index", "erased_at"],
            "properties": {
                "report_id": {"type": "string"}, "leaf_index": index, "erased": {"const": true},
                "reason": {"enum": ["personal_data", "court_order", "malware", "author_request"]},
                "erasure_index": index, "erased_at": index,
            },
        },
        "PublishedCheckpoint": {
            "type": "object",
            "required": ["size", "published_ms", "note"],
            "properties": {"size": index, "published_ms": index, "note": {"type": "string"}},
        },
        "PublishedCheckpointPage": page_of("PublishedCheckpoint"),
        "Key": {
            "type": "object",
            "required": ["use", "kid", "jwk", "from", "to", "revoked", "state", "published"],
            "properties": {
                "use": {"enum": ["token", "status", "bundle", "casework"]}, "kid": {"type": "string"}, "jwk": {"type": "object"},
                "from": index, "to": {"type": ["integer", "null"]}, "revoked": {"type": ["integer", "null"]},
                "state": {"enum": ["announced", "active", "valid", "retired", "revoked"]}, "published": {"type": "boolean"},
            },
        },
        "KeyPage": page_of("Key"),
        "KeyChange": {
            "type": "object",
            "required": ["changed", "events", "keys", "published"],
            "properties": {
                "published": {"type": "boolean", "description": "false: durable, and waits for a quorum of witnesses"},
                "changed": {"type": "boolean"}, "events": {"type": "array", "items": {"type": "object"}},
                "keys": {"type": "array", "items": {"$ref": "#/components/schemas/Key"}},
            },
        },
        "Alias": {
            "type": "object",
            "required": ["alias", "agent"],
            "properties": {"alias": {"type": "string"}, "agent": {"type": "string"}},
        },
        "AliasPage": page_of("Alias"),
        "Claims": claims,
        "Agent": {
            "type": "object",
            "required": ["agent", "epoch", "as_of", "statement_index", "claims"],
            "properties": {
                "agent": {"type": "string"}, "epoch": index, "as_of": index, "statement_index": index,
                "claims": {"$ref": "#/components/schemas/Claims"},
            },
        },
        "History": {
            "type": "object",
            "required": ["epoch", "as_of", "claims"],
            "properties": {"epoch": index, "as_of": index, "claims": {"$ref": "#/components/schemas/Claims"}},
        },
        "HistoryPage": page_of("History"),
        "Explanation": explanation::schema(),
        "Contribution": explanation::contribution(),
        "Epoch": {
            "type": "object",
            "required": ["number", "leaf_index", "at", "as_of", "log_size", "policy", "statements", "score_root", "flags_root", "salt_key_sha256", "code"],
            "properties": {
                "number": index, "leaf_index": index, "at": index, "as_of": index, "log_size": index, "policy": index, "statements": index,
                "score_root": {"type": "string"}, "flags_root": {"type": "string"}, "salt_key_sha256": {"type": "string"}, "code": {"type": "string"},
            },
        },
        "EpochPage": page_of("Epoch"),
        "Issued": {
            "type": "object",
            "required": ["token", "expires_at"],
            "properties": {"token": {"type": "string"}, "expires_at": index},
        },
        "Consistency": {
            "type": "object",
            "description": "Hashes in standard base64. Check the roots against signed checkpoints, then the path (RFC 9162 section 2.1.4.2).",
            "required": ["from", "to", "from_root", "to_root", "hashes"],
            "properties": {
                "from": index, "to": index, "from_root": {"type": "string"}, "to_root": {"type": "string"},
                "hashes": {"type": "array", "items": {"type": "string"}},
            },
        },
        "Object": {"type": "object"},
        "Text": {"type": "string"},
        "Bytes": {"type": "string", "contentEncoding": "binary"},
    })
}
