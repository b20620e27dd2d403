#!/usr/bin/env python3
"""A random input of score.py with everything in it that section 1 knows, to hold two implementations against each other.

usage: random_input.py SEED [REPORTS] > input.json

Small markets of strange habits: one-sided and superseded reports, same roles, other currencies, disputes, cancelled
trades, documents quoted twice, floods, mutual praise, cycles, changes of quality, and a policy moved off the preset."""

import json
import random
import sys

import presets

DAY = 86400
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ID = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

# Members that change what the function does, with values to take at random.
VARIED = {
    "dampening_rounds": (0, 1, 2, 3, 3, 3),
    "change_splits": (0, 1, 4, 4, 16),
    "change_bin_s": (DAY, 6 * DAY, 6 * DAY),
    "change_z_milli": (0, 1500, 2700, 2700),
    "cancelled_weight_milli": (0, 0, 500),
    "unilateral_cap_milli": (0, 250, 250, 1000),
    "unilateral_weight_milli": (0, 250, 1000),
    "noise_scale_ppm": (0, 50000, 50000),
    "leniency_floor_bp": (1000, 4500, 4500, 10000),
    "half_life_s": (DAY, 5184000, 5184000),
    "half_life_negative_s": (0, 5184000),
    "flow_quality_floor_bp": (0, 0, 5000),
    "flow_iterations": (1, 12, 12),
    "bulk_mass_milli": (3000, 20000),
    "concentrated_mass_milli": (0, 8000),
    "buyer_fade_milli": (0, 4000),
    "value_gap_bp": (0, 500, 1500),
    "value_z_low_milli": (0, 2500),
    "value_effective_milli": (0, 2500),
    "wash_common_bp": (300, 3000, 10000),
    "band_counterparties": (1, 4),
    "band_evidence_milli": (100, 3000),
    "recent_evidence_milli": (0, 3000),
    "established_counterparties_milli": (0, 3000),
    "contested_share_bp": (1, 2500),
}


def varied_policy(chooser, agents):
    policy = presets.policy(chooser.choice(("agent-market", "agent-market", "agent-market", "rating-network")))
    for member, values in VARIED.items():
        if chooser.random() < 0.3:
            policy["scoring"][member] = chooser.choice(values)
    if policy["scoring"]["half_life_s"] == 0:
        policy["scoring"]["half_life_negative_s"] = 0
    policy["seeds"] = sorted(chooser.sample(agents, chooser.randint(1, 3)) + [did(chooser)])
    return policy


def did(chooser):
    return "did:key:z6Mk" + "".join(chooser.choice(ALPHABET) for _ in range(44))


class Writer:
    """Reports in the order of the log."""

    def __init__(self, chooser):
        self.chooser, self.reports, self.documents = chooser, [], []

    def report(self, reporter, subject, role, trade, quality):
        chooser = self.chooser
        status = chooser.choices(("fulfilled", "partial", "failed", "disputed", "cancelled"), (80, 5, 6, 6, 3))[0]
        named = status in ("fulfilled", "partial") or chooser.random() < 0.2
        previous = self.reports[-1]["at_ms"] if self.reports else 0
        documents = []
        for grade in ("terms", "receipt", "attested"):
            if chooser.random() < 0.06:
                again = self.documents and chooser.random() < 0.5
                documents.append(chooser.choice(self.documents) if again else {"digest": did(chooser)[8:], "grade": grade})
        self.documents += documents
        self.reports.append(
            {
                "index": len(self.reports) * 2 + 1,
                "id": "".join(chooser.choice(ID) for _ in range(43)),
                "at_ms": max(previous, (trade["closed_at"] + chooser.randrange(5)) * 1000 + chooser.randrange(1000)),
                "reporter": reporter,
                "subject": subject,
                "role": role,
                **trade,
                "status": status,
                "quality_bp": min(10000, max(0, quality + chooser.randint(-800, 800))) if named else None,
                "claimed_quality_bp": chooser.randint(5000, 10000) if role == "seller" and chooser.random() < 0.3 else None,
                "documents": documents,
            }
        )

    def trade(self, day, number, buyer, seller, quality, amount):
        chooser = self.chooser
        trade = {
            "market": f"urn:market:{chooser.choice('aab')}",
            "trade_id": f"t{number if chooser.random() > 0.03 else max(0, number - 7)}",
            "kind": chooser.choice(("data_swap", "purchase", "purchase", "compute_auction", "service")),
            "currency": chooser.choice(("USD", "USD", "USD", "EUR", "XXX")),
            "amount_nano": amount,
            "closed_at": 1760000000 + day * DAY + chooser.randrange(DAY),
        }
        sides = chooser.choices(("both", "buyer", "seller", "strange"), (80, 10, 6, 4))[0]
        if sides != "seller":
            self.report(buyer, seller, "buyer", trade, quality)
            if chooser.random() < 0.04:
                self.report(buyer, seller, "buyer", trade, chooser.randint(0, 10000))  # supersedes
        if sides in ("both", "seller"):
            other = dict(trade)
            if chooser.random() < 0.05:
                other.update(chooser.choice(({"currency": "CREDIT"}, {"amount_nano": amount // 2}, {"closed_at": trade["closed_at"] - 60})))
            self.report(seller, buyer, "seller", other, 10000)
        if sides == "strange":
            self.report(seller, buyer, "buyer", trade, 9000)


def random_input(seed, most=400):
    """The input document of a seed; about `most` reports."""
    chooser = random.Random(seed)
    agents = sorted(did(chooser) for _ in range(chooser.randint(3, 16)))
    true_quality = {agent: chooser.randint(1000, 10000) for agent in agents}
    turns = {agent: chooser.randrange(120) for agent in agents if chooser.random() < 0.4}
    habit = {agent: chooser.choice(("fair", "fair", "fair", "lenient", "harsh", "random")) for agent in agents}
    friends = set(chooser.sample(agents, min(len(agents), chooser.randint(2, 4))))
    writer = Writer(chooser)
    for number in range(most // 2):
        day = 120 * number * 2 // most
        if chooser.random() < 0.2:
            buyer, seller = chooser.sample(sorted(friends), 2)
        else:
            buyer, seller = chooser.sample(agents, 2)
        quality = true_quality[seller] if day < turns.get(seller, 999) else 10000 - true_quality[seller]
        quality = {"fair": quality, "lenient": (quality + 20000) // 3, "harsh": quality // 2, "random": chooser.randint(0, 10000)}[habit[buyer]]
        if buyer in friends and seller in friends:
            quality = 10000
        elif seller in friends and chooser.random() < 0.1:
            quality = 0
        amount = chooser.choice((0, 10**5, 3 * 10**7, chooser.randrange(10**6, 10**13), 5 * 10**8 + chooser.randrange(10**7)))
        writer.trade(day, number, buyer, seller, quality, amount)
        if buyer in friends and chooser.random() < 0.3:  # passed on
            writer.trade(day, number + most, seller, chooser.choice([a for a in agents if a != seller]), quality, amount)
    writer.reports.sort(key=lambda report: report["index"])
    as_of = 1760000000 + chooser.choice((60, 121, 121, 121, 1500)) * DAY
    policy = varied_policy(chooser, sorted({report["reporter"] for report in writer.reports}))
    return {"policy": policy, "as_of": as_of, "erased_reports": chooser.randrange(3), "reports": writer.reports}


if __name__ == "__main__":
    print(json.dumps(random_input(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 400), indent=1))
