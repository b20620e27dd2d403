"""entries.json, statement.json and log.json."""

import hashlib
import hmac
import json
import pathlib

from primitives import (COSIG, LOG_SIG, b64, b64u, checkpoint_text, consistency, cosign_line, jcs, jcs_text, leaf_hash,
                        log_line, path, root, sha256, tlog_proof, unb64u, vkey)
from reports import ALICE, BOB, CAROL, DAVE, ERIN, KEYS, MARKET_URI, T, base, sign, text_digest

POLICY_FILE = pathlib.Path(__file__).parent / "policy.json"  # a frozen copy of the preset agent-market
ORIGIN = "goodstanding.example/log"
WITNESSES = {f"witness.example/w{n}": KEYS[f"witness-{n}"] for n in (1, 2, 3)}
NO_FLAGS = sha256(b"")

EPOCH_AS_OF = T + 3600
COSIGN_TIME = EPOCH_AS_OF + 120


# --- statements -----------------------------------------------------------------------------------------------------

K_EPOCH = bytes(range(32))


def claims(**changes):
    out = {
        "score_bp": 8731, "uncertainty_bp": 812, "lower_bp": 7510, "lifetime_lower_bp": 7803, "recent_lower_bp": 7510,
        "state": "established", "reports": 412, "counterparties": 57, "effective_counterparties_milli": 23718,
        "evidence_milli": 301250, "attested_bp": 9417,
        "by_kind": {"service": {"lower_bp": 7300, "score_bp": 8600, "reports": 120},
                    "purchase": {"lower_bp": 7900, "score_bp": 8800, "reports": 292}},
        "by_amount_band": [{"from_milli": 0, "lower_bp": 7000, "score_bp": 8500, "reports": 300},
                           {"from_milli": 10000, "lower_bp": 7510, "score_bp": 8900, "reports": 112}],
        "markets": [{"market": MARKET_URI, "reports": 400},
                    {"market": 'urn:market:"\u00fc\\\U0001f600\u20ac/', "reports": 12}],
        "dampening_bp": 10000, "flags": [], "first_seen": T - 90 * 86400, "rotations": 0, "last_rotated": 0,
        "erased_reports": 1, "lower_gte_2500": True, "lower_gte_5000": True, "lower_gte_7500": True,
        "lower_gte_9000": False,
    }
    out.update(changes)
    return out


NEWCOMER = claims(
    score_bp=5000, uncertainty_bp=10000, lower_bp=0, lifetime_lower_bp=0, recent_lower_bp=0, state="unproven", reports=0,
    counterparties=0, effective_counterparties_milli=0, evidence_milli=0, attested_bp=0, by_kind={}, by_amount_band=[],
    markets=[], first_seen=T, erased_reports=0, lower_gte_2500=False, lower_gte_5000=False, lower_gte_7500=False)
SUSPECT = claims(
    score_bp=6200, uncertainty_bp=1500, lower_bp=3120, lifetime_lower_bp=4100, recent_lower_bp=3120, state="contested",
    dampening_bp=2500, flags=["reciprocal_boost", "sybil_ring"], rotations=2, last_rotated=T - 86400,
    lower_gte_5000=False, lower_gte_7500=False)
CLAIMS = {ALICE.did: NEWCOMER, BOB.did: claims(), CAROL.did: SUSPECT}


def statement(agent, values, epoch=1, k_epoch=K_EPOCH):
    k_agent = hmac.new(k_epoch, agent.encode(), hashlib.sha256).digest()
    rows = []
    for name in sorted(values):
        salt = b64u(hmac.new(k_agent, name.encode(), hashlib.sha256).digest()[:16])
        text = jcs_text([salt, name, values[name]])
        disclosure = b64u(text.encode())
        rows.append({"name": name, "salt": salt, "value": values[name], "disclosure_text": text,
                     "disclosure": disclosure, "digest": b64u(sha256(disclosure.encode()))})
    sd = sorted(row["digest"] for row in rows)
    text = statement_text(agent, epoch, sd)
    return {"agent": agent, "epoch": epoch, "claims": values, "k_agent_hex": k_agent.hex(), "disclosures": rows,
            "sd": sd, "statement": text, "leaf_hash_hex": leaf_hash(text.encode()).hex()}


def statement_text(agent, epoch, sd):
    return jcs_text({"v": 1, "kind": "statement", "agent": agent, "epoch": epoch, "sd": sd})


STATEMENTS = [statement(agent, CLAIMS[agent]) for agent in sorted(CLAIMS, key=str.encode)]
STATEMENT_LEAVES = [leaf_hash(item["statement"].encode()) for item in STATEMENTS]
SCORE_ROOT = root(STATEMENT_LEAVES)


def score_path(index):
    return b64u(b"".join(path(index, STATEMENT_LEAVES)))


def statement_json():
    cases = [{
        "name": "epoch_of_three_agents", "epoch": 1, "k_epoch_hex": K_EPOCH.hex(),
        "salt_key_sha256": b64(sha256(K_EPOCH)), "score_root": b64(SCORE_ROOT), "score_root_hex": SCORE_ROOT.hex(),
        "statements": [{"index": index, **item, "path": score_path(index),
                        "path_hex": [h.hex() for h in path(index, STATEMENT_LEAVES)]}
                       for index, item in enumerate(STATEMENTS)],
        "code": None,
    }]
    one = statement(DAVE.did, NEWCOMER, epoch=MAX_SAFE, k_epoch=b"\xff" * 32)
    cases.append({"name": "epoch_of_one_agent", "epoch": MAX_SAFE, "k_epoch_hex": "ff" * 32,
                  "salt_key_sha256": b64(sha256(b"\xff" * 32)), "score_root": b64(unhex(one["leaf_hash_hex"])),
                  "score_root_hex": one["leaf_hash_hex"],
                  "statements": [{"index": 0, **one, "path": "", "path_hex": []}], "code": None})
    cases.append({"name": "epoch_of_no_agents", "epoch": 1, "k_epoch_hex": K_EPOCH.hex(),
                  "salt_key_sha256": b64(sha256(K_EPOCH)), "score_root": b64(sha256(b"")),
                  "score_root_hex": sha256(b"").hex(), "statements": [], "code": None})

    good = json.loads(STATEMENTS[0]["statement"])

    def bad(name, text):
        cases.append({"name": name, "bytes_base64": b64(text.encode()), "code": "statement.malformed"})

    bad("not_json", "statement")
    bad("with_space", STATEMENTS[0]["statement"].replace(",", ", ", 1))
    bad("trailing_newline", STATEMENTS[0]["statement"] + "\n")
    bad("members_out_of_order", json.dumps(good | {"agent": good.pop("agent")}, separators=(",", ":")))
    good = json.loads(STATEMENTS[0]["statement"])
    bad("sd_not_ascending", jcs_text({**good, "sd": list(reversed(good["sd"]))}))
    bad("sd_repeated", jcs_text({**good, "sd": [good["sd"][0], *good["sd"]]}))
    bad("sd_of_another_length", jcs_text({**good, "sd": [good["sd"][0][:-1], *good["sd"][1:]]}))
    bad("unknown_member", jcs_text({**good, "note": ""}))
    bad("missing_epoch", jcs_text({k: v for k, v in good.items() if k != "epoch"}))
    bad("agent_not_a_did", jcs_text({**good, "agent": "alice"}))
    bad("kind_claims", jcs_text({**good, "kind": "claims"}))
    return cases


MAX_SAFE = 2**53 - 1
unhex = bytes.fromhex


# --- log entries ----------------------------------------------------------------------------------------------------


def some_id(text):
    """Id of a signed document whose content does not matter here."""
    return b64u(sha256(text.encode()))


REPORT_ID = b64u(text_digest(sign(base())))


def log_entries():
    """(name, entry) in log order: a short, plausible life of one log."""
    out = []

    def add(name, seconds, kind, **members):
        out.append((name, {"v": 1, "kind": kind, "at": seconds * 1000 + len(out), **members}))

    def key(name, seconds, use, who, since, action="add"):
        add(name, seconds, "key", use=use, action=action, jwk=KEYS[who].jwk, **{"from": since})

    add("policy", T - 86400, "policy", version=1, policy=json.loads(POLICY_FILE.read_text()))
    key("key_add_token_retired", T - 86400, "token", "token-retired", T - 86400)
    key("key_add_token_revoked", T - 86400, "token", "token-revoked", T - 86400)
    key("key_add_status", T - 86400, "status", "status", T - 86400)
    key("key_add_bundle", T - 86400, "bundle", "bundle", T - 86400)
    key("key_add_casework", T - 86400, "casework", "casework", T - 86400)
    add("report_historical", T - 86000, "report", id=some_id("historical report"), historical=True)
    key("key_add_token", T, "token", "token", T)
    add("report", T + 31, "report", id=REPORT_ID)
    key("key_retire", T + 60, "token", "token-retired", T + 60, action="retire")
    key("key_revoke", T + 61, "token", "token-revoked", T + 61, action="revoke")
    add("recovery", T + 100, "recovery", id=some_id("recovery"), agent=BOB.did)
    add("rotation", T + 200, "rotation", id=some_id("rotation"), old=DAVE.did, new=ERIN.did)
    add("reply", T + 300, "reply", id=some_id("reply"), report=REPORT_ID)
    add("appeal", T + 400, "appeal", id=some_id("appeal"), flag=some_id("flag"))
    add("decision", T + 500, "decision", id=some_id("decision"), flag=some_id("flag"))
    for n, reason in enumerate(("personal_data", "court_order", "malware", "author_request")):
        add("erasure_" + reason, T + 600 + n, "erasure", of=some_id("erased " + reason), reason=reason)
    add("epoch", EPOCH_AS_OF, "epoch", number=1, as_of=EPOCH_AS_OF, log_size=len(out), policy=0,
        statements=len(STATEMENTS), score_root=b64(SCORE_ROOT), flags_root=b64(NO_FLAGS),
        salt_key_sha256=b64(sha256(K_EPOCH)), code="goodstanding-score/2")
    add("epoch_empty", EPOCH_AS_OF + 60, "epoch", number=2, as_of=EPOCH_AS_OF, log_size=8, policy=0, statements=0,
        score_root=b64(sha256(b"")), flags_root=b64(NO_FLAGS), salt_key_sha256=b64(sha256(b"\xff" * 32)),
        code="goodstanding-score/2")
    key("key_add_bundle_next", EPOCH_AS_OF + 61, "bundle", "bundle-next", EPOCH_AS_OF + 61)
    return out


def entries_json(log):
    cases = []
    for index, (name, entry) in enumerate(log.entries):
        data = jcs(entry)
        cases.append({"name": name, "index": index, "entry": entry, "jcs": data.decode(), "bytes_base64": b64(data),
                      "leaf_hash_hex": leaf_hash(data).hex(), "code": None})
    by_name = dict(log.entries)

    def bad(name, code, data):
        cases.append({"name": name, "bytes_base64": b64(data if isinstance(data, bytes) else data.encode()),
                      "code": code})

    def malformed(name, data):
        bad(name, "entry.malformed", data)

    def changed(base_name, **changes):
        entry = {**by_name[base_name], **changes}
        return jcs_text({k: v for k, v in entry.items() if v is not None})

    report = jcs_text(by_name["report"])
    malformed("empty", "")
    malformed("not_json", "report")
    malformed("array", "[" + report + "]")
    malformed("not_canonical_space", report.replace(":", ": ", 1))
    malformed("not_canonical_order", json.dumps(by_name["report"], separators=(",", ":")))
    malformed("not_canonical_escape", report.replace('"report"', '"r\\u0065port"'))
    malformed("not_canonical_number", report.replace('"v":1', '"v":1.0'))
    malformed("trailing_newline", report + "\n")
    malformed("byte_order_mark", b"\xef\xbb\xbf" + report.encode())
    malformed("duplicate_member", report[:-1] + ',"v":1}')
    for name, _ in log.entries:
        if name in ("policy", "report", "epoch", "key_add_token", "rotation", "recovery", "reply", "appeal", "decision",
                    "erasure_malware"):
            malformed("unknown_member_in_" + name, changed(name, zzz=1))
            last = [k for k in by_name[name] if k not in ("v", "kind", "at")][-1]
            malformed(f"missing_{last}_in_{name}", changed(name, **{last: None}))
    malformed("missing_at", changed("report", at=None))
    malformed("at_negative", changed("report", at=-1))
    malformed("at_text", changed("report", at="0"))
    malformed("historical_false", changed("report", historical=False))
    malformed("report_id_padded_base64", changed("report", id=b64(unb64u(REPORT_ID))))
    malformed("report_id_trailing_bits", changed("report", id=REPORT_ID[:-1] + chr(ord(REPORT_ID[-1]) + 1)))
    malformed("score_root_base64url", changed("epoch", score_root=b64u(b"\xff" * 32)))
    malformed("score_root_31_bytes", changed("epoch", score_root=b64(bytes(31))))
    malformed("epoch_number_zero", changed("epoch", number=0))
    malformed("epoch_code_unknown_prefix", changed("epoch", code="score/1"))
    malformed("policy_version_zero", changed("policy", version=0))
    malformed("key_use_unknown", changed("key_add_token", use="log"))
    malformed("key_action_unknown", changed("key_add_token", action="remove"))
    malformed("key_jwk_with_alg", changed("key_add_token", jwk={**KEYS["token"].jwk, "alg": "EdDSA"}))
    malformed("key_jwk_p256", changed("key_add_token", jwk={**KEYS["token"].jwk, "crv": "P-256"}))
    malformed("erasure_reason_unknown", changed("erasure_malware", reason="boredom"))
    malformed("rotation_new_not_a_did", changed("rotation", new="did:web:example.com"))
    bad("version_2", "log.unsupported_version", changed("report", v=2))
    bad("version_0", "log.unsupported_version", changed("report", v=0))
    bad("kind_unknown", "log.unsupported_version", changed("report", kind="note"))
    bad("kind_statement", "log.unsupported_version", changed("report", kind="statement"))
    assert len({case["name"] for case in cases}) == len(cases)
    return cases


# --- log ------------------------------------------------------------------------------------------------------------


class Log:
    def __init__(self, entries, origin=ORIGIN, key=KEYS["log"]):
        self.entries = entries
        self.data = [jcs(entry) for _, entry in entries]
        self.leaves = [leaf_hash(data) for data in self.data]
        self.origin = origin
        self.key = key
        self.vkey = vkey(origin, LOG_SIG, key.public)

    def index(self, name):
        return [entry_name for entry_name, _ in self.entries].index(name)

    def text(self, size=None):
        size = len(self.leaves) if size is None else size
        return checkpoint_text(self.origin, size, root(self.leaves[:size]))

    def checkpoint(self, witnesses=(), time=COSIGN_TIME, size=None, text=None, mutate_log=None, extra=""):
        text = text or self.text(size)
        lines = log_line(self.origin, self.key, text, mutate_log)
        for name in witnesses:
            lines += cosign_line(name, WITNESSES[name], text, time)
        return text + "\n" + lines + extra

    def proof(self, index, checkpoint=None, size=None):
        leaves = self.leaves[:size]
        return tlog_proof(index, path(index, leaves), checkpoint or self.checkpoint(WITNESSES, size=size))


def witness_policy(vkey_of_log, names=tuple(WITNESSES), quorum=2):
    lines = ["log " + vkey_of_log]
    short = {name: name.split("/")[1] for name in WITNESSES}
    for name in names:
        lines.append(f"witness {short[name]} {vkey(name, COSIG, WITNESSES[name].public)}")
    if names:
        lines.append(f"group all-of-them {quorum} " + " ".join(short[name] for name in names))
    lines.append("quorum all-of-them" if names else "quorum none")
    return "\n".join(lines) + "\n"


def log_json(log):
    size = len(log.leaves)
    text = log.text()
    pairs = [(old, new) for old, new in ((1, size), (7, size), (8, size), (8, 16), (16, size), (size - 1, size), (3, 7))]
    return [{
        "name": "log_of_the_entries",
        "origin": log.origin, "log_vkey": log.vkey, "log_seed_hex": log.key.seed.hex(),
        "entries_jcs": [data.decode() for data in log.data],
        "leaf_hashes_hex": [leaf.hex() for leaf in log.leaves],
        "roots_hex": [root(log.leaves[:n]).hex() for n in range(size + 1)],
        "checkpoint_text": text,
        "signed_checkpoint": log.checkpoint(),
        "signed_checkpoint_empty_log": log.checkpoint(size=0),
        "proofs": [{"index": n, "size": size, "proof": log.proof(n, log.checkpoint())} for n in range(size)]
        + [{"index": 0, "size": 1, "proof": log.proof(0, log.checkpoint(size=1), size=1)}],
        "consistency": [{"old": old, "new": new, "hashes_hex": [h.hex() for h in consistency(old, log.leaves[:new])]}
                        for old, new in pairs],
        "entry_bundle_base64": b64(b"".join(len(data).to_bytes(2, "big") + data for data in log.data)),
        "hash_tile_hex": b"".join(log.leaves).hex(),
    }]


def checkpoints_json(log):
    two = list(WITNESSES)[:2]
    text = log.text()
    return [{
        "name": name, "signed_checkpoint": signed, "witness_policy": policy, "time": time, "code": code,
        **({"cosignature_times": times} if code is None else {}),
    } for name, signed, policy, time, code, times in [
        ("two_of_three", log.checkpoint(two), witness_policy(log.vkey), COSIGN_TIME, None, [COSIGN_TIME] * 2),
        ("all_of_three", log.checkpoint(WITNESSES), witness_policy(log.vkey), COSIGN_TIME, None, [COSIGN_TIME] * 3),
        ("unknown_lines_are_ignored",
         log.checkpoint(two, extra=cosign_line("stranger.example/w9", KEYS["mallory"], text, COSIGN_TIME)),
         witness_policy(log.vkey), COSIGN_TIME, None, [COSIGN_TIME] * 2),
        ("no_quorum", log.checkpoint(), witness_policy(log.vkey, ()), COSIGN_TIME, None, []),
        ("one_of_three", log.checkpoint(two[:1]), witness_policy(log.vkey), COSIGN_TIME, "checkpoint.quorum_missed", []),
        ("one_witness_twice", log.checkpoint([two[0], two[0]]), witness_policy(log.vkey), COSIGN_TIME,
         "checkpoint.quorum_missed", []),
        ("witness_of_another_log_size",
         log.checkpoint(two[:1], extra=cosign_line(two[1], WITNESSES[two[1]], log.text(8), COSIGN_TIME)),
         witness_policy(log.vkey), COSIGN_TIME, "checkpoint.signature_invalid", []),
    ]]
