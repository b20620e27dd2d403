#!/usr/bin/env python3
"""What sybils can do to one agent: how far its lower bound moves, and what they weigh beside the bound of docs/SCORING.md, section 13.

usage: sybils.py SCORER ratings REPORTS.csv.gz SEEDS    boost and slander in a rating network, with captured honest ratings
       sybils.py SCORER market REPORTS.csv.gz SEEDS     boost in an agent market, by sybils that really buy
"""

import argparse
import csv
import gzip
import io
import json
import random
import statistics
import subprocess
import sys

# size cap × value cap × noise factor of section 13, flow share ρ, credibility half in shares of a seed
CAPS = {"rating-network": (6 * 1 * 1, 0.003333), "agent-market": (6 * 2.2 * 1.4, 0.005)}


class Network:
    def __init__(self, scorer, path, seeds, preset):
        self.scorer, self.seeds, self.preset = scorer, seeds, preset
        with gzip.open(path, "rt") as file:
            self.text = file.read()
        self.rows = list(csv.DictReader(io.StringIO(self.text)))
        self.columns = list(self.rows[0])
        self.end = max(int(row["time"]) for row in self.rows)
        with open(seeds) as file:
            self.roots = len([x for x in file.read().replace("\n", ",").split(",") if x.strip()])

    def run(self, extra, *options):
        out = io.StringIO(newline="")
        rows = csv.DictWriter(out, self.columns, lineterminator="\n")
        rows.writerows(extra)
        command = [self.scorer, "--policy", self.preset, "--seeds", f"@{self.seeds}", "--as-of", str(self.end), *options]
        return subprocess.run(command, input=self.text + out.getvalue(), capture_output=True, text=True, check=True).stdout

    def scores(self, extra=()):
        return {row["alias"]: int(row["lower_bp"]) for row in csv.DictReader(io.StringIO(self.run(extra)))}

    def report(self, trade, reporter, subject, role, quality, like):
        row = dict.fromkeys(self.columns, "")
        row.update({"time": self.end - 86_400, "trade_id": trade, "market": like["market"], "kind": like["kind"], "reporter": reporter,
                    "subject": subject, "role": role, "amount": like["amount"], "currency": like["currency"], "status": "fulfilled",
                    "quality_bp": quality})  # fmt: skip
        return row

    def weighed(self, extra, target):
        """What the sybils weigh in the target's score (units of evidence), and what section 13 allows for the flow they hold."""
        explained = json.loads(self.run(extra, "--explain", target))
        sybils = [c for c in explained["contributions"] if c["reports"][0]["index"] >= len(self.rows)]
        caps, half = CAPS[self.preset]
        flow = sum(c["flow_q48"] for c in sybils) / 2**48
        return sum(c["weight_q32"] for c in sybils) / 2**32, caps * flow * self.roots / half


def ratings(network, targets, chance):
    print("rating-network: mean and greatest change of lower_bp of 30 traders; weight of all sybils and its bound, mean")
    print(f"{'':<10}{'captured':>9}{'k':>7}{'mean':>9}{'greatest':>10}{'weight':>10}{'bound':>10}")
    base = network.scores()
    honest = [row["reporter"] for row in network.rows if base.get(row["reporter"], 0) > 7000]
    like = network.rows[0]
    for kind, quality in (("boost", 10_000), ("slander", 0)):
        for captured in (0, 3, 10):
            for k in (5, 50, 500, 5000):
                moved, weights, bounds = [], [], []
                for target in targets:
                    extra = [network.report(f"x{n}", f"sybil{n}", target, "buyer", quality, like) for n in range(k)]
                    # A captured edge: somebody honest was made to praise a sybil.
                    extra += [
                        network.report(f"c{n}", chance.choice(honest), f"sybil{n % k}", "buyer", 10_000, like) for n in range(captured)
                    ]
                    moved.append(network.scores(extra)[target] - base[target])
                    weight, bound = network.weighed(extra, target)
                    weights.append(weight)
                    bounds.append(bound)
                    assert weight <= bound + 1e-6, (target, weight, bound)
                print(
                    f"{kind:<10}{captured:>9}{k:>7}{statistics.mean(moved):>+9.1f}{max(moved, key=abs):>+10}"
                    f"{statistics.mean(weights):>10.4f}{statistics.mean(bounds):>10.3f}",
                    flush=True,
                )


def market(network, targets, chance):
    print("agent-market: change of lower_bp of sellers boosted by 50 sybils that really bought from others; their weight and its bound")
    print(f"{'purchases each':<16}{'mean':>9}{'greatest':>10}{'weight':>10}{'bound':>10}")
    base = network.scores()
    sellers = sorted({row["subject"] for row in network.rows if row["role"] == "buyer" and base.get(row["subject"], 0) > 8000})
    like = next(row for row in network.rows if row["kind"] == "purchase" and row["quality_bp"])
    for purchases in (0, 1, 5, 20, 60):
        moved, weights, bounds = [], [], []
        for target in targets:
            extra = []
            for n in range(50):
                trades = [(f"b{n}", target, 10_000)]
                trades += [(f"p{n}-{m}", chance.choice(sellers), 9_000) for m in range(purchases)]
                for trade, seller, quality in trades:
                    extra.append(network.report(trade, f"sybil{n}", seller, "buyer", quality, like))
                    extra.append(network.report(trade, seller, f"sybil{n}", "seller", 10_000, like))
            moved.append(network.scores(extra)[target] - base[target])
            weight, bound = network.weighed(extra, target)
            weights.append(weight)
            bounds.append(bound)
            assert weight <= bound + 1e-6, (target, weight, bound)
        print(
            f"{purchases:<16}{statistics.mean(moved):>+9.1f}{max(moved, key=abs):>+10}{statistics.mean(weights):>10.4f}{statistics.mean(bounds):>10.3f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scorer")
    parser.add_argument("kind", choices=("ratings", "market"))
    parser.add_argument("reports")
    parser.add_argument("seeds")
    options = parser.parse_args()
    chance = random.Random(7)
    preset = "rating-network" if options.kind == "ratings" else "agent-market"
    network = Network(options.scorer, options.reports, options.seeds, preset)
    rated = {}
    for row in network.rows:
        if row["role"] == "buyer":
            rated[row["subject"]] = rated.get(row["subject"], 0) + 1
    some = sorted(agent for agent, n in rated.items() if 3 <= n <= 12)
    targets = chance.sample(some, 30 if options.kind == "ratings" else 10)
    (ratings if options.kind == "ratings" else market)(network, targets, chance)


if __name__ == "__main__":
    sys.exit(main())
