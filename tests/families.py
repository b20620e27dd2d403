#!/usr/bin/env python3
"""Spearman, inflation and collateral on markets of every family of habits, beside a plain mean and a decayed beta.

usage: families.py GOODSTANDING SCORER JUDGE [--seed N] [--attack SPEC] [--only FAMILY,…] [--scorer-args …]
  GOODSTANDING  the program, for `simulate`
  SCORER        the example `evaluate` of goodstanding-score: a CSV on standard input, scores on standard output
  JUDGE         evaluate_market.py
"""

import argparse
import csv
import gzip
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

# Honest agents and trades: what each family is meant for, from 300 to 20,000.
SIZES = {
    "step-multiplicative": (20_000, 600_000),
    "gradual-additive": (4_000, 120_000),
    "extreme-raters": (1_500, 45_000),
    "many-currencies": (1_500, 45_000),
    "cooperatives": (2_000, 60_000),
    "resellers": (1_500, 45_000),
    "micro-only": (1_200, 50_000),
    "auctions": (1_500, 45_000),
    "newcomers": (8_000, 140_000),
    "sparse": (2_500, 25_000),
    "dense": (900, 50_000),
    "small-community": (300, 8_000),
    "loose-reports": (1_500, 45_000),
    "winner-takes-all": (1_500, 45_000),
}
RATES = {"USD": 1, "USDC": 1, "USDT": 1, "CREDIT": 1, "EUR": 1.1}
MISSING = {"failed": 0, "disputed": 2500}


def ratings(path):
    """(seller, time, amount in units, quality 0..1) of every buyer's report."""
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            if row["role"] != "buyer" or row["status"] == "cancelled":
                continue
            quality = int(row["quality_bp"] or MISSING.get(row["status"], 6000)) / 10_000
            yield row["subject"], int(row["time"]), float(row["amount"]) * RATES.get(row["currency"], 0), quality


def simple(path, out, weight, prior_weight, prior):
    """A mean of all ratings by some weight, as a scores CSV."""
    told = list(ratings(path))
    now = max(time for _, time, _, _ in told)
    sums = {}
    for seller, time, amount, quality in told:
        w = weight(now - time, amount)
        total, good = sums.get(seller, (0, 0))
        sums[seller] = (total + w, good + w * quality)
    with open(out, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("alias", "score_bp", "lower_bp", "flags"))
        for seller, (total, good) in sums.items():
            score = round(10_000 * (good + prior_weight * prior) / (total + prior_weight))
            rows.writerow((seller, score, score, ""))


def plain(_age, _amount):
    return 1


def decayed(age, amount):
    """Half-life 90 days, by the logarithm of the value."""
    return 2 ** (-age / (90 * 86_400)) * max(min(math.log2(1 + amount * 1e4), 24), 0.05)


def judged(judge, scores, labels, base=None):
    command = [sys.executable, judge, "--scores", scores, "--labels", labels, "--json"]
    return json.loads(subprocess.run(command + (["--base", base] if base else []), check=True, capture_output=True).stdout)


def market(options, family, work):
    """The figures of one family."""
    agents, trades = SIZES[family]
    made = {}
    for attack in ("none", options.attack):
        out = work / f"{family}-{'none' if attack == 'none' else 'all'}"
        subprocess.run(
            [options.goodstanding, "simulate", "--agents", str(agents), "--trades", str(trades), "--seed", str(options.seed),
             "--habits", family, "--attack", attack, "--out", out],
            check=True, capture_output=True,
        )  # fmt: skip
        with open(out / "ours.csv", "wb") as scores, gzip.open(out / "reports.csv.gz") as reports:
            subprocess.run(
                [options.scorer, "--policy", "agent-market", "--seeds", f"@{out}/seeds.txt", *options.scorer_args],
                input=reports.read(), stdout=scores, stderr=subprocess.DEVNULL, check=True,
            )  # fmt: skip
        simple(out / "reports.csv.gz", out / "mean.csv", plain, 1, 0.6)
        simple(out / "reports.csv.gz", out / "beta.csv", decayed, 2, 0.6)
        made[attack != "none"] = out
    out, base = made[True], made[False] / "ours.csv"
    labels = out / "labels.csv"
    ours = judged(options.judge, out / "ours.csv", labels, base)
    peers = [judged(options.judge, out / name, labels)["spearman"] for name in ("mean.csv", "beta.csv")]
    quiet = judged(options.judge, base, made[False] / "labels.csv")
    with open(labels) as file:
        truth = {row["agent"]: row for row in csv.DictReader(file)}
    with open(out / "ours.csv") as file:
        scored = {row["alias"]: int(row["lower_bp"]) for row in csv.DictReader(file)}
    honest = [a for a, row in truth.items() if row["attack"] == "honest" and row["role"] != "buyer" and int(row["n_sold"]) >= 5]
    below = [float(truth[a]["latent_quality"]) * 10_000 < scored[a] for a in honest if a in scored]
    return ours, peers, quiet, statistics.mean(below)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("goodstanding")
    parser.add_argument("scorer")
    parser.add_argument("judge")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--attack", default="all:mix=0.5,likeness=0.5,spread=90")
    parser.add_argument("--only", default=",".join(SIZES))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--scorer-args", nargs=argparse.REMAINDER, default=[])
    options = parser.parse_args()
    families = options.only.split(",")
    print(f"seed {options.seed}, attack {options.attack}")
    print(f"{'family':<20} agents  quiet  attacked  mean   beta   gain   victims  newcomers  above truth")
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for family in families:
            ours, peers, quiet, below = market(options, family, pathlib.Path(work))
            rows.append((family, ours, peers, quiet, below))
            gain = ours["spearman"] - max(peers)
            print(
                f"{family:<20} {ours['agents']:>6}  {quiet['spearman']:.3f}  {ours['spearman']:.3f}     {peers[0]:.3f}  {peers[1]:.3f}  {gain:+.3f}"
                f"  {ours.get('victims_keep_lower_bp') or 0:.3f}    {ours['good_newcomers_misjudged_at_end'] or 0:.3f}      {below:.2f}",
                flush=True,
            )
    mean = lambda xs: statistics.mean(x for x in xs if x is not None)  # noqa: E731
    print(
        f"{'mean':<27} {mean([q['spearman'] for _, _, _, q, _ in rows]):.4f} {mean([o['spearman'] for _, o, _, _, _ in rows]):.4f}"
        f"                    {mean([o['spearman'] - max(p) for _, o, p, _, _ in rows]):+.4f}"
        f" {mean([o.get('victims_keep_lower_bp') for _, o, _, _, _ in rows]):.3f}    {mean([o['good_newcomers_misjudged_at_end'] for _, o, _, _, _ in rows]):.3f}"
        f"      {mean([b for *_, b in rows]):.2f}"
    )
    for name in ("inflation", "collateral_sd"):
        kinds = sorted({kind for _, ours, *_ in rows for kind in ours[name]})
        print(f"\n{name}: mean over the markets (worst)")
        for kind in kinds:
            here = [(ours[name][kind], family) for family, ours, *_ in rows if kind in ours[name]]
            if name == "inflation":
                means = [(value["mean"], family) for value, family in here]
                nineties = [(value["p90"], family) for value, family in here]
                print(
                    f"  {kind:<14} mean {statistics.mean(m for m, _ in means):+6.1f} ({max(means)[0]:+.1f} {max(means)[1]})"
                    f"   p90 {statistics.mean(m for m, _ in nineties):+6.1f} ({max(nineties)[0]:+.1f} {max(nineties)[1]})"
                )
            else:
                print(f"  {kind:<14} {statistics.mean(v for v, _ in here):+.2f} ({min(here)[0]:+.2f} {min(here)[1]})")


if __name__ == "__main__":
    main()
