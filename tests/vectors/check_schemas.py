#!/usr/bin/env python3
"""Checks the vectors against `schemas/`: what is valid must pass. Lists refused documents that pass the schema.

Needs `jsonschema`. With `-v` the list names each case.
"""

import base64
import collections
import json
import pathlib
import sys

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

HERE = pathlib.Path(__file__).parent
SCHEMAS = {path.name: json.loads(path.read_text()) for path in (HERE.parents[1] / "schemas").glob("*.schema.json")}
if "policy.schema.json" not in SCHEMAS:
    print("no policy.schema.json: policies are not checked")
    SCHEMAS["policy.schema.json"] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
REGISTRY = Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items())
FAILED = []
PASSED_NEGATIVES = collections.defaultdict(list)
COUNT = collections.Counter()


def validator(name):
    schema = SCHEMAS[name + ".schema.json"]
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=REGISTRY)


VALIDATORS = {name.removesuffix(".schema.json"): validator(name.removesuffix(".schema.json")) for name in SCHEMAS}


def cases(name):
    return json.loads((HERE / name).read_text())


def positive(schema, name, document):
    COUNT[schema] += 1
    errors = list(VALIDATORS[schema].iter_errors(document))
    if errors:
        FAILED.append(f"{schema} {name}: {errors[0].json_path} {errors[0].message[:200]}")


def negative(schema, case, document):
    if VALIDATORS[schema].is_valid(document):
        PASSED_NEGATIVES[f"{schema} {case['code']}"].append(case["name"])


def part(jws, index=1):
    try:
        text = jws.split(".")[index]
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, IndexError):
        return None


for case in cases("reports.json"):
    if case["code"] is None:
        assert part(case["jws"]) == case["payload"], case["name"]
        positive("trade-outcome", case["name"], case["payload"])
        for item in case["payload"].get("evidence", []):
            if item["type"] == "terms":
                positive("trade-terms", case["name"], part(item["document"]))
            if item["type"] == "market":
                positive("trade-attestation", case["name"], part(item["document"]))
        for bid in case["payload"]["trade"].get("auction", {}).get("bids", []):
            if "document" in bid:
                positive("auction-bid", case["name"], part(bid["document"]))
    elif (payload := part(case["jws"])) is not None:
        negative("trade-outcome", case, payload)
        if case["code"] == "report.terms_invalid" and (inner := part(payload["evidence"][0]["document"])):
            negative("trade-terms", case, inner)
        if case["code"] == "report.attestation_invalid" and (inner := part(payload["evidence"][0]["document"])):
            negative("trade-attestation", case, inner)
for case in cases("terms.json"):
    positive({"trade-terms+jwt": "trade-terms", "trade-attestation+jwt": "trade-attestation",
              "auction-bid+jwt": "auction-bid"}[case["typ"]], case["name"], case["payload"])
for case in cases("entries.json"):
    if case["code"] is None:
        positive("entry", case["name"], case["entry"])
    else:
        try:
            negative("entry", case, json.loads(base64.b64decode(case["bytes_base64"])))
        except ValueError:
            pass
for case in cases("statement.json"):
    for item in case.get("statements", []):
        positive("statement", case["name"], json.loads(item["statement"]))
        positive("claims", case["name"], item["claims"])
    if case["code"]:
        try:
            negative("statement", case, json.loads(base64.b64decode(case["bytes_base64"])))
        except ValueError:
            pass
for case in cases("token.json"):
    payload = part(case["token"].split("~")[0])
    if case["code"] is None:
        positive("token", case["name"], payload)
        if case["key_binding"]:
            positive("key-binding", case["name"], part(case["token"].split("~")[-1]))
    elif payload is not None:
        negative("token", case, payload)
for name, schema in (("trust-bundle.json", "trust-bundle"), ("status-list.json", "status-list"),
                     ("successor.json", "log-successor")):
    for case in cases(name):
        payload = part(case["jws"])
        if case["code"] is None:
            positive(schema, case["name"], payload)
        elif payload is not None:
            negative(schema, case, payload)

print("valid documents checked:", dict(COUNT))
print("refused documents that their schema lets through (the fault is not one a schema can express):")
for label, names in sorted(PASSED_NEGATIVES.items()):
    print(f"  {label}: {len(names)}" + (" " + ", ".join(names) if "-v" in sys.argv else ""))
for line in FAILED:
    print("FAILED", line)
sys.exit(bool(FAILED))
