#!/usr/bin/env bash
# Each header compiles alone: here, or, where a source begins with it, in a build without precompiled headers (dev).
# usage: headers_compile.sh COMPILER
set -u
cd "$(dirname "$(readlink -f "$0")")/../.."
compiler=$1 failures=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
folders=(runtime comm shard models optim launch perf)
begun_with=$(find "${folders[@]}" -name '*.cpp' -exec grep -hm1 '^#include' {} \; | sed -n 's/^#include "\(.*\)"$/\1/p')
checked=0
while read -r header; do
  # Per-target headers (-inl.h) belong inside a vector source; MPI's own headers need MPI's flags.
  case $header in *-inl.h | comm/mpi/*) continue ;; esac
  ! grep -qxF "$header" <<< "$begun_with" || continue
  checked=$((checked + 1))
  echo "#include \"$header\"" > "$folder/one.cpp"
  "$compiler" -std=c++20 -fopenmp -fsyntax-only -Wall -Wextra -Wno-missing-field-initializers -I. "$folder/one.cpp" ||
    { echo "FAILED: $header does not compile alone"; failures=$((failures + 1)); }
done < <(find "${folders[@]}" -name '*.h')
echo "$checked compiled here, $failures failed"
[ "$failures" = 0 ] && [ "$checked" -gt 0 ]
