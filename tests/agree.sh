#!/usr/bin/env bash
# The same scores from debug and release builds, one thread and two, shuffled lines, and the Python reference, on one market.
# usage: tests/agree.sh RELEASED_SCORER REPORTS.csv.gz SEEDS
set -euo pipefail
scorer=$(realpath "${1:?the example evaluate of goodstanding-score, released}"); reports=$(realpath "$2"); seeds=$(realpath "$3")
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${CARGO:-cargo}" build -q -p goodstanding-score --example evaluate
debug="${CARGO_TARGET_DIR:-target}/debug/examples/evaluate"
zcat "$reports" > "$work/reports.csv"
score() { "$1" --policy agent-market --seeds "@$seeds" "${@:3}" < "$2" 2> /dev/null; }
score "$scorer" "$work/reports.csv" --roots --threads 1 > "$work/roots"
for threads in 1 2; do
  score "$scorer" "$work/reports.csv" --roots --threads $threads | cmp - "$work/roots"
  score "$debug" "$work/reports.csv" --roots --threads $threads | cmp - "$work/roots"
done
echo "debug and release, 1 and 2 threads: the same $(wc -l < "$work/roots") digests of statements, claims and explanations"
score "$scorer" "$work/reports.csv" > "$work/ours.csv"
# Lines in another order are other log indices, so documents and ties aside only what is scored has to be the same.
(head -1 "$work/reports.csv"; tail -n +2 "$work/reports.csv" | shuf --random-source=<(yes 7)) > "$work/shuffled.csv"
score "$scorer" "$work/shuffled.csv" > "$work/shuffled-scores.csv"
"$python" tests/reference/score.py --csv "$reports" --seeds "$seeds" --preset agent-market --scores-csv "$work/reference.csv" > /dev/null
"$python" - "$work" <<'P'
import csv, sys
work = sys.argv[1]
read = lambda name: {row["alias"]: row for row in csv.DictReader(open(f"{work}/{name}"))}
ours, reference, shuffled = read("ours.csv"), read("reference.csv"), read("shuffled-scores.csv")
columns = [c for c in next(iter(reference.values())) if c != "agent"]
for name, other in (("the Python reference", reference), ("shuffled lines", shuffled)):
    differ = [(alias, c) for alias in ours.keys() | other.keys() for c in columns if ours.get(alias, {}).get(c) != other.get(alias, {}).get(c)]
    if differ:
        sys.exit(f"{name}: {len(differ)} values differ, first {differ[:3]}")
    print(f"{name}: {len(ours)} agents, {len(columns)} columns each, none differs")
P
