#!/usr/bin/env bash
# launch/quickstart.sh from end to end: two ranks train on the King James text to a loss below 1.45 nats per byte within
# 1.3 million tokens, and print the falling loss, tokens per second, a sample and what to try next.
set -u
cd "$(dirname "$(readlink -f "$0")")/../.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
launch/quickstart.sh > "$out" 2>&1 || { tail -30 "$out"; echo "FAILED: quickstart.sh"; exit 1; }

value() { sed -n "s/^$1 = //p" "$out" | head -1; }  # of the printed configuration
steps=$(grep -c '"loss"' build/quickstart/log/steps.jsonl)
tokens=$((steps * $(value global_batch) * $(value sequence)))
mapfile -t losses < <(sed -n 's/^step=[0-9]* valid_loss=//p' "$out")
printf 'valid losses: %s after %s tokens\n' "${losses[*]}" "$tokens"

failures=0
# check WHAT COMMAND...: COMMAND must succeed.
check() {
  local what=$1
  shift
  "$@" || { failures=$((failures + 1)); echo "FAILED: $what"; }
}
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > 0 && a < b) }'; }
check "at most 1.3 million tokens" [ "$tokens" -gt 0 -a "$tokens" -le 1300000 ]
check "three validations" [ ${#losses[@]} = 3 ]
for ((i = 1; i < ${#losses[@]}; ++i)); do check "a falling loss" below "${losses[$i]}" "${losses[$((i - 1))]}"; done
check "a loss below 1.45" below "${losses[-1]:-9}" 1.45
for line in '^step=[0-9]+ loss=.* tokens_per_s=[0-9]+ ' '^sample:$' '^In the beginning' '^weights=xxh3:' '^== what to try next'; do
  check "a line $line" grep -aEq "$line" "$out"
done
echo "$failures failed"
[ "$failures" = 0 ]
