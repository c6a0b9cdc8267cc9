#!/usr/bin/env bash
# Our matrix products against oneDNN's, in turn in one run, one thread: rates and their ratio. Needs libdnnl-dev.
# usage: compare_onednn.sh [ROUNDS]      (ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 keeps oneDNN off AMX)
set -euo pipefail
rounds=${1:-3}
cd "$(dirname "$(readlink -f "$0")")/../.."
bench=build/release/perf/bench
cmake --preset release > /dev/null
cmake --build --preset release --target help | grep '^bench_matmul_onednn:' > /dev/null ||
  { echo "compare_onednn: oneDNN is not there; install libdnnl-dev" >&2; exit 1; }
cmake --build --preset release --target bench_matmul bench_matmul_onednn > /dev/null
rates=$(mktemp)
trap 'rm -f "$rates"' EXIT
for ((round = 0; round < rounds; ++round)); do
  echo "== round $((round + 1)) of $rounds" >&2
  # Where there are several orders of sums, the faster one counts.
  "$bench/bench_matmul" | sed 's/^tiles //; s/^/ours /'
  "$bench/bench_matmul_onednn" | sed 's/^/theirs /'
done > "$rates"
awk -v peer=oneDNN -f perf/bench/ratios.awk "$rates"
