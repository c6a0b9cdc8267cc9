#!/usr/bin/env bash
# Our matrix products against a prototype's, on its shapes, in turn in one run: rates and their ratio. Exit code 1 where one
# is below 85% of the prototype's.
# usage: compare_prototype.sh PROTOTYPE_FOLDER [ROUNDS]      (the folder with step.cpp; code 77 on CPUs that it is not for)
set -euo pipefail
prototype=$(readlink -f "$1") rounds=${2:-3}
cd "$(dirname "$(readlink -f "$0")")/../.."
grep -q avx512_bf16 /proc/cpuinfo || { echo "compare_prototype: the prototype needs AVX-512 BF16"; exit 77; }
bench=build/release/perf/bench/bench_matmul
cmake --preset release > /dev/null && cmake --build --preset release --target bench_matmul > /dev/null
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$prototype"/* "$folder"
g++ -O3 -march=native -mprefer-vector-width=512 -std=c++20 -DEXPDEG=5 "$folder/step.cpp" -o "$folder/step"
for ((round = 0; round < rounds; ++round)); do
  echo "== round $((round + 1)) of $rounds" >&2
  taskset -c 0 "$bench" chain | sed 's/^/ours /'
  BRK=1 taskset -c 0 "$folder/step" steps=3 | sed -n 's/^mm /theirs /p' |
    sed -E 's/ +[0-9.]+ ms +[0-9.]+% +([0-9.]+) GF\/s.*/ \1 GF\/s/'
done > "$folder/rates"
awk -v peer=prototype -v at_least=0.85 -f perf/bench/ratios.awk "$folder/rates"
