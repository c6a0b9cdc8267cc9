#!/usr/bin/env bash
# What a run and its plan say: step lines, steps.jsonl, trace.json, a sample, hashes, and an arena as large as planned.
# In the dev build this is the real program, training under ASan and UBSan.
# usage: train_outputs.sh TRIREME OUTPUTS_CHECK
outputs_check=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
write_lines
head -c 500 text.txt > valid.txt
cat > run.toml <<'TOML'
[model]
family = "llama"
layers = 2
width = 32
heads = 4
kv_heads = 2
vocab = 256
context = 32
[data]
train = ["text.txt"]
valid = ["valid.txt"]
[train]
steps = 4
global_batch = 8
micro_batch = 2
sequence = 32
warmup = 1
valid_every = 2
TOML

failures=0
# check WHAT COMMAND...: COMMAND must succeed.
check() {
  local what=$1
  shift
  "$@" || { failures=$((failures + 1)); echo "FAILED: $what"; }
}
count() { [ "$(grep -Ec "$2" "$3")" = "$1" ]; }

for ranks in 2 3; do
  log=log.$ranks out=out.$ranks
  $mpi -n $ranks "$trireme" train run.toml --log.dir=$log --sample "line" > $out 2>&1 || { failures=$((failures + 1)); echo "FAILED: the run on $ranks ranks"; cat $out; }
  check "four step lines" count 4 '^step=[0-3] loss=[0-9.]+ grad_norm=[0-9.]+ lr=[0-9.e+-]+ tokens_per_s=[0-9]+ step_ms=[0-9.]+ exposed_comm_ms=[0-9.]+ skew_ms=[0-9.]+ mfu=[0-9.]+$' $out
  check "two validations" count 2 '^step=[13] valid_loss=[0-9.]+$' $out
  check "no line that overwrites itself" count 0 $'\r' $out
  check "a sample that begins with its text" [ "$(LC_ALL=C sed -n '/^sample:$/{n;s/^\(line\).*/\1/p}' $out)" = line ]
  check "hashes" count 2 '^(weights|state)=xxh3:[0-9a-f]{16}$' $out
  check "steps.jsonl" "$outputs_check" steps $log/steps.jsonl
  check "trace.json" "$outputs_check" trace $log/trace.json
  "$trireme" plan run.toml --ranks $ranks --json --device.threads=1 > plan.json
  "$trireme" plan run.toml --ranks $ranks > plan.txt
  check "plan --json" "$outputs_check" plan plan.json $ranks
  # The first class is rank 0's.
  planned=$(sed -n 's/.*arena .* (\([0-9]*\) bytes)$/\1/p' plan.txt | head -1)
  check "an arena of $planned bytes, as planned" count 1 "^arena: $planned bytes\$" $out
done
for pair in weights state; do
  check "$pair= of 2 and 3 ranks are equal" [ "$(grep "^$pair=" out.2)" = "$(grep "^$pair=" out.3)" ]
done
for schedule in init enter step validate sample; do
  "$trireme" schedule run.toml --ranks 2 --rank 1 --schedule $schedule > schedule.txt
  check "schedule $schedule" [ "$(grep -Ec '^[0-9]+ +(compute|comm) +[a-z_]+ ' schedule.txt)" -ge 1 ]
done
# Compute order has no events; after the last pass all is there but the places.
"$trireme" schedule run.toml --ranks 2 --rank 1 --after compute_order > schedule.txt
check "schedule --after compute_order" count 1 '^schedule step .* events 0$' schedule.txt
"$trireme" schedule run.toml --ranks 2 --rank 1 > schedule.txt
"$trireme" schedule run.toml --ranks 2 --rank 1 --after derive_events > unplaced.txt
check "schedule --after derive_events" [ "$(grep -Ec '^[0-9]+ +(compute|comm) ' schedule.txt)" = "$(grep -Ec '^[0-9]+ +(compute|comm) ' unplaced.txt)" ]
check "schedule --after derive_events, without places" count 0 '0x' unplaced.txt
for ranks in 1 2; do
  $mpi -n $ranks "$trireme" doctor > doctor.txt 2>&1 || { failures=$((failures + 1)); echo "FAILED: doctor on $ranks ranks"; }
  check "doctor on $ranks ranks looks at shared mapping, once" count 1 '^(ok|look) +shared mapping: ' doctor.txt
done
echo "$failures failed"
[ "$failures" = 0 ]
