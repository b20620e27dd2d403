"""trust-bundle.json, status-list.json and token.json."""

import json

from logs import (CLAIMS, COSIGN_TIME, EPOCH_AS_OF, ORIGIN, STATEMENTS, WITNESSES, Log, score_path, witness_policy)
from primitives import (b64, b64u, checkpoint_text, compact, cosign_line, flip_first_bit, jcs, jws, jws_raw, log_line,
                        path, root, service_header, sha256, tlog_proof, unb64u, zlib_fixed)
from reports import ALICE, BOB, KEYS, MALLORY, T

ISS = "https://goodstanding.example"
VCT = ISS + "/vct/agent-reputation/1"
STATUS_URI = ISS + "/v1/status-lists/1"
AUD = "https://shop.example"
NONCE = "n-0S6_WzA2Mj"
IDX = 4711
LIST_SIZE = 131072
DAY = 86400

BUNDLE_IAT = EPOCH_AS_OF + 200
ISSUED = EPOCH_AS_OF + 300
NOW = EPOCH_AS_OF + 400

METADATA = compact({
    "vct": VCT, "name": "Agent reputation", "description": "What one epoch says of one agent.",
    "claims": [{"path": [name], "sd": "always"} for name in sorted(CLAIMS[BOB.did])],
}).decode()


def without(value, *names):
    return {name: item for name, item in value.items() if name not in names}


class Service:
    def __init__(self, log):
        self.log = log
        self.full = log.checkpoint(WITNESSES)

    # --- trust bundle ---

    def keys(self):
        rows = [("token-retired", "token", T - DAY, {"to": T + 60}), ("token-revoked", "token", T - DAY, {"revoked": T + 61}),
                ("token", "token", T, {}), ("status", "status", T - DAY, {}), ("bundle", "bundle", T - DAY, {}),
                ("casework", "casework", T - DAY, {})]
        return [{"jwk": KEYS[name].jwk, "kid": KEYS[name].thumbprint, "use": use, "from": since, **more}
                for name, use, since, more in rows]

    def key_proofs(self, log=None, checkpoint=None):
        log = log or self.log
        out = []
        for index, (_, entry) in enumerate(log.entries):
            if entry["kind"] == "key" and entry["action"] == "add" and entry["jwk"] != KEYS["bundle-next"].jwk:
                out.append({"entry": log.data[index].decode(), "proof": log.proof(index, checkpoint)})
        return out

    def bundle(self, log=None, witnesses=tuple(WITNESSES), quorum=2, checkpoint=None, **changes):
        log = log or self.log
        checkpoint = checkpoint or log.checkpoint(WITNESSES)
        out = {
            "iss": ISS, "iat": BUNDLE_IAT, "exp": BUNDLE_IAT + 30 * DAY, "version": 7, "keys": self.keys(),
            "log": log.vkey, "witness_policy": witness_policy(log.vkey, witnesses, quorum), "status": ISS + "/v1/status-lists",
            "vct": [{"vct": VCT, "metadata": METADATA, "integrity": "sha256-" + b64(sha256(METADATA.encode()))}],
            "checkpoint": checkpoint, "proofs": self.key_proofs(log, checkpoint),
        }
        out.update(changes)
        return out

    def next_bundle_key(self):
        index = self.log.index("key_add_bundle_next")
        entry = self.log.entries[index][1]
        key = {"jwk": entry["jwk"], "kid": KEYS["bundle-next"].thumbprint, "use": "bundle", "from": entry["from"]}
        return key, {"entry": self.log.data[index].decode(), "proof": self.log.proof(index)}


def sign_bundle(payload, key=KEYS["bundle"], header=None, **more):
    return jws(header or service_header(key, "trust-bundle+jwt"), payload, key, **more)


def bundle_json(service):
    cases = []

    def add(name, text, code=None, now=NOW, **more):
        cases.append({"name": name, "jws": text, "now": now, **more, "code": code and "bundle." + code})

    def good(name, payload, **more):
        add(name, sign_bundle(payload), payload=payload, **more)

    plain = service.bundle()
    good("valid", plain)
    good("valid_pinned", plain, pin=KEYS["bundle"].thumbprint)
    good("valid_no_quorum", service.bundle(witnesses=()))
    early = T + 3000
    good("valid_early", service.bundle(iat=early, checkpoint=service.log.checkpoint(WITNESSES, time=early)), now=early)
    add("valid_alg_ed25519", sign_bundle(plain, header={**service_header(KEYS["bundle"], "trust-bundle+jwt"),
                                                        "alg": "Ed25519"}), payload=plain)
    key, proof = service.next_bundle_key()
    both = service.bundle(version=8, keys=[*plain["keys"], key], proofs=[*plain["proofs"], proof])
    good("valid_two_bundle_keys", both)

    add("pin_of_another_key", sign_bundle(plain), "pin_mismatch", pin=KEYS["bundle-next"].thumbprint)
    add("typ_jwt", sign_bundle(plain, header=service_header(KEYS["bundle"], "JWT")), "typ_wrong")
    add("typ_status_list", sign_bundle(plain, header=service_header(KEYS["bundle"], "statuslist+jwt")), "typ_wrong")
    add("not_a_jws", "bundle", "malformed")
    add("unknown_member", sign_bundle(service.bundle(note="")), "malformed")
    for name in ("iss", "exp", "version", "keys", "log", "witness_policy", "status", "vct", "checkpoint", "proofs"):
        add("missing_" + name, sign_bundle(without(plain, name)), "malformed")
    body = compact(plain)
    head = compact(service_header(KEYS["bundle"], "trust-bundle+jwt"))
    add("duplicate_member", jws_raw(head, body[:-1] + b',"version":9}', KEYS["bundle"]), "malformed")
    add("key_unknown_member", sign_bundle(service.bundle(keys=[{**key, "alg": "EdDSA"} for key in plain["keys"]])),
        "malformed")
    add("signature_flipped", sign_bundle(plain, mutate=flip_first_bit), "signature_invalid")
    add("signed_by_another_key", sign_bundle(plain, signature=MALLORY.sign), "signature_invalid")
    add("kid_not_in_keys", sign_bundle(plain, key=MALLORY), "key_unknown")
    add("kid_of_a_token_key", sign_bundle(plain, key=KEYS["token"]), "key_unknown")
    add("expired", sign_bundle(plain), "expired", now=plain["exp"] + 61)
    add("not_yet_valid", sign_bundle(plain), "not_yet_valid", now=plain["iat"] - 61)
    add("metadata_altered", sign_bundle(service.bundle(vct=[{**plain["vct"][0], "metadata": METADATA + " "}])),
        "integrity_mismatch")
    add("proof_left_out", sign_bundle(service.bundle(proofs=plain["proofs"][1:])), "key_unproven")
    moved = [{**row, "from": row["from"] + 1} if row["use"] == "status" else row for row in plain["keys"]]
    add("from_differs_from_entry", sign_bundle(service.bundle(keys=moved)), "key_unproven")
    other = [{**row, "use": "token"} if row["use"] == "casework" else row for row in plain["keys"]]
    add("use_differs_from_entry", sign_bundle(service.bundle(keys=other)), "key_unproven")
    mallory = [*plain["keys"], {"jwk": MALLORY.jwk, "kid": MALLORY.thumbprint, "use": "token", "from": T}]
    add("key_without_entry", sign_bundle(service.bundle(keys=mallory)), "key_unproven")

    def update(name, payload, code=None, key=KEYS["bundle"], held="valid", **more):
        add("update_" + name, sign_bundle(payload, key), code, held=held, accept_weaker=more.get("accept_weaker", False))

    update("newer", service.bundle(version=8))
    update("same_version", service.bundle(version=7, exp=plain["exp"] + 1), "version_not_newer")
    update("older_version", service.bundle(version=6), "version_not_newer")
    update("other_issuer", service.bundle(version=8, iss="https://elsewhere.example"), "issuer_changed")
    other_key = Log(service.log.entries, key=KEYS["other-log"])
    update("other_log_key", service.bundle(log=other_key, version=8), "log_changed")
    other_origin = Log(service.log.entries, origin="elsewhere.example/log")
    update("other_origin", service.bundle(log=other_origin, version=8), "log_changed")
    update("lower_quorum", service.bundle(version=8, quorum=1), "weaker_witnesses")
    update("lower_quorum_accepted", service.bundle(version=8, quorum=1), accept_weaker=True)
    update("fewer_witnesses", service.bundle(version=8, witnesses=tuple(WITNESSES)[:2]), "weaker_witnesses")
    update("no_witnesses", service.bundle(version=8, witnesses=()), "weaker_witnesses")
    update("higher_quorum", service.bundle(version=8, quorum=3))
    update("signed_by_a_key_not_held", both, "key_unknown", key=KEYS["bundle-next"])
    update("signed_by_a_second_held_key", {**both, "version": 9}, key=KEYS["bundle-next"], held="valid_two_bundle_keys")
    return cases


# --- status lists ---------------------------------------------------------------------------------------------------


def status_payload(revoked=(), size=LIST_SIZE, **changes):
    bits = bytearray(size // 8)
    for index in revoked:
        bits[index // 8] |= 1 << index % 8
    out = {"sub": STATUS_URI, "iat": ISSUED + 50, "exp": ISSUED + 50 + 3600, "ttl": 300,
           "status_list": {"bits": 1, "lst": b64u(zlib_fixed(bytes(bits)))}}
    out.update(changes)
    return out


def sign_status(payload, key=KEYS["status"], **more):
    return jws(service_header(key, "statuslist+jwt"), payload, key, **more)


def status_json(service):
    out = []

    def add(name, text, code=None, idx=IDX, **more):
        out.append({"name": name, "trust_bundle": "valid", "uri": STATUS_URI, "idx": idx, "now": NOW, "jws": text,
                    "code": code and "status." + code, **more})

    others = (0, 7, IDX - 1, IDX + 1, LIST_SIZE - 1)
    plain = status_payload(others)
    add("valid", sign_status(plain), payload=plain, revoked=list(others))
    add("empty", sign_status(status_payload()), payload=status_payload(), revoked=[])
    add("revoked", sign_status(status_payload([IDX])), "revoked")
    add("first_revoked", sign_status(plain), "revoked", idx=0)
    add("last_revoked", sign_status(plain), "revoked", idx=LIST_SIZE - 1)
    add("index_out_of_range", sign_status(plain), "index_out_of_range", idx=LIST_SIZE)
    add("uri_mismatch", sign_status(status_payload(sub=ISS + "/v1/status-lists/2")), "uri_mismatch")
    add("expired", sign_status(status_payload(iat=NOW - 7200, exp=NOW - 61)), "expired")
    add("not_yet_valid", sign_status(status_payload(iat=NOW + 61)), "not_yet_valid")
    add("signature_flipped", sign_status(plain, mutate=flip_first_bit), "signature_invalid")
    add("signed_by_a_token_key", sign_status(plain, key=KEYS["token"]), "signature_invalid")
    add("signed_by_an_unknown_key", sign_status(plain, key=MALLORY), "signature_invalid")
    add("typ_jwt", jws(service_header(KEYS["status"], "JWT"), plain, KEYS["status"]), "malformed")
    add("not_a_jws", "list", "malformed")
    add("not_zlib", sign_status(status_payload(status_list={"bits": 1, "lst": b64u(b"list")})), "malformed")
    add("bits_3", sign_status(status_payload(status_list={**plain["status_list"], "bits": 3})), "malformed")
    bomb = {"bits": 1, "lst": b64u(zlib_fixed(bytes(1 << 22)))}
    add("inflates_to_4_mib", sign_status(status_payload(status_list=bomb)), "malformed")
    return out


# --- tokens ---------------------------------------------------------------------------------------------------------

DEFAULT_DISCLOSED = ["flags", "lower_bp", "state"]


def token_json(service):
    log = service.log
    cases = []
    index = [item["agent"] for item in STATEMENTS].index(BOB.did)
    statement = STATEMENTS[index]
    disclosures = {row["name"]: row["disclosure"] for row in statement["disclosures"]}
    epoch_index = log.index("epoch")
    epoch_text = log.data[epoch_index].decode()
    epoch_at = log.entries[epoch_index][1]["at"]
    good_proof = log.proof(epoch_index, service.full)

    def anchor(**changes):
        out = {"index": index, "path": score_path(index), "epoch_entry": epoch_text, "proof": good_proof}
        out.update(changes)
        return out

    def payload(**changes):
        out = {
            "iss": ISS, "iat": ISSUED, "nbf": ISSUED, "exp": ISSUED + DAY, "vct": VCT, "sub": BOB.did,
            "cnf": {"jwk": BOB.jwk}, "status": {"status_list": {"idx": IDX, "uri": STATUS_URI}}, "epoch": 1,
            "_sd": statement["sd"], "_sd_alg": "sha-256", "anchor": anchor(),
        }
        out.update(changes)
        return out

    def issue(body=None, key=KEYS["token"], header=None, **more):
        return jws(header or service_header(key, "dc+sd-jwt"), body or payload(), key, **more)

    def key_binding(presented, key=BOB, header=None, drop=(), **changes):
        body = {"iat": NOW - 5, "aud": AUD, "nonce": NONCE, "sd_hash": b64u(sha256(presented.encode()))}
        mutate = changes.pop("mutate", None)
        body.update(changes)
        return jws(header or {"alg": "EdDSA", "typ": "kb+jwt"}, without(body, *drop), key, mutate=mutate)

    def present(jwt, names=DEFAULT_DISCLOSED, extra=(), bind=True, **kb):
        text = jwt + "~" + "".join(disclosures[name] + "~" for name in names) + "".join(item + "~" for item in extra)
        return text + key_binding(text, **kb) if bind else text

    def add(name, token, code=None, result=None, **inputs):
        case = {"name": name, "token": token, "trust_bundle": "valid", "now": NOW, "key_binding": True, "aud": AUD,
                "nonce": NONCE, "status_list": None, "min_lower_bp": None, "max_age_s": None, "require": []}
        case.update(inputs)
        case["code"] = code
        if code is None:
            case["result"] = {"sub": BOB.did, "epoch": 1, "epoch_at_ms": epoch_at, "holder": "proven",
                              "status": "unchecked", "witnessed": True,
                              "claims": {name: statement["claims"][name] for name in DEFAULT_DISCLOSED}, **(result or {})}
        cases.append(case)

    def bad(name, code, jwt, **inputs):
        """Re-signed by the issuer and presented as usual, so that only the named fault remains."""
        add(name, present(jwt), code, **inputs)

    good = issue()
    every = sorted(disclosures)

    # accepted
    add("issued_all_disclosures", present(good, every, bind=False), key_binding=False, aud=None, nonce=None,
        payload=payload(), result={"holder": "not proven", "claims": statement["claims"]})
    add("presented_three_claims", present(good), payload=payload(), disclosed=DEFAULT_DISCLOSED,
        key_binding_payload={"iat": NOW - 5, "aud": AUD, "nonce": NONCE,
                             "sd_hash": b64u(sha256(present(good, bind=False).encode()))})
    add("presented_all_claims", present(good, every), result={"claims": statement["claims"]})
    add("presented_in_another_order", present(good, ["state", "lower_bp", "flags"]))
    canonical = jws_raw(jcs(service_header(KEYS["token"], "dc+sd-jwt")), jcs(payload()), KEYS["token"])
    add("issuer_jwt_in_canonical_order", present(canonical))
    add("alg_ed25519", present(issue(header={**service_header(KEYS["token"], "dc+sd-jwt"), "alg": "Ed25519"})))
    add("status_valid", present(good), status_list="valid", result={"status": "valid"})
    add("unwitnessed", present(good), trust_bundle="valid_no_quorum", result={"witnessed": False})
    add("requirements_met", present(good, [*DEFAULT_DISCLOSED, "reports", "uncertainty_bp", "lower_gte_7500"]),
        min_lower_bp=7510, max_age_s=401,
        require=["state=established", "lower_gte_7500=true", "reports>=412", "uncertainty_bp<=812", "reports"],
        result={"claims": {name: statement["claims"][name]
                           for name in sorted([*DEFAULT_DISCLOSED, "reports", "uncertainty_bp", "lower_gte_7500"])}})
    for seconds in (-300, 300):
        add(f"key_binding_iat_{'plus' if seconds > 0 else 'minus'}_300", present(good, iat=NOW + seconds))
    add("nbf_within_skew", present(good, iat=ISSUED - 59), now=ISSUED - 59)
    add("exp_within_skew", present(good, iat=ISSUED + DAY), now=ISSUED + DAY + 59)
    unknown_line = cosign_line("stranger.example/w9", MALLORY, log.text(), COSIGN_TIME)
    add("unknown_cosignature_ignored",
        present(issue(payload(anchor=anchor(proof=log.proof(epoch_index, log.checkpoint(
            list(WITNESSES)[:2], extra=unknown_line)))))))

    # size, syntax, header
    add("65_disclosures", present(good, extra=[disclosures["score_bp"]] * 62), "token.too_large")
    add("no_tilde", good, "token.malformed")
    add("two_part_jwt", present(good.rsplit(".", 1)[0]), "token.malformed")
    add("payload_not_an_object", present(jws(service_header(KEYS["token"], "dc+sd-jwt"), [], KEYS["token"])), "token.malformed")
    body = compact(payload())
    head = compact(service_header(KEYS["token"], "dc+sd-jwt"))
    bad("duplicate_member", "token.malformed", jws_raw(head, body[:-1] + b',"epoch":2}', KEYS["token"]))
    bad("unknown_member", "token.malformed", issue(payload(jti="x")))
    bad("missing_status", "token.malformed", issue(without(payload(), "status")))
    bad("sd_alg_sha_512", "token.malformed", issue(payload(_sd_alg="sha-512")))
    header = service_header(KEYS["token"], "dc+sd-jwt")
    bad("typ_vc_sd_jwt", "token.typ_wrong", issue(header={**header, "typ": "vc+sd-jwt"}))
    bad("typ_report", "token.typ_wrong", issue(header={**header, "typ": "trade-outcome+jwt"}))
    bad("alg_none", "token.alg_unsupported", issue(header={**header, "alg": "none"}))
    bad("alg_es256", "token.alg_unsupported", issue(header={**header, "alg": "ES256"}))
    bad("crit", "token.crit_present", issue(header={**header, "crit": ["exp"]}))
    bad("header_jwk", "token.header_invalid", issue(header={**header, "jwk": KEYS["token"].jwk}))
    bad("header_without_kid", "token.header_invalid", issue(header=without(header, "kid")))

    # issuer key, signature, times, holder key
    bad("issuer_other", "token.issuer_unknown", issue(payload(iss="https://elsewhere.example")))
    bad("issuer_trailing_slash", "token.issuer_unknown", issue(payload(iss=ISS + "/")))
    bad("vct_other", "token.vct_unknown", issue(payload(vct=ISS + "/vct/agent-reputation/2")))
    bad("key_unknown", "token.key_unknown", issue(key=MALLORY))
    bad("key_of_another_use", "token.key_unknown", issue(key=KEYS["status"]))
    bad("key_revoked", "token.key_revoked", issue(key=KEYS["token-revoked"]))
    bad("key_revoked_token_from_before", "token.key_revoked",
        issue(payload(iat=T, nbf=T, exp=T + DAY), key=KEYS["token-revoked"]))
    bad("key_retired", "token.key_not_valid", issue(key=KEYS["token-retired"]))
    bad("key_not_yet_in_use", "token.key_not_valid", issue(payload(iat=T - 1000, nbf=T - 1000)))
    bad("signature_flipped", "token.signature_invalid", issue(mutate=flip_first_bit))
    bad("signature_by_another_key", "token.signature_invalid", issue(signature=MALLORY.sign))
    bad("signature_small_order_r", "token.signature_invalid", issue(signature=KEYS["token"].sign_with_small_order_r))
    jwt_head, jwt_body, jwt_signature = good.split(".")
    bad("payload_altered", "token.signature_invalid",
        ".".join([jwt_head, b64u(compact(payload(exp=ISSUED + 2 * DAY))), jwt_signature]))
    add("not_yet_valid", present(good, iat=ISSUED - 61), "token.not_yet_valid", now=ISSUED - 61)
    add("expired", present(good, iat=ISSUED + DAY + 61), "token.expired", now=ISSUED + DAY + 61)
    bad("cnf_of_another_agent", "token.holder_key_mismatch", issue(payload(cnf={"jwk": ALICE.jwk})))

    # disclosures
    def with_disclosure(text):
        digest = b64u(sha256(text.encode()))
        return present(issue(payload(_sd=sorted([*statement["sd"], digest]))), extra=[text])

    salt = b64u(b"\0" * 16)
    for name, text in (
        ("not_base64url", "Zg=="), ("not_json", b64u(b"reports")), ("two_elements", b64u(jcs([salt, "reports"]))),
        ("four_elements", b64u(jcs([salt, "reports", 412, 0]))),
        ("not_canonical", b64u(json.dumps([salt, "reports", 412]).encode())), ("name_sd", b64u(jcs([salt, "_sd", []]))),
        ("name_dots", b64u(jcs([salt, "...", "x"]))), ("salt_number", b64u(jcs([1, "reports", 412]))),
    ):
        add("disclosure_" + name, with_disclosure(text), "disclosure.malformed")
    add("disclosure_twice", present(good, extra=[disclosures["state"]]), "disclosure.duplicate")
    add("disclosure_of_one_claim_twice", with_disclosure(b64u(jcs([salt, "lower_bp", 9999]))), "disclosure.duplicate")
    row = next(row for row in statement["disclosures"] if row["name"] == "reports")
    add("disclosure_value_altered", present(good, extra=[b64u(jcs([row["salt"], "reports", 9999]))]), "disclosure.unmatched")
    alice = next(item for item in STATEMENTS if item["agent"] == ALICE.did)
    add("disclosure_of_another_agent", present(good, extra=[alice["disclosures"][0]["disclosure"]]), "disclosure.unmatched")

    # key binding
    add("holder_missing", present(good, bind=False), "holder.missing")
    add("holder_typ_jwt", present(good, header={"alg": "EdDSA", "typ": "JWT"}), "holder.malformed")
    add("holder_unknown_member", present(good, jti="x"), "holder.malformed")
    add("holder_without_nonce", present(good, drop=["nonce"]), "holder.malformed")
    add("holder_signature_flipped", present(good, mutate=flip_first_bit), "holder.signature_invalid")
    add("holder_signed_by_another", present(good, key=ALICE), "holder.signature_invalid")
    add("holder_aud_other", present(good, aud="https://elsewhere.example"), "holder.aud_mismatch")
    add("holder_nonce_other", present(good, nonce="n-other"), "holder.nonce_mismatch")
    add("holder_sd_hash_other", present(good, sd_hash=b64u(sha256(b"else"))), "holder.sd_hash_mismatch")
    bound = present(good, every)
    add("holder_disclosure_removed_later", bound.replace("~" + disclosures["score_bp"], "", 1), "holder.sd_hash_mismatch")
    add("holder_iat_old", present(good, iat=NOW - 301), "holder.iat_out_of_range")
    add("holder_iat_future", present(good, iat=NOW + 301), "holder.iat_out_of_range")

    # anchor
    def bad_anchor(name, code, **changes):
        bad("anchor_" + name, code, issue(payload(anchor=anchor(**changes))))

    bad_anchor("path_33_bytes", "anchor.malformed", path=b64u(unb64u(score_path(index)) + b"\0"))
    bad_anchor("path_not_base64url", "anchor.malformed", path="***")
    bad_anchor("entry_not_json", "anchor.malformed", epoch_entry="epoch 1")
    bad_anchor("entry_not_canonical", "anchor.malformed", epoch_entry=epoch_text.replace(",", ", ", 1))
    report_index = log.index("report")
    bad_anchor("kind_report", "anchor.kind_wrong", epoch_entry=log.data[report_index].decode(),
               proof=log.proof(report_index, service.full))
    bad("anchor_epoch_2", "anchor.epoch_mismatch", issue(payload(epoch=2)))
    bad_anchor("index_3_of_3", "anchor.index_out_of_range", index=len(STATEMENTS))
    raw = unb64u(score_path(index))
    bad_anchor("path_byte_changed", "anchor.statement_not_in_tree", path=b64u(bytes([raw[0] ^ 1]) + raw[1:]))
    bad_anchor("path_empty", "anchor.statement_not_in_tree", path="")
    bad_anchor("path_with_surplus_hash", "anchor.statement_not_in_tree", path=b64u(raw + bytes(32)))
    bad_anchor("index_of_another", "anchor.statement_not_in_tree", index=(index + 1) % len(STATEMENTS))
    bad("anchor_digest_added", "anchor.statement_not_in_tree",
        issue(payload(_sd=sorted([*statement["sd"], b64u(sha256(b"extra"))]))))
    hashes = path(epoch_index, log.leaves)
    bad_anchor("proof_hash_changed", "anchor.entry_not_in_log",
               proof=tlog_proof(epoch_index, [flip_first_bit(hashes[0]), *hashes[1:]], service.full))
    bad_anchor("proof_hash_left_out", "anchor.entry_not_in_log", proof=tlog_proof(epoch_index, hashes[:-1], service.full))
    bad_anchor("proof_index_other", "anchor.entry_not_in_log", proof=tlog_proof(epoch_index - 1, hashes, service.full))
    bad_anchor("proof_index_beyond_size", "anchor.entry_not_in_log",
               proof=tlog_proof(len(log.leaves), hashes, service.full))
    altered = json.loads(epoch_text)
    altered["code"] = "goodstanding-score/3"
    bad_anchor("entry_altered", "anchor.entry_not_in_log", epoch_entry=jcs(altered).decode())

    bad_anchor("proof_first_line", "proof.malformed", proof=good_proof.replace("@v1", "@v2", 1))
    bad_anchor("proof_index_leading_zero", "proof.malformed", proof=good_proof.replace("index ", "index 0", 1))
    bad_anchor("proof_hash_31_bytes", "proof.malformed",
               proof=good_proof.replace(b64(hashes[0]), b64(hashes[0][:31]), 1))
    bad_anchor("proof_empty", "proof.malformed", proof="")

    # checkpoint
    def bad_checkpoint(name, code, checkpoint, **inputs):
        bad("checkpoint_" + name, "checkpoint." + code,
            issue(payload(anchor=anchor(proof=log.proof(epoch_index, checkpoint)))), **inputs)

    top = root(log.leaves)
    size = len(log.leaves)
    for name, text in (("size_leading_zero", f"{ORIGIN}\n0{size}\n{b64(top)}\n"),
                       ("size_not_decimal", f"{ORIGIN}\n0x15\n{b64(top)}\n"),
                       ("root_31_bytes", f"{ORIGIN}\n{size}\n{b64(top[:31])}\n"), ("no_root", f"{ORIGIN}\n{size}\n")):
        bad_checkpoint(name, "malformed", log.checkpoint(WITNESSES, text=text))
    foreign = checkpoint_text("elsewhere.example/log", size, top)
    bad_checkpoint("other_origin", "origin_mismatch", log.checkpoint(WITNESSES, text=foreign))
    bad_checkpoint("signature_flipped", "signature_invalid", log.checkpoint(WITNESSES, mutate_log=flip_first_bit))
    text = log.text()
    cosignatures = "".join(cosign_line(name, key, text, COSIGN_TIME) for name, key in WITNESSES.items())
    bad_checkpoint("without_log_signature", "signature_invalid", text + "\n" + cosignatures)
    bad_checkpoint("signed_by_another_log_key", "signature_invalid",
                   text + "\n" + log_line(ORIGIN, KEYS["other-log"], text) + cosignatures)
    w1, w2, w3 = WITNESSES
    flipped = cosign_line(w3, WITNESSES[w3], text, COSIGN_TIME, mutate=flip_first_bit)
    bad_checkpoint("known_cosignature_flipped", "signature_invalid", log.checkpoint([w1, w2], extra=flipped))
    bad_checkpoint("one_witness", "quorum_missed", log.checkpoint([w1]))
    bad_checkpoint("no_witness", "quorum_missed", log.checkpoint())
    bad_checkpoint("one_witness_twice", "quorum_missed", log.checkpoint([w1, w1]))
    bad_checkpoint("one_witness_and_a_stranger", "quorum_missed", log.checkpoint([w1], extra=unknown_line))

    # freshness, status, claims
    add("too_old", present(good), "freshness.too_old", max_age_s=300)
    early = EPOCH_AS_OF - 120
    early_proof = log.proof(epoch_index, log.checkpoint(WITNESSES, time=early - 5))
    add("epoch_from_the_future",
        present(issue(payload(iat=early - 10, nbf=early - 10, anchor=anchor(proof=early_proof))), iat=early - 5),
        "freshness.from_future", now=early, trust_bundle="valid_early")
    late_proof = log.proof(epoch_index, log.checkpoint(WITNESSES, time=NOW + 1000))
    bad("cosignatures_from_the_future", "freshness.from_future", issue(payload(anchor=anchor(proof=late_proof))))

    add("status_revoked", present(good), "status.revoked", status_list="revoked")
    add("status_uri_mismatch", present(good), "status.uri_mismatch", status_list="uri_mismatch")
    add("status_expired", present(good), "status.expired", status_list="expired")
    add("status_signature_flipped", present(good), "status.signature_invalid", status_list="signature_flipped")
    add("status_signed_by_a_token_key", present(good), "status.signature_invalid", status_list="signed_by_a_token_key")
    add("status_malformed", present(good), "status.malformed", status_list="not_zlib")
    bad("status_index_out_of_range", "status.index_out_of_range",
        issue(payload(status={"status_list": {"idx": LIST_SIZE, "uri": STATUS_URI}})), status_list="valid")

    for name in DEFAULT_DISCLOSED:
        add("undisclosed_" + name, present(good, [other for other in every if other != name]), "claims.required_missing")
    add("required_claim_undisclosed", present(good), "claims.required_missing", require=["reports"])
    add("lower_bound_too_low", present(good), "claims.lower_bound_too_low", min_lower_bp=7511)
    for name, requirement in (("equal", "state=unproven"), ("at_least", "reports>=413"), ("at_most", "uncertainty_bp<=811"),
                              ("boolean", "lower_gte_9000=true")):
        add("requirement_unmet_" + name, present(good, every), "claims.requirement_unmet", require=[requirement])
    return cases
