#!/usr/bin/env python3
"""Changes one byte of a token at a time and shows what the verifier says to each.

usage: tamper.py GOODSTANDING TOKEN TRUST_BUNDLE ISSUER_KEY KEY_SEED ALIAS

TOKEN is as issued, for an agent that `import --key-seed KEY_SEED` signs for. Changes that anyone could make are made as
they are. Proof and checkpoint lie inside the signed payload, where any change spoils the issuer's signature; they are changed
as the issuer itself could, signed again with its key (ISSUER_KEY, a file of the data directory) and bound again by the holder.
Exit 1 if any of it is accepted, or if two places that must differ share a code. Needs `cryptography`.
"""
import base64, hashlib, json, subprocess, sys, time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

program, token_file, bundle, issuer_file, seed, alias = sys.argv[1:]
AUD, NONCE = "https://market.example", "4711"
url64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b"=").decode()
unurl = lambda s: base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
issuer = Ed25519PrivateKey.from_private_bytes(unurl(json.load(open(issuer_file))["d"]))
holder = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"goodstanding/import\0" + seed.encode() + b"\0" + alias.encode()).digest())
jwt, *disclosures = open(token_file).read().strip().rstrip("~").split("~")
chosen = [d for d in disclosures if json.loads(unurl(d))[1] in ("lower_bp", "state", "flags")]
header, payload, signature = jwt.split(".")


def sign(key, header, claims):
    text = url64(json.dumps(header).encode()) + "." + url64(json.dumps(claims).encode())
    return text + "." + url64(key.sign(text.encode()))


def present(jwt, disclosures):
    shown = "~".join([jwt, *disclosures]) + "~"
    claims = {"iat": int(time.time()), "aud": AUD, "nonce": NONCE, "sd_hash": url64(hashlib.sha256(shown.encode()).digest())}
    return shown + sign(holder, {"alg": "EdDSA", "typ": "kb+jwt"}, claims)


def flip(text, at):
    return text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1:]


def resigned(change):
    claims = json.loads(unurl(payload))
    change(claims)
    text = header + "." + url64(json.dumps(claims).encode())
    return present(text + "." + url64(issuer.sign(text.encode())), chosen)


def anchor(name, at):
    def change(claims):
        claims["anchor"][name] = flip(claims["anchor"][name], at(claims["anchor"][name]))
    return resigned(change)


def inside(payload, text):
    plain = unurl(payload).decode()
    return url64(flip(plain, plain.index(text) + len(text) + 3).encode())


cases = [
    ("nothing", present(jwt, chosen), "accepted"),
    ("token: a digest in the payload", present(f'{header}.{inside(payload, chr(34) + "_sd" + chr(34) + ":[")}.{signature}', chosen), "token.signature_invalid"),
    ("token: the signature", present(f"{header}.{payload}.{flip(signature, 40)}", chosen), "token.signature_invalid"),
    ("a disclosure (its salt)", present(jwt, [url64(flip(unurl(chosen[0]).decode(), 5).encode()), *chosen[1:]]), "disclosure.unmatched"),
    ("the key binding", flip(present(jwt, chosen), -40), "holder.signature_invalid"),
    ("re-signed: the path in the score tree", anchor("path", lambda t: 5), "anchor.statement_not_in_tree"),
    ("re-signed: the proof (a hash)", anchor("proof", lambda t: t.index("\n", t.index("index")) + 5), "anchor.entry_not_in_log"),
    ("re-signed: the checkpoint (its signature)", anchor("proof", lambda t: t.rindex(" ") + 20), "checkpoint.signature_invalid"),
    ("re-signed: the epoch entry (its root)", anchor("epoch_entry", lambda t: t.index('"score_root":"') + 20), "anchor.statement_not_in_tree"),
]
failed = 0
for what, text, expected in cases:
    run = subprocess.run([program, "token", "verify", "-", "--trust", bundle, "--aud", AUD, "--nonce", NONCE, "--json"],
                         input=text, capture_output=True, text=True)
    said = json.loads(run.stdout)
    code = said["error"]["code"] if "error" in said else "accepted"
    exit_code = 0 if expected == "accepted" else 3
    good = code == expected and run.returncode == exit_code
    failed += not good
    print(f"{'' if good else 'WRONG '}{what:<44} exit {run.returncode}  {code}")
sys.exit(1 if failed else 0)
