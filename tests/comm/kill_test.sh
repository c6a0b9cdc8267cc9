#!/bin/bash
# A rank that dies, fails, leaves or stalls at a random moment: all ranks end within 10 s of it (of the deadline's end
# for a stall), with the right exit code and one message that names it. Where others use the machine, and a run takes
# longer than 2 s to start, the bound is as many times longer; deadlines grow from 1 s on.
# usage: kill_test.sh PROGRAM [ROUNDS] [SEED] [place|messages|mixed]
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
rounds=${2:-14} RANDOM=${3:-1} transport=${4:-place}
slow=1 slowest_start_ms=0
now_ms() { date +%s%3N; }
at='step [0-9]+, op [0-9]+ [a-z_]+ unit [0-9]+'
failures=0 slowest_ms=0

# note_start MS: a run took so long to start; slow: seconds of the slowest start.
note_start() {
  [ "$1" -le "$slowest_start_ms" ] || slowest_start_ms=$1
  slow=$(((slowest_start_ms + 999) / 1000))
}

# check FAULT EXIT_CODES MESSAGE [RANKS VICTIM]: one run; MESSAGE is a pattern in which RANK and ALL are filled in.
check() {
  local fault=$1 codes=$2 message=$3
  local ranks=${4:-$((RANDOM % 4 + 2))}
  local victim=${5:-$((RANDOM % ranks))} delay_us=$((RANDOM % 400 * 1000 + RANDOM % 1000))
  local out=out mark=$folder/mark deadline_s=600
  # Others must not end by the deadline at all.
  case $fault in stall|stop|start|make|end|leave) deadline_s=$((2 * slow));; esac
  rm -f "$mark"
  local begun=$(now_ms)
  timeout --foreground -k 15 600 $mpi -n "$ranks" "$trireme" "$fault" "$victim" "$delay_us" $deadline_s "$mark" "$transport" >"$out" 2>&1 &
  local launcher=$!
  if [ "$fault" = term ]; then
    until [ -e "$mark" ] || ! kill -0 "$launcher" 2>/dev/null; do sleep 0.05; done
    kill -TERM "$launcher"  # which hands it on to mpirun
  fi
  wait "$launcher"
  local code=$?
  local ended=$(now_ms)
  local moment=$begun
  [ -e "$mark" ] && moment=$(date -r "$mark" +%s%3N)
  local took_ms=$((ended - moment))
  case $fault in config|differ|start|make|leave|end) ;; *) note_start $((moment - begun - delay_us / 1000));; esac
  local allowed_ms=$((10000 * ((slow + 1) / 2)))
  [ "$deadline_s" = 600 ] || allowed_ms=$((allowed_ms + 1000 * deadline_s))
  message=${message//RANK/$victim}
  message=${message//ALL/$ranks}
  message=${message//DEADLINE/$deadline_s}
  local problem=""
  # A launcher that has not acted on a death in 3 s has lost its turn, and with it the exit code.
  case $fault in kill|_exit) [ "$took_ms" -lt 3000 ] || codes="$codes 7";; esac
  [[ " $codes " == *" $code "* ]] || problem="exit code $code, not $codes"
  [ "$(grep -c '^trireme: ' "$out")" -eq "$([ -z "$message" ] && echo 0 || echo 1)" ] || problem="$problem; not one message"
  [ -z "$message" ] || grep -Eq "^trireme: $message\$" "$out" || problem="$problem; expected '$message'"
  # A run without a fault takes as long as it takes.
  [ "$fault" = none ] || [ "$took_ms" -lt "$allowed_ms" ] || problem="$problem; took $took_ms ms"
  [ "$fault" = none ] || [ "$took_ms" -le "$slowest_ms" ] || slowest_ms=$took_ms
  if [ -n "$problem" ]; then
    failures=$((failures + 1))
    echo "FAILED: $fault of rank $victim of $ranks after $delay_us us: $problem"
    sed 's/^/    /' "$out"
  else
    echo "ok: $fault, rank $victim of $ranks: code $code in $took_ms ms: $(grep -m1 '^trireme: ' "$out")"
  fi
}

random_moment() {
  case $(($1 % 8)) in
    0) check kill "137" "rank RANK died at ($at|its first op); ALL ranks stopped";;
    1) check error "4" "rank RANK failed at $at: data: a planted error; ALL ranks stopped";;
    2) check exit "7" "rank RANK failed at $at: communication: the process called exit\(\) before the end of the run; ALL ranks stopped";;
    3) check stall "7" "rank RANK stalled at $at: rank [0-9]+ waited DEADLINE s in [a-z]+ for ranks? [0-9, ]+; ALL ranks stopped";;
    4) check exception "70" "rank RANK failed at $at: a bug of ours: a planted exception; ALL ranks stopped";;
    5) check _exit "0 1" "rank RANK died at $at; ALL ranks stopped";;
    6) check stop "7" "rank RANK stalled at $at: rank [0-9]+ waited DEADLINE s in [a-z]+ for ranks? [0-9, ]+; ALL ranks stopped";;
    7) check late "6" "rank RANK failed at $at: not a number: a planted error beside the collectives; ALL ranks stopped";;
  esac
}

check none 0 "" 3 0
check config 2 "configuration: a planted error of every rank" 1 0
check differ 2 "configuration: the ranks do not agree on the configuration: rank 0 has 'width = 4', rank RANK has 'width = 3'; start all ranks with the same files and flags" 4 2
late='did not end before its deadline: a rank does not answer; look for stopped processes and lost nodes'
check start 7 "communication: the start of MPI $late" 3
check start 7 "communication: the start of MPI $late" 3 2  # two are left to say it
check make 7 "communication: making a communicator $late" 3
check end 7 "communication: the end of the run $late" 3
# The host thread's own errors are not the last op's.
stopped="communication: the process called exit\(\) before the end of the run"
check between 4 "rank RANK failed at step [0-9]+: data: a planted error between ops; ALL ranks stopped"
check between_exception 70 "rank RANK failed at step [0-9]+: a bug of ours: a planted exception between ops; ALL ranks stopped"
check outside 7 "rank RANK failed at step [0-9]+: $stopped; ALL ranks stopped"
check early 4 "rank RANK failed before its first step: data: a planted early error; ALL ranks stopped"
[ "$transport" != place ] || check leave 2 "configuration: a planted refusal" 3 0  # who would say it
check term 1 "terminated by a signal" 3
for ((round = 0; round < rounds; ++round)); do random_moment "$round"; done
echo "$rounds random moments, slowest start $slowest_start_ms ms, slowest end $slowest_ms ms, $failures failures"
[ "$failures" -eq 0 ]
