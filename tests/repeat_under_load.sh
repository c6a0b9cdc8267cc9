#!/usr/bin/env bash
# Every test that has threads, ranks or time in it, again and again beside busy processes, two for each core: what takes
# for granted that something is faster than something else fails here. Tests that take longer than a minute run LONG times.
# usage: repeat_under_load.sh [release|dev|tsan] [TIMES] [LONG] [CTEST_ARGUMENTS...]   (10 and 3; of a build that is there)
set -u
cd "$(dirname "$(readlink -f "$0")")/.."
preset=${1:-release} times=${2:-10} long=${3:-3} long_s=60
[ $# -le 3 ] && shift $# || shift 3
. launch/environment.sh
selection=(-L '^(device|comm|mpi|launch|trajectory|execute|bits|perf)$' -LE '^all$') launcher=()
case $preset in
  dev) selection+=(-LE '^(all|bits|release|speed)$') ;;
  tsan) selection=(-R '^(device_test|comm_local|step_small_test)$')
        setarch -R true 2>/dev/null && launcher=(setarch -R) ;;
esac

busy=()
trap '[ ${#busy[@]} = 0 ] || kill "${busy[@]}" 2>/dev/null' EXIT
trap 'exit 130' INT TERM
# Also without the trap a busy process ends soon after this one.
for ((i = 2 * $(nproc); i > 0; --i)); do
  (trap - EXIT; while kill -0 $$ 2>/dev/null; do for ((n = 0; n < 100000; ++n)); do :; done; done) &
  busy+=($!)
done

declare -A passed failed slowest
# count LOG: adds what ctest says of each test, and shows the output of those that failed.
count() {
  local result name seconds
  while read -r result name seconds; do
    [ "$result" = Passed ] && passed[$name]=$((${passed[$name]:-0} + 1)) || failed[$name]=$((${failed[$name]:-0} + 1))
    [ "$seconds" -le "${slowest[$name]:-0}" ] || slowest[$name]=$seconds
  done < <(sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+) \.*[ *]*([A-Za-z]+).* ([0-9]+)\.[0-9]+ sec.*/\2 \1 \3/p' "$1")
  grep -qE '^100% tests passed' "$1" || grep -vE "^ *[0-9]+/[0-9]+ Test .*Passed|^ *Start " "$1" | tail -100
}

for ((round = 1; round <= times; ++round)); do
  excluded=()
  if [ "$round" -gt "$long" ]; then
    for name in "${!slowest[@]}"; do [ "${slowest[$name]}" -lt $long_s ] || excluded+=("$name"); done
  fi
  log=build/$preset.repeat.$$.$round.log
  pattern=$(IFS='|'; echo "${excluded[*]}")
  "${launcher[@]}" ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" "${selection[@]}" "$@" \
    ${pattern:+-E "^(${pattern//./\\.})\$"} > "$log" 2>&1
  [ "$round" -gt "$long" ] && grep -q '^No tests were found' "$log" && break  # all are long
  echo "== round $round: $(grep -E 'tests passed,' "$log" || echo 'no test ran'), $(sed -n 's/^Total Test time (real) = *//p' "$log")"
  count "$log"
done

all_passed=0 all_failed=0
printf '%6s %6s %10s  %s\n' passed failed 'slowest s' test
for name in $(printf '%s\n' "${!slowest[@]}" "${!passed[@]}" "${!failed[@]}" | sort -u); do
  printf '%6d %6d %10d  %s\n' "${passed[$name]:-0}" "${failed[$name]:-0}" "${slowest[$name]:-0}" "$name"
  all_passed=$((all_passed + ${passed[$name]:-0})) all_failed=$((all_failed + ${failed[$name]:-0}))
done
echo "$all_passed passed, $all_failed failed"
[ "$all_failed" = 0 ] && [ "$all_passed" -gt 0 ]
