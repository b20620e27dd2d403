#!/usr/bin/env bash
# The figures of docs/EVALUATION.md and docs/PERFORMANCE.md: real data in, scores and an offline verification out.
# usage: tests/evaluate.sh path/to/goodstanding      Data: $GOODSTANDING_SHARED, else ../shared beside the repository.
set -euo pipefail
bin=$(realpath "${1:?path to the goodstanding binary}")
cd "$(dirname "$0")/.."
shared=${GOODSTANDING_SHARED:-$PWD/../shared}
python=${PYTHON:-python3}
[ -d "$shared/data" ] || { echo "no data at $shared: set GOODSTANDING_SHARED"; exit 1; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
seeds() { tr -d '\n' < "$1"; }
now() { date +%s.%N; }
step() { local name=$1; shift; local t0; t0=$(now); "$@" > "$work/out" 2> "$work/err" || { cat "$work/out" "$work/err"; exit 1; }
  printf '%-34s %6.2f s\n' "$name" "$(awk "BEGIN { print $(now) - $t0 }")"; }

echo "== Bitcoin OTC, all 35,592 ratings: import to offline verification"
otc="$shared/data/bitcoin-otc"
step import "$bin" --data "$work/otc" import "$otc/reports.csv.gz" --key-seed otc --historical
cat "$work/out"
step "policy set" "$bin" --data "$work/otc" policy set --preset rating-network --seeds "$(seeds "$otc/seeds.txt")"
step epoch "$bin" --data "$work/otc" epoch
step "scores --format csv" "$bin" --data "$work/otc" scores --format csv
cp "$work/out" "$work/scores.csv"
step "token request (trader 35)" "$bin" --data "$work/otc" token request --alias 35 --out "$work/token"
step trust-bundle "$bin" --data "$work/otc" trust-bundle --out "$work/bundle"
step "token present" "$bin" token present "$work/token" --alias 35 --key-seed otc --aud https://market.example --nonce n1 
cp "$work/out" "$work/presented"
mv "$work/otc" "$work/moved-away" # nothing but token and bundle is at hand now
step "token verify (offline)" "$bin" token verify "$work/presented" --trust "$work/bundle" --aud https://market.example --nonce n1
cat "$work/out"
mv "$work/moved-away" "$work/otc"
echo "-- one byte changed"
"$python" tests/tamper.py "$bin" "$work/token" "$work/bundle" "$work/otc/keys/token.json" otc 35
echo "data directory: $(du -sh "$work/otc" | cut -f1) ($(du -sb "$work/otc" | cut -f1) bytes)"
echo "token with all disclosures: $(wc -c < "$work/token") bytes; presented with three: $(wc -c < "$work/presented") bytes; trust bundle: $(wc -c < "$work/bundle") bytes"
cp "$work/scores.csv" "$work/full.csv"

echo "== Bitcoin OTC, leak-free: who was fraudulent?"
"$bin" --data "$work/leakfree" import "$otc/reports-leak-free.csv.gz" --key-seed otc --historical > /dev/null
"$bin" --data "$work/leakfree" policy set --preset rating-network --seeds "$(seeds "$otc/seeds.txt")" > /dev/null
"$bin" --data "$work/leakfree" epoch > /dev/null
"$bin" --data "$work/leakfree" scores --format csv > "$work/leakfree.csv"
"$python" "$shared/tools/evaluate_labels.py" --scores "$work/leakfree.csv" --labels "$otc/labels.csv"

for market in market-103 market-101; do
  echo "== $market, every attack at once"
  data="$shared/data/$market"
  step import "$bin" --data "$work/$market" import "$data/reports-all.csv.gz" --key-seed m --historical
  "$bin" --data "$work/$market" policy set --seeds "$(seeds "$data/seeds.txt")" > /dev/null
  step epoch "$bin" --data "$work/$market" epoch
  "$bin" --data "$work/$market" scores --format csv > "$work/$market.csv"
  "$python" "$shared/tools/evaluate_market.py" --scores "$work/$market.csv" --labels "$data/labels-all.csv" --json |
    "$python" -c 'import json,sys; d=json.load(sys.stdin); print("spearman", d["spearman"], "newcomers misjudged", d["good_newcomers_misjudged_at_end"]); [print("  inflation", k, v) for k, v in d["inflation"].items()]'
done

echo "== market-103 and Bitcoin OTC on SQLite and on PostgreSQL, with the same keys"
GOODSTANDING_BINARY="$bin" GOODSTANDING_SHARED="$shared" .ci/with-postgres "${CARGO:-cargo}" test -q --test cluster -- \
  --include-ignored --test-threads=1 --nocapture same::

echo "== sybils beside their bound"
"${CARGO:-cargo}" build -q --release -p goodstanding-score --example evaluate
scorer="$(dirname "$bin")/examples/evaluate"
"$python" tests/sybils.py "$scorer" ratings "$otc/reports-leak-free.csv.gz" "$otc/seeds.txt"
"$python" tests/sybils.py "$scorer" market "$shared/data/market-101/reports-all.csv.gz" "$shared/data/market-101/seeds.txt"

echo "== the same bits"
PYTHON="$python" tests/agree.sh "$scorer" "$shared/data/market-103/reports-all.csv.gz" "$shared/data/market-103/seeds.txt"

echo "== fourteen families of habits, every attack at once"
"$python" tests/families.py "$bin" "$scorer" "$shared/tools/evaluate_market.py"

for habits in gradual-additive cooperatives; do
  echo "== a market in miniature, $habits, every attack at once"
  "$bin" simulate --agents 1000 --trades 40000 --seed 2 --habits "$habits" --attack all:mix=0.5,likeness=0.5,spread=90 --out "$work/$habits-files"
  step import "$bin" --data "$work/$habits" import "$work/$habits-files/reports.csv.gz" --key-seed m --historical
  "$bin" --data "$work/$habits" policy set --seeds "@$work/$habits-files/seeds.txt" > /dev/null
  step epoch "$bin" --data "$work/$habits" epoch
  "$bin" --data "$work/$habits" scores --format csv > "$work/$habits.csv"
  "$python" "$shared/tools/evaluate_market.py" --scores "$work/$habits.csv" --labels "$work/$habits-files/labels.csv" --json |
    "$python" -c 'import json,sys; d=json.load(sys.stdin); print("spearman", d["spearman"], "newcomers misjudged", d["good_newcomers_misjudged_at_end"]); [print("  inflation", k, v) for k, v in d["inflation"].items()]'
done
