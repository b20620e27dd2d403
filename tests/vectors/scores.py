"""scores.json: small markets with everything that the scoring function makes of them, by tests/reference (docs/SCORING.md)."""

import hashlib
import json
import pathlib
import sys

from primitives import Key, b64u, sha256
from reports import T

sys.path.insert(1, str(pathlib.Path(__file__).parents[1] / "reference"))

import presets  # noqa: E402
from score import compute  # noqa: E402

DAY = 86400
USD = 10**9
BUYER, SELLER = "buyer", "seller"
AGENTS = [Key(f"agent-{n}", sha256(b"goodstanding/scores %d" % n)).did for n in range(15)]
ATTESTOR = AGENTS[14]


def between(low, high, *name):
    """A number in low..high that is always the same for these names: no random generator's version is part of the vectors."""
    digest = hashlib.sha256(" ".join(map(str, name)).encode()).digest()
    return low + int.from_bytes(digest[:8], "big") % (high - low + 1)


class Log:
    """Reports in log order; agents are numbers here and DIDs in what comes out."""

    def __init__(self):
        self.reports, self.trades = [], 0

    def report(self, reporter, subject, role, day, quality, **given):
        """A report on a trade that closed `day` days before T."""
        index = len(self.reports)
        closed_at = T - int(day * DAY)
        self.reports.append({
            "index": index, "id": b64u(sha256(b"scores report %d" % index)), "at_ms": (closed_at + 30) * 1000,
            "reporter": AGENTS[reporter], "subject": AGENTS[subject], "role": role, "market": "https://market.example",
            "trade_id": f"t{self.trades}", "kind": "purchase", "currency": "USD", "amount_nano": USD, "closed_at": closed_at,
            "status": "fulfilled", "quality_bp": quality, "claimed_quality_bp": None, "documents": [], **given,
        })  # fmt: skip

    def alone(self, buyer, seller, day, quality, **given):
        """Only the buyer reports."""
        self.trades += 1
        self.report(buyer, seller, BUYER, day, quality, **given)

    def trade(self, buyer, seller, day, quality, amount_nano=USD, **given):
        """Both report."""
        self.trades += 1
        self.report(buyer, seller, BUYER, day, quality, amount_nano=amount_nano, **given)
        self.report(seller, buyer, SELLER, day, 10000, amount_nano=amount_nano)


def cheats():
    """Five agents that only buy (0, 1, 2, 12, 13) from one that is good (3), one that gets worse (4), one that cheats in large trades
    (5), a ring that passes amounts on (6, 7, 8) and two that praise each other (10, 11; 10 is lenient to all). 9 slanders 3."""
    log = Log()
    for turn in range(5):
        for place, buyer in enumerate((0, 1, 2, 12, 13)):
            for seller in (3, 4, 5, 6, 7, 8, 10, 11):
                day = 150 - 30 * turn + 5 * place + seller / 3
                large = seller == 5 and (turn + place) % 3 == 2
                quality = {3: 9400, 4: 9300 if turn < 3 else 3300, 5: 1500 if large else 9500, 10: 5600, 11: 5600}.get(seller, 7000)
                amount = between(400, 900, "large", turn, buyer) if large else between(1, 20, "small", turn, buyer, seller)
                log.trade(buyer, seller, day, quality + between(-300, 300, "noise", turn, buyer, seller), amount * USD // 4)
    for turn in range(8):
        odd = 98_765_432 * 3**turn
        for step, (buyer, seller) in enumerate(((6, 7), (7, 8), (8, 6))):
            log.trade(buyer, seller, 80 - 7 * turn - step / 12, 10000, odd)
    for turn in range(10):
        log.trade(9, 3, 95 - 8 * turn, 300)
    log.trade(0, 9, 30, 9000)
    for turn in range(7):
        # Itself it does not rate.
        if turn != 5:
            log.trade(9, 4 + turn, 20 - turn, 9000 if turn == 1 else 7000)
        log.trade(10, 11, 70 - 8 * turn, 10000, 3 * USD)
        log.trade(11, 10, 69 - 8 * turn, 10000, 5 * USD)
        if turn < 6:
            log.trade(10, 3 + turn, 63 - 8 * turn, 10000)
    return log.reports


def kinds_of_evidence():
    """Every level, status, currency and rule of section 1 and 2 at least once."""
    log = Log()
    attested = {"digest": b64u(sha256(b"attestation")), "grade": "attested"}
    receipt = {"digest": b64u(sha256(b"receipt")), "grade": "receipt"}
    terms = {"digest": b64u(sha256(b"terms")), "grade": "terms"}
    log.trade(0, 1, 10, 9000, documents=[attested])
    log.alone(2, 1, 9, 8000, documents=[attested])
    log.alone(0, 1, 8, 8500, documents=[terms])
    log.alone(1, 2, 7, 9500, documents=[receipt])
    log.alone(1, 2, 6, 2500, documents=[receipt])
    for day in (5, 4, 3):
        log.alone(2, 0, day, 7000)
    log.trade(0, 2, 200, 9900, 50 * USD)
    # Superseded: the last one of the same reporter on the same trade counts.
    log.alone(3, 0, 6, 1000)
    log.report(3, 0, BUYER, 6, 9100)
    # The lower amount and the earlier time; two currencies; one that is not listed.
    log.trades += 1
    log.report(0, 3, BUYER, 5, 9000, amount_nano=7 * USD, currency="EUR")
    log.report(3, 0, SELLER, 6, 10000, amount_nano=5 * USD, currency="EUR")
    log.trades += 1
    log.report(1, 3, BUYER, 5, 8800, currency="EUR")
    log.report(3, 1, SELLER, 5, 10000)
    log.trades += 1
    log.report(2, 3, BUYER, 5, 8700, amount_nano=10**12, currency="DOGE")
    log.report(3, 2, SELLER, 5, 10000, amount_nano=10**12, currency="DOGE")
    # Outcomes without a rating, and accounts that contradict each other.
    for status, quality in (("failed", None), ("disputed", None), ("cancelled", None), ("partial", 6000), ("failed", 1000)):
        log.trades += 1
        log.report(0, 3, BUYER, 4, quality, status=status, kind="service")
        log.report(3, 0, SELLER, 4, 10000, kind="service")
    log.trades += 1
    log.report(1, 0, BUYER, 3, 5000, kind="compute_auction")
    log.report(0, 1, SELLER, 3, 10000, claimed_quality_bp=8000, kind="compute_auction")
    log.trades += 1
    log.report(2, 0, BUYER, 3, 5000, kind="data_swap", amount_nano=0, market="https://other.example")
    log.report(0, 2, SELLER, 3, 4000, claimed_quality_bp=7999, kind="data_swap", amount_nano=0, market="https://other.example")
    # Both say that they bought.
    log.trades += 1
    log.report(1, 2, BUYER, 2, 9000)
    log.report(2, 1, BUYER, 2, 8000)
    # Amounts in every band.
    for power in range(5, 18, 2):
        log.trade(1, 0, 20 + power, 9000 + 40 * power, 3 * 10**power)
    return log.reports


def ratings():
    """A network of unilateral ratings without prices, some by agents that no flow reaches."""
    log = Log()
    for rater in range(8):
        for step in (1, 2, 3):
            subject = (rater + step) % 8
            quality = 2000 if subject == 7 else 10000 - 400 * subject
            log.alone(rater, subject, 300 - 30 * rater - step, quality)
    for stranger in (8, 9, 10):
        log.alone(stranger, 7, stranger, 10000)
    return log.reports


def policy(preset, seeds, **scoring):
    out = presets.policy(preset)
    out["seeds"] = sorted(AGENTS[n] for n in seeds)
    out["attestors"] = [ATTESTOR]
    out["scoring"].update(scoring)
    return out


def case(name, policy, reports, as_of=T):
    return {"name": name, "code": None, "policy": policy, "as_of": as_of, "reports": reports, "output": compute(policy, as_of, reports)}


def check_story(output):
    """The market of `cheats` has in it what it is there for."""
    agents = {one["agent"]: one for one in output["agents"]}
    pairs = {(p["rater"], p["subject"], p["role"]): p for p in output["pairs"]}

    def left(rater, subject):
        return pairs[AGENTS[rater], AGENTS[subject], BUYER]["dampening_q16"]

    for rater, subject in ((6, 7), (7, 8), (8, 6), (9, 3), (10, 11), (11, 10)):
        assert left(rater, subject) < 1 << 15, (rater, subject, left(rater, subject))
    for rater, subject in ((0, 3), (1, 4), (2, 5), (12, 6), (13, 11)):
        assert left(rater, subject) == 1 << 16, (rater, subject, left(rater, subject))
    changed = agents[AGENTS[4]]
    assert [one["better"] for one in changed["changes"]] == [False] and not changed["oscillates"]
    assert agents[AGENTS[5]]["value_split"], agents[AGENTS[5]]
    assert agents[AGENTS[5]]["claims"]["lower_bp"] < agents[AGENTS[5]]["claims"]["lifetime_lower_bp"]


def scores_json():
    market = cheats()
    cases = [
        case("agent-market: some cheat", policy("agent-market", (0, 1)), market),
        case("agent-market: some cheat, a month later", policy("agent-market", (0, 1)), market, T + 30 * DAY),
        case("agent-market: no rounds of dampening", policy("agent-market", (2, 12), dampening_rounds=0), market),
        case("rating-network: the same reports", policy("rating-network", (0, 1)), market),
        case("agent-market: every kind of evidence", policy("agent-market", (0,)), kinds_of_evidence()),
        case("rating-network: every kind of evidence", policy("rating-network", (0, 3)), kinds_of_evidence()),
        case("rating-network: unilateral ratings", policy("rating-network", (0,)), ratings()),
    ]
    check_story(cases[0]["output"])
    nobody = policy("agent-market", (11,))
    cases.append({"name": "no seed is an agent of the reports", "code": "policy.no_seeds", "policy": nobody, "as_of": T, "reports": ratings(), "output": None})
    first = {}
    for one in cases:
        # Reports that a case before has too are not written twice.
        same = first.setdefault(json.dumps(one["reports"]), one["name"])
        if same != one["name"]:
            one["reports"] = same
    return cases


def text(cases):
    """JSON with one line a report, agent or pair, so that a difference shows in a line of its own."""
    def lines(items):
        return "[\n" + ",\n".join("    " + json.dumps(item, ensure_ascii=False) for item in items) + "\n   ]"

    def members(value):
        out = []
        for name, item in value.items():
            body = lines(item) if isinstance(item, list) and name in ("reports", "agents", "pairs") else None
            if name == "output" and item:
                body = "{\n" + members(item) + "\n  }"
            out.append(f"  {json.dumps(name)}: " + (body or json.dumps(item, ensure_ascii=False)))
        return ",\n".join(out)

    return "[\n" + ",\n".join(" {\n" + members(one) + "\n }" for one in cases) + "\n]\n"
