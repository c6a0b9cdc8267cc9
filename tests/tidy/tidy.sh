#!/usr/bin/env bash
# Rules that no compiler checks: which way includes point, no dead file, no #if where none belongs, scripts that parse.
set -u
cd "$(dirname "$(readlink -f "$0")")/../.."
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
sources() { find "$@" \( -name '*.h' -o -name '*.cpp' \) -not -path './build/*'; }

# Folder, and what it may include besides itself.
allowed() {
  case $1 in
    runtime/base) echo "" ;;
    runtime/schedule) echo "runtime/base" ;;
    runtime/device) echo "runtime/base runtime/kernels/cpu/threads.h" ;;
    runtime/kernels) echo "runtime/base" ;;
    runtime/execute) echo "runtime/base runtime/schedule runtime/device" ;;
    shard) echo "runtime/base runtime/schedule" ;;
    comm) echo "runtime" ;;
    models | optim) echo "runtime shard" ;;
    perf) echo "runtime shard models comm" ;;
    launch) echo "runtime shard comm models optim perf" ;;
  esac
}
for folder in runtime/base runtime/schedule runtime/device runtime/kernels runtime/execute shard comm models optim perf launch; do
  while IFS=: read -r file included; do
    ok=no
    for prefix in "$folder" $(allowed "$folder"); do case $included in "$prefix" | "$prefix"/*) ok=yes ;; esac; done
    [ $ok = yes ] || fail "$file includes $included, which $folder may not"
  done < <(sources "$folder" | xargs grep -HoE '^#include "[^"]+"' | sed -E 's/#include "([^"]+)"/\1/')
done

# Vendors stay in their folders.
while read -r file; do case $file in comm/mpi/* | tests/comm/*) ;; *) fail "$file includes mpi.h" ;; esac; done \
  < <(sources . | sed 's|^\./||' | xargs grep -l '<mpi.h>')
while read -r file; do case $file in comm/mpi/* | runtime/kernels/cpu/*) ;; *) fail "$file has #if" ;; esac; done \
  < <(sources runtime comm shard models optim launch perf | xargs grep -lE '^ *# *if')

# errno in the argument list of a message may be read before the call: SystemCall takes it.
while read -r file; do fail "$file asks strerror for errno, not SystemCall"; done \
  < <(sources runtime comm shard models optim launch perf | xargs grep -lE 'strerror\(errno\)')

# Operands are found by their slot, buffers by their content, schedules by their kind: never by a place or a name.
product() { sources runtime comm shard models optim launch perf | xargs grep -nE "$1"; }
while read -r line; do fail "$line: an operand by its place"; done \
  < <(product '\b(operands|reads\(\)|writes\(\))(\[[0-9]|\.(front|back|at)\()')
schedule_names='init|load|enter|step_with_audit|diagnose|validate'
buffer_names='master|shard|sums|verdict|counters|choice|finding|hashes|constants'
while read -r line; do
  case $line in
    runtime/schedule/op.cpp:* | runtime/schedule/schedule.cpp:* | shard/run_buffers.cpp:*) ;;  # where they are declared
    launch/plan/plan_report.cpp:*) ;;  # where plans are printed
    *) fail "$line: a schedule or buffer by its name" ;;
  esac
done < <(product "[=(!{, ]\"($schedule_names|($buffer_names)[0-9{.]*)\"|starts_with\\(\"($buffer_names)" | grep -vE 'Remainder|"(hashes|load)",')

# Every source file is named by the CMakeLists.txt of its folder or one above; every header is included somewhere.
while read -r file; do
  name=${file##*/} folder=${file%/*} found=no
  while :; do
    grep -qF "${file#"$folder"/}" "$folder/CMakeLists.txt" 2>/dev/null && found=yes
    grep -qE 'foreach\((stem|name)' "$folder/CMakeLists.txt" 2>/dev/null && grep -qw "${name%_test.cpp}" "$folder/CMakeLists.txt" && found=yes
    case $folder in */*) folder=${folder%/*} ;; *) break ;; esac
  done
  [ $found = yes ] || fail "$file is in no CMakeLists.txt"
done < <(sources runtime comm shard models optim launch perf tests | grep '\.cpp$')
while read -r file; do
  sources runtime comm shard models optim launch perf tests | xargs grep -qF "\"$file\"" || fail "$file is included nowhere"
done < <(sources runtime comm shard models optim launch perf tests | grep '\.h$')

while read -r script; do bash -n "$script" || fail "$script does not parse"; done < <(find . -name '*.sh' -not -path './build/*'; echo .ci/run)
while read -r script; do
  python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$script" || fail "$script does not parse"
done < <(grep -rlE --include='*.py' --exclude-dir=build . .; grep -lsE '^#!/usr/bin/env python3' perf/*)
for folder in runtime/base runtime/schedule runtime/device runtime/kernels runtime/execute shard comm models optim perf launch tests; do
  [ -f "$folder/README.md" ] || fail "$folder has no README.md"
  [ "$(wc -l < "$folder/README.md" 2>/dev/null || echo 0)" -le 40 ] || fail "$folder/README.md has more than 40 lines"
done
echo "$failures failed"
[ "$failures" = 0 ]
