#!/usr/bin/env bash
# Installs, builds and runs the tests. Without arguments the selection of CI; --all adds the long ones (label `all`).
# Three builds: release for speed, dev (ASan and UBSan, warnings are errors), tsan for what runs ranks as threads.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
case "$*" in
  "") selection=ci ;;
  --all) selection=all ;;
  *) echo "usage: tests/run.sh [--all]" >&2; exit 2 ;;
esac

launch/install_packages.sh || exit 1
. launch/environment.sh
mkdir -p build
jobs=$(nproc)
passed=0 failed=0
declare -A minutes

# build PRESET [TARGETS...]
build() {
  local preset=$1 start=$SECONDS log="build/$1.build.log"
  shift
  echo "== build: $preset"
  if ! { cmake --preset "$preset" && cmake --build --preset "$preset" ${1:+--target "$@"} -- -j "$jobs" -k 0; } > "$log" 2>&1; then
    grep -vE "^\[[0-9]+/[0-9]+\] (Building|Linking)" "$log" | tail -60
    failed=$((failed + 1))
    echo "$passed passed, $failed failed"
    exit 1
  fi
  minutes["build $preset"]=$(( (SECONDS - start + 30) / 60 ))
}

# run PRESET NAME CTEST_ARGUMENTS...
run() {
  local preset=$1 name=$2 start=$SECONDS log="build/$1.$2.log"
  shift 2
  echo "== test: $name ($preset)"
  # ThreadSanitizer cannot map its memory where addresses are too random; some containers forbid to say so.
  local launcher=()
  [ "$preset" = tsan ] && setarch -R true 2>/dev/null && launcher=(setarch -R)
  # One more than there are cores: many tests wait for mpirun most of their time.
  "${launcher[@]}" ctest --test-dir "build/$preset" --output-on-failure -j "$((jobs + 1))" "$@" > "$log" 2>&1
  local all bad
  all=$(sed -n 's/.*tests failed out of \([0-9]*\)$/\1/p' "$log" | tail -1)
  bad=$(sed -n 's/.*, \([0-9]*\) tests failed out of [0-9]*$/\1/p' "$log" | tail -1)
  if [ -z "$all" ] || [ "$all" = 0 ]; then
    echo "   no test ran"
    tail -5 "$log"
    bad=1 all=1
  fi
  [ "$bad" = 0 ] || grep -vE "^ *[0-9]+/[0-9]+ Test .*Passed" "$log" | tail -150
  # ctest's own sum of seconds per label.
  sed -n '/^Label Time Summary/,/^$/p' "$log" | sed 's/^/   /'
  passed=$((passed + all - bad))
  failed=$((failed + bad))
  minutes["$name ($preset)"]=$(( (SECONDS - start + 30) / 60 ))
}

build release
run release everything -LE '^all$'
build dev
run dev sanitized -LE '^(all|bits|release|speed|tidy)$'
build tsan device_test comm_local step_small_test
run tsan threads -R '^(device_test|comm_local|step_small_test)$'
[ "$selection" = all ] && run release long -L '^all$'

echo "== minutes"
for part in "${!minutes[@]}"; do printf '   %3d  %s\n' "${minutes[$part]}" "$part"; done | sort -k2
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
