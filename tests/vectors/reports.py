"""keys.json, reports.json and terms.json."""

import copy
import json

from primitives import (B58, IDENTITY, Key, add_l_to_s, agent_header, b64, b64u, compact, flip_first_bit,
                        flip_last_bit, jcs, jws, jws_raw, multibase, sha256)

T = 1767225600  # 2026-01-01T00:00:00Z, the `closed_at` of most reports
MAX_REPORT = 16384
DAY = 86400


def fixed(byte):
    return bytes([byte]) * 32


KEYS = {
    name: Key(name, seed)
    for name, seed in {
        "alice": bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),  # RFC 8032 TEST 1
        "bob": bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),  # TEST 2
        "carol": bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"),  # TEST 3
        "log": fixed(1), "witness-1": fixed(2), "witness-2": fixed(3), "witness-3": fixed(4),
        "token": fixed(5), "token-retired": fixed(6), "token-revoked": fixed(7), "status": fixed(8),
        "bundle": fixed(9), "casework": fixed(10), "marketplace": fixed(11), "dave": fixed(12), "erin": fixed(13),
        "rail": fixed(14), "bundle-next": fixed(15), "mallory": fixed(16), "other-log": fixed(17),
    }.items()
}
ALICE, BOB, CAROL, DAVE, ERIN = (KEYS[name] for name in ("alice", "bob", "carol", "dave", "erin"))
MALLORY, MARKET, RAIL = KEYS["mallory"], KEYS["marketplace"], KEYS["rail"]

MARKET_URI = "https://market.example/eu"
CAIP = "eip155:8453/erc20:0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"


def keys_json():
    return [{"name": key.name, "seed_hex": key.seed.hex(), "public_hex": key.public.hex(), "did": key.did,
             "kid": key.method, "jwk": key.jwk, "thumbprint": key.thumbprint} for key in KEYS.values()]


# --- documents that go inside reports -------------------------------------------------------------------------------


def parties(payload):
    if payload["trade"]["role"] == "buyer":
        return payload["iss"], payload["sub"]
    return payload["sub"], payload["iss"]


def terms_payload(payload, **changes):
    trade = payload["trade"]
    buyer, seller = parties(payload)
    out = {
        "iss": payload["sub"], "trade_id": trade["id"], "market": trade["market"], "buyer": buyer, "seller": seller,
        "kind": trade["kind"], "amount": trade["amount"], "currency": trade["currency"],
        "iat": trade["closed_at"] - 3600, "exp": trade["closed_at"] + 3600, "jti": "terms-0001",
    }
    out.update(changes)
    return {name: value for name, value in out.items() if value is not None}


def terms(payload, key=BOB, typ="trade-terms+jwt", **changes):
    body = terms_payload(payload, **changes)
    return jws(agent_header(key, typ), body, key)


def attestation_payload(payload, key=MARKET, **changes):
    trade = payload["trade"]
    buyer, seller = parties(payload)
    out = {
        "iss": key.did, "trade_id": trade["id"], "market": trade["market"], "buyer": buyer, "seller": seller,
        "amount": trade["amount"], "currency": trade["currency"], "outcome": payload["outcome"]["status"],
        "iat": trade["closed_at"] + 5,
    }
    out.update(changes)
    return {name: value for name, value in out.items() if value is not None}


def attestation(payload, key=MARKET, **changes):
    return jws(agent_header(key, "trade-attestation+jwt"), attestation_payload(payload, key, **changes), key)


def bid_payload(payload, key, amount, **changes):
    trade = payload["trade"]
    out = {"iss": key.did, "auction_id": trade["auction"]["id"], "market": trade["market"], "amount": amount,
           "currency": trade["currency"], "iat": trade["closed_at"] - 60, "jti": "bid-0001"}
    out.update(changes)
    return {name: value for name, value in out.items() if value is not None}


def bid(payload, key, amount, **changes):
    return jws(agent_header(key, "auction-bid+jwt"), bid_payload(payload, key, amount, **changes), key)


def receipt(key, member, reference):
    body = {member: reference, "network": "eip155:8453", "payer": ALICE.did, "success": True}
    return jws({"alg": "EdDSA", "kid": key.method}, body, key)


def text_digest(text):
    return sha256(text.encode())


# --- valid reports --------------------------------------------------------------------------------------------------


def base(**trade):
    """Alice bought from Bob."""
    return {
        "iss": ALICE.did, "sub": BOB.did, "jti": "report-0001", "iat": T + 30,
        "trade": {"id": "t-1", "market": MARKET_URI, "kind": "purchase", "role": "buyer", "amount": "12.5",
                  "currency": "USDC", "closed_at": T, **trade},
        "outcome": {"status": "fulfilled", "quality_bp": 9000},
    }


def auction_base():
    out = base(kind="compute_auction")
    out["trade"]["auction"] = {"id": "a-1", "format": "forward"}
    return out


def sign(payload, key=ALICE, **more):
    return jws(agent_header(key, "trade-outcome+jwt"), payload, key, **more)


def valid_payloads():
    """name -> (payload, expectations)"""
    out = {}

    def add(name, payload, key=ALICE, **expect):
        assert name not in out
        out[name] = (payload, key, expect)

    add("purchase_minimal", base())

    p = base(resource="weather/eu-west, hourly", units="24", parent="t-0")
    p["outcome"]["on_time"] = True
    add("purchase_all_plain_members", p)

    p = base(kind="data_swap", id="swap-leg-1", amount="0", swap_id="swap-1")
    add("data_swap_amount_zero", p)

    p = base(kind="data_swap", id="swap-leg-2", amount="0.000000000", swap_id="swap-1")
    p["outcome"] = {"status": "partial", "quality_bp": 0}
    add("data_swap_amount_zero_with_fraction", p)

    p = base(kind="service", id="svc-1")
    p["outcome"] = {"status": "failed"}
    add("service_failed_without_quality", p)

    p = base(kind="service", id="svc-2")
    p["outcome"] = {"status": "disputed", "quality_bp": 10000, "on_time": False}
    add("service_disputed_with_quality", p)

    p = base(id="t-cancelled")
    p["outcome"] = {"status": "cancelled"}
    add("purchase_cancelled", p)

    p = base(amount="0.000000001")
    add("amount_smallest", p, amount_nano="1")

    p = base(amount="999999999.999999999")
    add("amount_largest", p, amount_nano="999999999999999999")

    p = base(amount="10.50")
    add("amount_trailing_zero", p, amount_nano="10500000000")

    p = base(currency=CAIP)
    add("currency_caip19", p)

    p = base(currency=CAIP + "/7")
    add("currency_caip19_with_token_id", p)

    p = base(currency="X1")
    add("currency_two_characters", p)

    p = base(id="t-seller", role="seller")
    p.update(iss=BOB.did, sub=ALICE.did, jti="bob-report-1")
    p["outcome"].update(claimed_quality_bp=9500)
    add("seller_with_claimed_quality", p, key=BOB)

    p = base(negotiation={"opening": "15", "rounds": 10000, "transcript_sha256": b64u(sha256(b"transcript"))})
    add("negotiation", p)

    p = base(negotiation={})
    add("negotiation_empty", p)

    p = auction_base()
    p["trade"]["auction"].update(
        reserve="10", task_class="urgent", utilisation_bp=8750,
        bids=[{"bidder": DAVE.did, "amount": "12.4"}, {"bidder": ERIN.did, "amount": "11"}],
    )
    p["trade"]["auction"]["bids"].append(
        {"bidder": CAROL.did, "amount": "10.250", "document": bid(p, CAROL, "10.25")}
    )
    add("compute_auction_with_proven_bid", p, bids_proven=[False, False, True])

    p = base(kind="service", auction={"id": "rev-1", "format": "reverse", "task_class": "trivial", "bids": []})
    add("service_reverse_auction", p, bids_proven=[])

    p = auction_base()
    p["trade"]["auction"]["bids"] = [{"bidder": DAVE.did, "amount": str(n + 1)} for n in range(64)]
    add("auction_64_bids", p)

    p = base(settlement={"rail": "batch", "ref": "0xabc", "batch": "batch-2026-01-01"})
    add("settlement_batch", p)

    p = base(settlement={"rail": "other"})
    add("settlement_rail_alone", p)

    p = base(amount="5.10")
    document = terms(p, amount="5.1", promise={"quality_bp": 8000, "deadline": T + 10, "latency_ms": 250})
    p["evidence"] = [{"type": "terms", "document": document, "sha256": b64u(text_digest(document))}]
    add("terms_with_promise", p, evidence=[{"type": "terms", "signer": BOB.did,
                                             "sha256_hex": text_digest(document).hex()}])

    p = base()
    document = terms(p, promise={})
    p["evidence"] = [{"type": "terms", "document": document}]
    add("terms_with_empty_promise", p)

    for name, change in (("closed_at_terms_iat", {"iat": T}), ("closed_at_terms_exp", {"exp": T})):
        p = base()
        p["evidence"] = [{"type": "terms", "document": terms(p, **change)}]
        add(name, p)

    p = base(role="seller")
    document = terms(p)
    p["evidence"] = [{"type": "terms", "document": document}]
    add("terms_by_the_buyer", p)

    p = base()
    document = attestation(p)
    p["evidence"] = [{"type": "market", "document": document, "sha256": text_digest(document).hex()}]
    add("market_attestation", p, evidence=[{"type": "market", "signer": MARKET.did,
                                             "sha256_hex": text_digest(document).hex()}])

    p = base(settlement={"rail": "x402", "ref": "0xfeed"})
    document = receipt(RAIL, "transaction", "0xfeed")
    p["evidence"] = [{"type": "x402-receipt", "document": document, "sha256": b64(text_digest(document))}]
    add("x402_receipt_by_a_rail", p, evidence=[{"type": "x402-receipt", "signer": RAIL.did,
                                                "sha256_hex": text_digest(document).hex()}])

    p = base(settlement={"rail": "ap2", "ref": "ap2-77"})
    document = receipt(BOB, "reference", "ap2-77")
    p["evidence"] = [{"type": "ap2-receipt", "document": document}]
    add("ap2_receipt_by_the_counterparty", p, evidence=[{"type": "ap2-receipt", "signer": BOB.did,
                                                         "sha256_hex": text_digest(document).hex()}])

    p = base(settlement={"rail": "x402", "ref": "0xfeed"})
    documents = [receipt(RAIL, "transaction", "0xbeef"), '{"success":true,"transaction":"0xfeed"}',
                 receipt(RAIL, "reference", "0xfeed")]
    p["evidence"] = [{"type": "x402-receipt", "document": document} for document in documents]
    add("x402_receipts_that_prove_nothing", p, evidence=[
        {"type": "x402-receipt", "signer": None, "sha256_hex": text_digest(document).hex()} for document in documents])

    p = base()
    p["evidence"] = [{"type": "hash", "sha256": spell(sha256(b"delivery"))} for spell in
                     (b64u, b64, lambda digest: digest.hex())]
    add("hash_evidence_three_spellings", p, evidence=[
        {"type": "hash", "signer": None, "sha256_hex": sha256(b"delivery").hex()}] * 3)

    p = base()
    p["evidence"] = [{"type": "hash", "sha256": b64u(sha256(bytes([n])))} for n in range(8)]
    add("eight_evidence_items", p)

    p = base()
    p["evidence"] = []
    add("evidence_empty", p)

    p = base()
    p.update(jti="report-0002", iat=T + 60, supersedes=b64u(sha256(sign(base()).encode())))
    p["outcome"] = {"status": "partial", "quality_bp": 4000}
    add("supersedes", p)

    p = base(id="\u2603", market="urn:market:\u00fc\U0001f600", resource='quote " backslash \\ slash / euro \u20ac')
    p["jti"] = "\u00e4" * 8
    add("unicode_strings", p)

    p = base(id="i" * 128, market="m" * 256, resource="\U0001f600" * 512, swap_id="s" * 128, parent="p" * 128,
             settlement={"rail": "escrow", "ref": "r" * 256, "batch": "b" * 256})
    p["jti"] = "j" * 128
    add("longest_strings", p)

    p = base(closed_at=T)
    p["iat"] = T
    add("closed_at_equals_iat", p)
    return out


def padded_report(size):
    """A valid report of exactly `size` bytes: receipts are kept verbatim, so they may hold anything."""
    head = compact(agent_header(ALICE, "trade-outcome+jwt"))
    for spaces in range(4):  # not every length is one of unpadded base64url
        for second in range(3000, 5000):
            p = base()
            p["evidence"] = [{"type": "x402-receipt", "document": "x" * 8000},
                             {"type": "ap2-receipt", "document": "y" * second}]
            if (len(head) + spaces) * 4 // -3 * -1 + -(len(compact(p)) * 4 // -3) + 2 + 86 == size:
                text = jws_raw(head[:-1] + b" " * spaces + b"}", compact(p), ALICE)
                assert len(text) == size
                return p, text
    raise AssertionError(size)


# --- reports.json ---------------------------------------------------------------------------------------------------


def reports_json():
    cases = []
    payloads = valid_payloads()
    for name, (payload, key, expect) in payloads.items():
        text = sign(payload, key)
        case = {"name": name, "payload": payload, "jws": text, "id": b64u(sha256(text.encode())), "code": None}
        if expect:
            case["expect"] = expect
        cases.append(case)

    def valid_raw(name, header, payload):
        text = jws_raw(header, payload, ALICE)
        cases.append({"name": name, "payload": json.loads(payload), "jws": text, "id": b64u(sha256(text.encode())),
                      "code": None})

    payload, text = padded_report(MAX_REPORT)
    cases.append({"name": "size_16384", "payload": payload, "jws": text, "id": b64u(text_digest(text)), "code": None})
    head = compact(agent_header(ALICE, "trade-outcome+jwt"))
    valid_raw("canonical_json", jcs(agent_header(ALICE, "trade-outcome+jwt")), jcs(base()))
    valid_raw("whitespace_and_escapes", json.dumps(agent_header(ALICE, "trade-outcome+jwt"), indent=2).encode(),
              json.dumps(base(id="\u2603"), indent=2).replace('"jti"', '"j\\u0074i"').encode())

    def bad(name, code, text, **more):
        cases.append({"name": name, "jws": text, "code": "report." + code, **more})

    def bad_payload(name, code, payload, key=ALICE):
        bad(name, code, sign(payload, key))

    def bad_bytes(name, code, payload):
        bad(name, code, jws_raw(head, payload, ALICE))

    def change(*steps, start=None):
        """A copy of the minimal report; each step is (dotted path, value), value DROP removes."""
        p = copy.deepcopy(start or base())
        for dotted, value in steps:
            *parents, last = dotted.split(".")
            at = p
            for parent in parents:
                at = at[parent]
            if value is DROP:
                del at[last]
            else:
                at[last] = value
        return p

    good = sign(base())
    h, b, s = good.split(".")

    # size and syntax
    bad("too_large_16385", "too_large", padded_report(MAX_REPORT + 1)[1])
    bad("empty", "malformed", "")
    bad("two_parts", "malformed", h + "." + b)
    bad("four_parts", "malformed", good + ".")
    bad("padded_base64url", "malformed", h + "." + b + "." + s + "==")
    bad("base64_alphabet", "malformed", h + "." + b + "." + "+" + s[1:])
    bad("trailing_newline", "malformed", good + "\n")
    last = {"A": "B", "Q": "R", "g": "h", "w": "x"}[s[-1]]
    bad("non_zero_trailing_bits_in_signature", "malformed", h + "." + b + "." + s[:-1] + last)
    bad("signature_63_bytes", "malformed", jws_raw(head, compact(base()), ALICE, mutate=lambda sig: sig[:63]))
    bad_bytes("payload_not_json", "malformed", b"hello")
    bad_bytes("payload_empty", "malformed", b"")
    bad_bytes("payload_array", "malformed", b"[" + compact(base()) + b"]")
    bad_bytes("payload_trailing_comma", "malformed", compact(base())[:-1] + b",}")
    bad_bytes("payload_two_values", "malformed", compact(base()) + b"{}")
    bad_bytes("payload_byte_order_mark", "malformed", b"\xef\xbb\xbf" + compact(base()))
    bad_bytes("payload_invalid_utf8", "malformed", compact(base()).replace(b'"t-1"', b'"t-\xff"'))
    bad_bytes("payload_lone_surrogate", "malformed", compact(base()).replace(b'"t-1"', b'"t-\\ud800"'))
    bad_bytes("payload_40_levels_deep", "malformed",
              compact(base()).replace(b'"report-0001"', b"[" * 40 + b"]" * 40))

    # header
    def header(**changes):
        out = agent_header(ALICE, "trade-outcome+jwt")
        out.update(changes)
        return {name: value for name, value in out.items() if value is not None}

    def bad_header(name, code, fields):
        bad(name, code, jws(fields, base(), ALICE))

    bad_header("header_crit", "header_invalid", header(crit=["b64"], b64=True))
    bad_header("header_jwk", "header_invalid", header(jwk=ALICE.jwk))
    bad_header("header_without_kid", "header_invalid", header(kid=None))
    bad_header("header_without_alg", "header_invalid", header(alg=None))
    bad_header("header_without_typ", "header_invalid", header(typ=None))
    bad("header_not_json", "header_invalid", jws_raw(b"alg", compact(base()), ALICE))
    bad_header("alg_none", "alg_unsupported", header(alg="none"))
    bad_header("alg_ed25519", "alg_unsupported", header(alg="Ed25519"))
    bad_header("alg_lower_case", "alg_unsupported", header(alg="eddsa"))
    bad_header("alg_hs256", "alg_unsupported", header(alg="HS256"))
    bad_header("typ_jwt", "typ_wrong", header(typ="JWT"))
    bad_header("typ_terms", "typ_wrong", header(typ="trade-terms+jwt"))
    bad_header("typ_with_application", "typ_wrong", header(typ="application/trade-outcome+jwt"))
    bad_header("kid_of_the_counterparty", "kid_mismatch", header(kid=BOB.method))
    bad_header("kid_without_fragment", "kid_mismatch", header(kid=ALICE.did))
    bad_header("kid_other_fragment", "kid_mismatch", header(kid=ALICE.did + "#key-1"))

    # members
    body = compact(base())
    bad_bytes("duplicate_top_level", "duplicate_member", body[:-1] + b',"jti":"report-0001"}')
    bad_bytes("duplicate_nested", "duplicate_member",
              body.replace(b'"quality_bp":9000', b'"quality_bp":9000,"quality_bp":1'))
    bad_bytes("duplicate_escaped_spelling", "duplicate_member", body[:-1] + b',"j\\u0074i":"report-0002"}')
    bad_payload("unknown_top_level", "unknown_member", change(("nonce", "x")))
    bad_payload("unknown_in_trade", "unknown_member", change(("trade.note", "x")))
    bad_payload("unknown_in_outcome", "unknown_member", change(("outcome.stars", 5)))
    bad_payload("unknown_in_bid", "unknown_member",
                change(("trade.auction.bids", [{"bidder": DAVE.did, "amount": "1", "won": True}]),
                       start=auction_base()))
    for dotted in ("iss", "sub", "jti", "iat", "trade", "outcome", "trade.id", "trade.market", "trade.kind",
                   "trade.role", "trade.amount", "trade.currency", "trade.closed_at", "outcome.status"):
        if dotted == "iss":
            continue  # without `iss` the header's kid cannot be right either
        bad_payload("missing_" + dotted.replace(".", "_"), "member_missing", change((dotted, DROP)))
    bad_payload("missing_auction_format", "member_missing",
                change(("trade.auction.format", DROP), start=auction_base()))
    bad_payload("missing_settlement_rail", "member_missing", change(("trade.settlement", {"ref": "0x1"})))
    bad_payload("missing_bid_amount", "member_missing",
                change(("trade.auction.bids", [{"bidder": DAVE.did}]), start=auction_base()))

    for name, dotted, value in (
        ("jti_7", "jti", "j" * 7), ("jti_129", "jti", "j" * 129), ("jti_number", "jti", 12345678),
        ("iat_text", "iat", str(T)), ("iat_negative", "iat", -1), ("trade_id_empty", "trade.id", ""),
        ("trade_id_129", "trade.id", "i" * 129), ("trade_id_control", "trade.id", "t\n1"),
        ("trade_id_delete", "trade.id", "t\x7f"), ("market_empty", "trade.market", ""),
        ("market_257", "trade.market", "m" * 257), ("market_nul", "trade.market", "m\0"),
        ("resource_513", "trade.resource", "r" * 513), ("swap_id_129", "trade.swap_id", "s" * 129),
        ("parent_empty", "trade.parent", ""), ("kind_unknown", "trade.kind", "gift"),
        ("kind_capital", "trade.kind", "Purchase"), ("role_unknown", "trade.role", "broker"),
        ("currency_lower_case", "trade.currency", "usdc"), ("currency_one_letter", "trade.currency", "U"),
        ("currency_17", "trade.currency", "U" * 17), ("currency_caip2_only", "trade.currency", "eip155:8453"),
        ("status_unknown", "outcome.status", "ok"), ("quality_10001", "outcome.quality_bp", 10001),
        ("quality_negative", "outcome.quality_bp", -1), ("quality_text", "outcome.quality_bp", "9000"),
        ("quality_null", "outcome.quality_bp", None), ("on_time_number", "outcome.on_time", 1),
        ("supersedes_short", "supersedes", "abc"), ("supersedes_hex", "supersedes", "0" * 64),
        ("rounds_10001", "trade.negotiation", {"rounds": 10001}),
        ("rail_unknown", "trade.settlement", {"rail": "cash"}),
        ("settlement_ref_257", "trade.settlement", {"rail": "x402", "ref": "r" * 257}),
        ("transcript_sha256_short", "trade.negotiation", {"transcript_sha256": "abc"}),
        ("transcript_sha256_upper_hex", "trade.negotiation", {"transcript_sha256": "AB" * 32}),
        ("transcript_sha256_trailing_bits", "trade.negotiation",
         {"transcript_sha256": b64u(sha256(b"transcript"))[:-1] + "B"}),
    ):
        bad_payload("invalid_" + name, "member_invalid", change((dotted, value)))
    for name, fields in (("auction_format_unknown", {"format": "dutch"}), ("auction_id_empty", {"id": ""}),
                         ("task_class_unknown", {"task_class": "slow"}), ("utilisation_10001", {"utilisation_bp": 10001}),
                         ("bids_65", {"bids": [{"bidder": DAVE.did, "amount": "1"}] * 65})):
        bad_payload("invalid_" + name, "member_invalid",
                    change(*[("trade.auction." + k, v) for k, v in fields.items()], start=auction_base()))

    bad_bytes("number_2_53", "number_out_of_range", body.replace(b'"iat":%d' % (T + 30), b'"iat":9007199254740992'))
    bad_bytes("number_huge", "number_out_of_range", body.replace(b'"iat":%d' % (T + 30), b'"iat":' + b"9" * 40))
    bad_bytes("number_fraction", "number_out_of_range", body.replace(b":9000", b":9000.5"))
    bad_bytes("number_fraction_zero", "number_out_of_range", body.replace(b":9000", b":9000.0"))
    bad_bytes("number_exponent", "number_out_of_range", body.replace(b":9000", b":9e3"))

    # DIDs and keys
    x25519 = "did:key:" + multibase(BOB.public, b"\xec\x01")
    short = "did:key:" + multibase(BOB.public[:31])
    for name, did in (("web", "did:web:example.com"), ("upper_case_method", BOB.did.replace("did:key", "DID:KEY")),
                      ("x25519", x25519), ("31_bytes", short), ("leading_one", BOB.did.replace(":z", ":z1")),
                      ("fragment", BOB.method), ("base58_zero", BOB.did[:-1] + "0"), ("empty", ""),
                      ("trailing_space", BOB.did + " "), ("other_base", "did:key:" + "f" + (b"\xed\x01" + BOB.public).hex())):
        bad_payload("did_sub_" + name, "did_invalid", change(("sub", did)))
    web = {"alg": "EdDSA", "typ": "trade-outcome+jwt", "kid": "did:web:example.com#key-1"}
    bad("did_iss_web", "did_invalid", jws(web, change(("iss", "did:web:example.com")), ALICE))
    bad_payload("did_bidder_x25519", "did_invalid",
                change(("trade.auction.bids", [{"bidder": x25519, "amount": "1"}]), start=auction_base()))

    weak = multibase(IDENTITY)
    weak_header = {"alg": "EdDSA", "typ": "trade-outcome+jwt", "kid": f"did:key:{weak}#{weak}"}
    weak_signature = IDENTITY + bytes(32)  # plain verification accepts it for every message
    bad("key_identity_point", "key_weak",
        jws(weak_header, change(("iss", "did:key:" + weak)), None, signature=weak_signature))
    order_8 = multibase(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
    bad("key_order_8", "key_weak",
        jws({**weak_header, "kid": f"did:key:{order_8}#{order_8}"}, change(("iss", "did:key:" + order_8)), None,
            signature=weak_signature))
    bad_payload("key_weak_sub", "key_weak", change(("sub", "did:key:" + weak)))

    # signatures
    bad("signature_bit_flipped_in_r", "signature_invalid", sign(base(), mutate=flip_first_bit))
    bad("signature_bit_flipped_in_s", "signature_invalid",
        sign(base(), mutate=lambda sig: sig[:32] + flip_first_bit(sig[32:])))
    bad("signature_non_canonical_s", "signature_invalid", sign(base(), mutate=add_l_to_s))
    bad("signature_small_order_r", "signature_invalid", sign(base(), signature=ALICE.sign_with_small_order_r))
    bad("signature_by_another_key", "signature_invalid", sign(base(), signature=MALLORY.sign))
    bad("signature_zero", "signature_invalid", sign(base(), signature=bytes(64)))
    bad("payload_changed", "signature_invalid", h + "." + b64u(compact(change(("outcome.quality_bp", 9001)))) + "." + s)

    # rules across members
    bad_payload("self_rating", "self_rating", change(("sub", ALICE.did)))
    for name, amount in (("empty", ""), ("leading_zero", "01"), ("dot", "1."), ("no_integer", ".5"), ("ten_decimals", "1.0000000001"),
                         ("too_large", "1000000000"), ("negative", "-1"), ("plus", "+1"), ("exponent", "1e3"),
                         ("comma", "1,5"), ("space", " 1"), ("newline", "1\n"), ("hex", "0x1"),
                         ("fullwidth", "\uff11"), ("two_dots", "1.2.3")):
        bad_payload("amount_" + name, "amount_invalid", change(("trade.amount", amount)))
    bad_payload("units_leading_zero", "amount_invalid", change(("trade.units", "007")))
    bad_payload("opening_negative", "amount_invalid", change(("trade.negotiation", {"opening": "-1"})))
    bad_payload("reserve_empty", "amount_invalid", change(("trade.auction.reserve", ""), start=auction_base()))
    bad_payload("amount_zero_without_swap", "amount_zero", change(("trade.amount", "0")))
    bad_payload("amount_zero_data_swap_without_swap_id", "amount_zero",
                change(("trade.amount", "0.00"), ("trade.kind", "data_swap")))
    bad_payload("fulfilled_without_quality", "quality_required", change(("outcome.quality_bp", DROP)))
    bad_payload("partial_without_quality", "quality_required",
                change(("outcome", {"status": "partial", "on_time": True})))
    bad_payload("buyer_claims_quality", "claim_not_seller", change(("outcome.claimed_quality_bp", 9000)))
    auction = {"id": "a-1", "format": "forward"}
    bad_payload("auction_in_purchase", "auction_not_allowed", change(("trade.auction", auction)))
    bad_payload("auction_in_data_swap", "auction_not_allowed",
                change(("trade.auction", auction), ("trade.kind", "data_swap")))
    bad_payload("closed_after_signed", "closed_after_signed", change(("trade.closed_at", T + 31)))

    # evidence
    def bad_evidence(name, code, *items, start=None):
        bad_payload(name, code, change(("evidence", list(items)), start=start))

    digest = b64u(sha256(b"delivery"))
    fine_terms = terms(base())
    bad_evidence("evidence_hash_with_document", "evidence_invalid",
                 {"type": "hash", "sha256": b64u(text_digest("delivery")), "document": "delivery"})
    bad_evidence("evidence_hash_without_sha256", "evidence_invalid", {"type": "hash"})
    bad_evidence("evidence_terms_without_document", "evidence_invalid", {"type": "terms", "sha256": digest})
    bad_evidence("evidence_receipt_without_document", "evidence_invalid", {"type": "x402-receipt", "sha256": digest})
    bad_evidence("evidence_sha256_of_something_else", "evidence_invalid",
                 {"type": "terms", "document": fine_terms, "sha256": digest})
    bad_evidence("evidence_unknown_type", "member_invalid", {"type": "photo", "document": "x"})
    bad_evidence("evidence_receipt_8193_bytes", "member_invalid", {"type": "x402-receipt", "document": "x" * 8193})
    bad_evidence("evidence_receipt_8193_bytes_unicode", "member_invalid",
                 {"type": "ap2-receipt", "document": "\u00fc" * 4096 + "x"})
    bad_evidence("evidence_two_terms", "evidence_invalid", {"type": "terms", "document": fine_terms},
                 {"type": "terms", "document": terms(base(), jti="terms-0002")})
    bad_evidence("evidence_nine_items", "member_invalid",
                 *[{"type": "hash", "sha256": b64u(sha256(bytes([n])))} for n in range(9)])

    def bad_terms(name, code, document, start=None):
        bad_evidence("terms_" + name, "terms_" + code, {"type": "terms", "document": document}, start=start)

    bad_terms("not_a_jws", "invalid", "I agree")
    bad_terms("wrong_typ", "invalid", terms(base(), typ="trade-outcome+jwt"))
    bad_terms("alg_ed25519", "invalid",
              jws({**agent_header(BOB, "trade-terms+jwt"), "alg": "Ed25519"}, terms_payload(base()), BOB))
    bad_terms("signature_flipped", "invalid",
              jws(agent_header(BOB, "trade-terms+jwt"), terms_payload(base()), BOB, mutate=flip_first_bit))
    bad_terms("signed_by_the_reporter", "invalid",
              jws(agent_header(BOB, "trade-terms+jwt"), terms_payload(base()), ALICE))
    bad_terms("kid_of_another", "invalid", jws(agent_header(CAROL, "trade-terms+jwt"), terms_payload(base()), BOB))
    bad_terms("unknown_member", "invalid", terms(base(), note="x"))
    bad_terms("without_exp", "invalid", terms(base(), exp=None))
    bad_terms("bad_amount", "invalid", terms(base(), amount="012.5"))
    bad_terms("promise_unknown_member", "invalid", terms(base(), promise={"price": "1"}))
    bad_terms("promise_quality_10001", "invalid", terms(base(), promise={"quality_bp": 10001}))
    bad_terms("by_a_third_party", "mismatch", terms(base(), key=CAROL, iss=CAROL.did))
    bad_terms("other_trade", "mismatch", terms(base(), trade_id="t-2"))
    bad_terms("other_market", "mismatch", terms(base(), market=MARKET_URI + "/2"))
    bad_terms("other_kind", "mismatch", terms(base(), kind="service"))
    bad_terms("other_amount", "mismatch", terms(base(), amount="12.500000001"))
    bad_terms("other_currency", "mismatch", terms(base(), currency="USD"))
    bad_terms("roles_swapped", "mismatch", terms(base(), buyer=BOB.did, seller=ALICE.did))
    bad_terms("other_buyer", "mismatch", terms(base(), buyer=CAROL.did))
    bad_terms("closed_before_iat", "time", terms(base(), iat=T + 1))
    bad_terms("closed_after_exp", "time", terms(base(), exp=T - 1))

    def bad_attestation(name, code, document):
        bad_evidence("attestation_" + name, "attestation_" + code, {"type": "market", "document": document})

    bad_attestation("not_a_jws", "invalid", "sold")
    bad_attestation("wrong_typ", "invalid", jws(agent_header(MARKET, "JWT"), attestation_payload(base()), MARKET))
    bad_attestation("signature_flipped", "invalid",
                    jws(agent_header(MARKET, "trade-attestation+jwt"), attestation_payload(base()), MARKET,
                        mutate=flip_last_bit))
    bad_attestation("unknown_member", "invalid", attestation(base(), kind="purchase"))
    bad_attestation("without_outcome", "invalid", attestation(base(), outcome=None))
    bad_attestation("unknown_outcome", "invalid", attestation(base(), outcome="done"))
    bad_attestation("other_trade", "mismatch", attestation(base(), trade_id="t-2"))
    bad_attestation("other_market", "mismatch", attestation(base(), market="https://elsewhere.example"))
    bad_attestation("other_seller", "mismatch", attestation(base(), seller=CAROL.did))
    bad_attestation("other_amount", "mismatch", attestation(base(), amount="12.4"))
    bad_attestation("other_outcome", "mismatch", attestation(base(), outcome="failed"))
    bad_attestation("other_currency", "mismatch", attestation(base(), currency="EUR"))

    def bad_bid(name, document, amount="11"):
        bad_payload("bid_" + name, "bid_invalid",
                    change(("trade.auction.bids", [{"bidder": DAVE.did, "amount": amount, "document": document}]),
                           start=auction_base()))

    a = auction_base()
    bad_bid("not_a_jws", "I bid 11")
    bad_bid("wrong_typ", jws(agent_header(DAVE, "trade-terms+jwt"), bid_payload(a, DAVE, "11"), DAVE))
    bad_bid("by_another_bidder", bid(a, ERIN, "11"))
    bad_bid("signature_flipped",
            jws(agent_header(DAVE, "auction-bid+jwt"), bid_payload(a, DAVE, "11"), DAVE, mutate=flip_first_bit))
    bad_bid("other_auction", bid(a, DAVE, "11", auction_id="a-2"))
    bad_bid("other_market", bid(a, DAVE, "11", market="https://elsewhere.example"))
    bad_bid("other_amount", bid(a, DAVE, "10"))
    bad_bid("other_currency", bid(a, DAVE, "11", currency="USD"))
    bad_bid("unknown_member", bid(a, DAVE, "11", note="x"))

    # time of admission
    def timed(name, payload, at, code):
        text = sign(payload)
        case = {"name": name, "jws": text, "at": at, "max_age_s": 30 * DAY, "code": code and "report." + code}
        if code is None:
            case = {"name": name, "payload": payload, "jws": text, "id": b64u(sha256(text.encode())), "at": at,
                    "max_age_s": 30 * DAY, "code": None}
        cases.append(case)

    timed("admitted_at_signing_time", base(), T + 30, None)
    timed("admitted_60_s_before_iat", base(), T + 30 - 60, None)
    timed("future_dated_61_s", base(), T + 30 - 61, "future_dated")
    timed("admitted_30_days_after_closing", base(), T + 30 * DAY, None)
    timed("too_old_30_days_and_1_s", base(), T + 30 * DAY + 1, "too_old")
    assert len({case["name"] for case in cases}) == len(cases)
    assert set(B58) >= set(weak)
    return cases


class _Drop:
    pass


DROP = _Drop()


# --- terms.json -----------------------------------------------------------------------------------------------------


def terms_json():
    p, a = base(), auction_base()
    documents = [
        ("terms", "trade-terms+jwt", BOB, terms_payload(p)),
        ("terms_with_promise", "trade-terms+jwt", BOB,
         terms_payload(p, promise={"quality_bp": 8000, "deadline": T + 10, "latency_ms": 250})),
        ("terms_for_a_swap", "trade-terms+jwt", BOB, terms_payload(p, kind="data_swap", amount="0")),
        ("attestation", "trade-attestation+jwt", MARKET, attestation_payload(p)),
        ("attestation_of_a_failure", "trade-attestation+jwt", MARKET, attestation_payload(p, outcome="failed")),
        ("bid", "auction-bid+jwt", DAVE, bid_payload(a, DAVE, "11.000000001")),
    ]
    out = []
    for name, typ, key, payload in documents:
        text = jws(agent_header(key, typ), payload, key)
        out.append({"name": name, "typ": typ, "signer": key.did, "payload": payload, "jws": text,
                    "sha256": b64u(text_digest(text))})
    return out
