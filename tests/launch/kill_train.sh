#!/usr/bin/env bash
# A rank of a real run that is killed or stopped at a random moment, or whose op throws since the text was cut short: all
# others end within 10 s of it (of the deadline's end where it is stopped), with one message that names it. Where others use
# the machine, and the first step of a run takes longer than 2 s to come, bound and deadline are as many times longer.
# usage: kill_train.sh TRIREME [MOMENTS] [SEED]
moments=${2:-50} RANDOM=${3:-1}
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
head -c 100000 /dev/zero | tr '\0' 'a' > whole.txt
head -c 2000 whole.txt > valid.txt
cat > run.toml <<TOML
[model]
family = "llama"
layers = 2
width = 64
heads = 2
vocab = 256
context = 64
[data]
train = ["text.txt"]
valid = ["valid.txt"]
[train]
steps = 100000
global_batch = 16
micro_batch = 2
sequence = 64
valid_every = 3
[log]
every = 100
TOML
now_ms() { date +%s%3N; }

failures=0 slowest_ms=0 slowest_start_ms=0 slow=1
for ((moment = 0; moment < moments; ++moment)); do
  ranks=$((2 + RANDOM % 3))
  signal=KILL deadline_s=600
  [ $((moment % 3)) = 2 ] && signal=STOP deadline_s=$((2 * slow))
  [ $((moment % 4)) = 1 ] && signal=cut deadline_s=600  # others than STOP must not end by the deadline at all
  cp whole.txt text.txt
  share=true
  [ $((moment % 4)) = 3 ] && share=false
  rm -f out  # the steps of the run before are not this one's
  begun=$(now_ms)
  timeout -k 5 600 $mpi -n "$ranks" "$trireme" train run.toml --memory.share=$share \
    --parallel.deadline_s=$deadline_s > out 2>&1 &
  launcher=$!
  # The run is under way when it says its first step.
  until grep -q '^step=0' out 2>/dev/null || ! kill -0 "$launcher" 2>/dev/null; do sleep 0.1; done
  start_ms=$(($(now_ms) - begun))
  [ "$start_ms" -le "$slowest_start_ms" ] || slowest_start_ms=$start_ms
  slow=$(((slowest_start_ms + 1999) / 2000))
  limit_s=$((10 * slow))
  [ $signal = STOP ] && limit_s=$((limit_s + deadline_s))
  # From the first step on into later ones and validations between them.
  sleep "$((RANDOM % 3)).$(printf %03d $((RANDOM % 1000)))"
  mpirun_pid=$(pgrep -P "$launcher" | head -1)
  mapfile -t pids < <(pgrep -P "${mpirun_pid:-0}" -x trireme)
  if [ ${#pids[@]} != "$ranks" ]; then
    failures=$((failures + 1))
    wait "$launcher"
    echo "FAILED: ${#pids[@]} of $ranks ranks run before anything was done to them, share=$share; exit code $?"
    tail -12 out | sed 's/^/    /'
    continue
  fi
  victim=$((RANDOM % ranks))
  rank=$(tr '\0' '\n' < "/proc/${pids[$victim]}/environ" | sed -n 's/^OMPI_COMM_WORLD_RANK=//p')
  started=$(now_ms)
  if [ $signal = cut ]; then truncate -s 100 text.txt; else kill -$signal "${pids[$victim]}"; fi
  wait "$launcher"
  code=$?
  took_ms=$(($(now_ms) - started))
  kill -KILL "${pids[$victim]}" 2>/dev/null
  [ "$took_ms" -gt "$slowest_ms" ] && slowest_ms=$took_ms
  message=$(grep '^trireme: ' out | grep -v warning)
  word=died
  [ $signal = STOP ] && word=stalled
  problem=""
  [ "$code" != 0 ] && [ "$code" != 124 ] || problem="exit code $code"
  [ "$took_ms" -lt $((limit_s * 1000)) ] || problem="$problem took $took_ms ms"
  [ "$(printf '%s\n' "$message" | grep -c .)" = 1 ] || problem="$problem not one message"
  [ -n "$rank" ] || problem="$problem no rank to kill"
  if [ $signal = cut ]; then  # all read it: any of them is the first
    [ "$code" = 4 ] || problem="$problem exit code $code, not 4"
    [[ "$message" =~ ^trireme:\ rank\ [0-9]\ failed\ at\ step\ .*:\ data:\ .*text.txt:\ ends\ at\ byte ]] || problem="$problem no rank failed"
  else
    [[ "$message" =~ ^trireme:\ rank\ $rank\ $word\ at\  ]] || problem="$problem rank $rank is not named as one that $word"
  fi
  if [ -n "$problem" ]; then
    failures=$((failures + 1))
    echo "FAILED: $signal of rank $rank of $ranks, share=$share:$problem"
    tail -12 out | sed 's/^/    /'
  else
    echo "ok: $signal, share=$share, code $code in $took_ms ms: $message"
  fi
done
echo "$moments moments, $failures failed, slowest start $slowest_start_ms ms, slowest end $slowest_ms ms"
[ "$failures" = 0 ]
