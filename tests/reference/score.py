#!/usr/bin/env python3
"""The scoring function `goodstanding-score/2` in Python, written from docs/SCORING.md alone: a second opinion.

usage: score.py [FILE]                                    a JSON document (README.md) from FILE or standard input
       score.py --csv FILE.csv[.gz] --seeds FILE --preset NAME [--as-of T] [--scores-csv OUT]
       score.py --policy --preset NAME                    prints the policy of a preset

Prints one JSON document of agents and pairs, ascending. Standard library only, integers only, and slow."""

import argparse
import csv
import json
import sys

import presets
from claims import Record, both_roles, undampened
from evidence import current_evidence, read_csv
from market import Market, credibility, rating_weights
from suspicion import change_points, dampening, outside_view, scale, value_split, wash_links


def compute(policy, as_of, given, erased_reports=0):
    """Section 5: the order of the computation. The output document."""
    reports, agents, first_seen = current_evidence(given, policy)
    market = Market(policy, as_of, reports, agents)
    wash_links(market)
    sigma = None
    for _ in range(market.scoring["dampening_rounds"]):
        credibility(market)
        rating_weights(market)
        change_points(market)
        outside_view(market)
        sigma = scale(market)
        dampening(market, sigma)
    credibility(market)
    rating_weights(market)
    changes = change_points(market)
    splits = {subject: value_split(market, [r for p in pairs for r in p.reports]) for subject, pairs in market.about.items()}
    records = both_roles(market)
    full_weights = undampened(market)
    seen = {"first_seen": first_seen, "erased_reports": erased_reports}
    return {
        "agents": [
            {
                "agent": agent,
                "flow_q48": market.flow[agent],
                "credibility_q32": market.c[agent],
                "claims": Record(market, agent, records[agent]).claims(splits.get(agent), full_weights, **seen),
                "value_split": split_document(splits.get(agent)),
                **change_document(market, *changes.get(agent, ([], [], False))),
            }
            for agent in agents
        ],
        "pairs": [
            {
                "rater": pair.rater,
                "subject": pair.subject,
                "role": pair.role,
                "dampening_q16": pair.D,
                "weight_q32": sum(report.weight for report in pair.reports),
                "excess_q16": pair.ex,
            }
            for pair in market.pairs.values()
        ],
        "scale_q16": sigma,
    }


def split_document(split):
    """The value split of one agent: the amount is that of the first report above it, 1e-9 of the reference currency."""
    return split and {"amount_nano": split[0], "deduction_q16": split[1]}


def change_document(market, bins, splits, oscillates):
    """The change points of one agent: since when (Unix seconds, the start of the bin), for the better, how sure."""
    return {
        "changes": [
            {
                "from": bins[split.at] * market.scoring["change_bin_s"],
                "better": split.d < 0,
                "shift_q16": split.d,
                "z_squared_q16": split.Z,
                "bits": split.bits,
            }
            for split in splits
        ],
        "oscillates": oscillates,
    }


# --- In and out


def from_csv(arguments):
    """(policy, as_of, reports) of an import CSV: `as_of` is the newest report's time unless given."""
    policy = presets.policy(arguments.preset)
    with open(arguments.seeds) as file:
        policy["seeds"] = sorted({name.strip() for name in file.read().replace("\n", ",").split(",") if name.strip()})
    given = read_csv(arguments.csv)
    as_of = arguments.as_of if arguments.as_of is not None else max(report["at_ms"] for report in given) // 1000
    return policy, as_of, given


SCORES_COLUMNS = (
    "score_bp", "lower_bp", "lifetime_lower_bp", "recent_lower_bp", "uncertainty_bp", "state", "reports", "counterparties",
    "effective_counterparties_milli", "evidence_milli", "dampening_bp",
)  # fmt: skip


def write_scores_csv(path, document):
    """The scores CSV of the contract, without columns of suspicion; here the alias is the agent."""
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("agent", "alias", *SCORES_COLUMNS, "flags"))
        for one in document["agents"]:
            rows.writerow((one["agent"], one["agent"], *(one["claims"][column] for column in SCORES_COLUMNS), ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--csv")
    parser.add_argument("--seeds")
    parser.add_argument("--preset", default="agent-market")
    parser.add_argument("--as-of", type=int)
    parser.add_argument("--scores-csv")
    parser.add_argument("--policy", action="store_true")
    arguments = parser.parse_args()
    if arguments.policy:
        document = presets.policy(arguments.preset)
    elif arguments.csv:
        if not arguments.seeds:
            parser.error("--csv needs --seeds")
        document = compute(*from_csv(arguments))
    else:
        with open(arguments.file) if arguments.file else sys.stdin as file:
            given = json.load(file)
        document = compute(given["policy"], given["as_of"], given["reports"], given.get("erased_reports", 0))
    if arguments.scores_csv and not arguments.policy:
        write_scores_csv(arguments.scores_csv, document)
    print(json.dumps(document, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
