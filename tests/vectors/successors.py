"""successor.json: notices that a log has ended."""

from logs import ORIGIN
from primitives import b64, flip_first_bit, jws, service_header
from reports import KEYS, MALLORY, T
from tokens import BUNDLE_IAT, ISS, without

NEXT_ORIGIN = "log.example/rep"
NEXT_VKEY = "log.example/rep+d7beed62+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"


def successor_json(service):
    out = []
    log = service.log

    def notice(**changes):
        body = {
            "iss": ISS, "iat": BUNDLE_IAT + 60, "origin": log.origin, "vkey": log.vkey, "size": len(log.data),
            "root": b64(bytes(range(32))), "reason": "compromised",
            "successor": {"origin": NEXT_ORIGIN, "vkey": NEXT_VKEY, "url": "https://next.example"},
        }
        body.update(changes)
        return body

    def sign(body, key=KEYS["bundle"], typ="log-successor+jwt", **more):
        return jws(service_header(key, typ), body, key, **more)

    def good(name, body):
        out.append({"name": name, "trust_bundle": "valid", "jws": sign(body), "payload": body, "code": None})

    def bad(name, code, text):
        out.append({"name": name, "trust_bundle": "valid", "jws": text, "code": "successor." + code})

    assert log.origin == ORIGIN
    good("valid", notice())
    good("no_successor", without(notice(reason="lost"), "successor"))
    good("no_url", notice(reason="retired", successor={"origin": NEXT_ORIGIN, "vkey": NEXT_VKEY}))
    bad("signature_flipped", "signature_invalid", sign(notice(), mutate=flip_first_bit))
    bad("signed_by_a_token_key", "signature_invalid", sign(notice(), key=KEYS["token"]))
    bad("signed_by_an_unknown_key", "signature_invalid", sign(notice(), key=MALLORY))
    bad("before_the_key_began", "signature_invalid", sign(notice(iat=T - 2 * 86400)))
    bad("another_issuer", "log_mismatch", sign(notice(iss="https://other.example")))
    bad("another_log", "log_mismatch", sign(notice(origin=NEXT_ORIGIN, vkey=NEXT_VKEY)))
    bad("typ_trust_bundle", "malformed", sign(notice(), typ="trust-bundle+jwt"))
    bad("not_a_jws", "malformed", "notice")
    bad("unknown_member", "malformed", sign(notice(exp=BUNDLE_IAT)))
    bad("no_root", "malformed", sign(without(notice(), "root")))
    bad("unknown_reason", "malformed", sign(notice(reason="bored")))
    bad("negative_size", "malformed", sign(notice(size=-1)))
    bad("origin_is_not_the_keys", "malformed", sign(notice(origin=NEXT_ORIGIN)))
    bad("successor_key_of_another", "malformed", sign(notice(successor={"origin": "x.example", "vkey": NEXT_VKEY})))
    bad("successor_without_key", "malformed", sign(notice(successor={"origin": NEXT_ORIGIN})))
    bad("successor_url_of_a_file", "malformed",
        sign(notice(successor={"origin": NEXT_ORIGIN, "vkey": NEXT_VKEY, "url": "file:///etc/passwd"})))
    return out
