#!/usr/bin/env python3
"""Writes the golden vectors beside this file; `--check` compares instead and exits 1 on any difference.

Needs Python 3.11 and `cryptography`. Uses nothing of the Rust code.
"""

import json
import pathlib
import sys

import primitives

HERE = pathlib.Path(__file__).parent


def as_text(cases):
    return json.dumps(cases, indent=1, ensure_ascii=False) + "\n"


def files():
    import logs
    import reports
    import scores
    import successors
    import tokens

    log = logs.Log(logs.log_entries())
    yield "keys.json", reports.keys_json()
    yield "reports.json", reports.reports_json()
    yield "terms.json", reports.terms_json()
    yield "statement.json", logs.statement_json()
    yield "entries.json", logs.entries_json(log)
    yield "log.json", logs.log_json(log)
    yield "checkpoints.json", logs.checkpoints_json(log)
    service = tokens.Service(log)
    yield "trust-bundle.json", tokens.bundle_json(service)
    yield "status-list.json", tokens.status_json(service)
    yield "successor.json", successors.successor_json(service)
    yield "token.json", tokens.token_json(service)
    yield "scores.json", scores.scores_json(), scores.text


def main():
    primitives.self_test()
    check = "--check" in sys.argv[1:]
    different = []
    for name, cases, *written in files():
        assert len({case["name"] for case in cases}) == len(cases), name
        text = (written or [as_text])[0](cases)
        assert json.loads(text) == cases, name
        data = text.encode()
        target = HERE / name
        if check:
            if not target.exists() or target.read_bytes() != data:
                different.append(name)
        else:
            target.write_bytes(data)
        bad = sum(case.get("code") is not None for case in cases)
        print(f"{name}: {len(cases)} cases, {bad} of them to be refused")
    if different:
        print("different: " + ", ".join(different))
        sys.exit(1)


if __name__ == "__main__":
    main()
