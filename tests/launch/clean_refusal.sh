#!/usr/bin/env bash
# An error that all ranks know ends them in order: one message, mpirun's exit code is ours, and no banner of MPI_Abort.
# usage: clean_refusal.sh TRIREME
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
write_small_run 8
"$trireme" tokenize text.txt -o masked.bin > /dev/null && head -c 5000 /dev/zero > masked.mask
failures=0
# clean CODE PATTERN COMMAND...
clean() {
  local wanted=$1 pattern=$2 begun code problem=""
  shift 2
  begun=$(date +%s%3N)
  timeout 60 "$@" > out 2>&1
  code=$?
  [ $code = "$wanted" ] || problem="exit code $code, not $wanted"
  [ "$(grep -c '^trireme: ' out)" = 1 ] && grep -Eq "^trireme: .*$pattern" out || problem="$problem; not one message with '$pattern'"
  ! grep -qiE 'MPI_ABORT|abnormal|improper|signal' out || problem="$problem; a banner"
  [ $(($(date +%s%3N) - begun)) -lt 30000 ] || problem="$problem; slow"
  if [ -n "$problem" ]; then
    failures=$((failures + 1))
    echo "FAILED: $problem: $*"
    sed 's/^/    /' out | head -30
  else
    echo "ok: $(grep -m1 '^trireme: ' out | cut -c1-150)"
  fi
}
for ranks in 1 2 4; do
  all="$mpi -n $ranks"
  clean 2 'no such file' $all "$trireme" train nowhere.toml
  clean 4 'gone.txt' $all "$trireme" train run.toml '--data.train=["gone.txt"]'
  clean 3 'does not fit|largest|live' $all "$trireme" train run.toml --memory.device=10KiB
done
one="$mpi -n 1" two="$mpi -n 2"
# Found by one rank, by the ranks together, before MPI, and in the middle of a run, over both transports.
clean 4 'rank 1: .*gone.txt' $one "$trireme" train run.toml : -n 1 "$trireme" train run.toml '--data.train=["gone.txt"]'
clean 2 'the configuration' $one "$trireme" train run.toml : -n 1 "$trireme" train run.toml --train.steps=9
clean 2 'config is required' $two "$trireme" train
for share in true false; do
  clean 4 'step 0: no token' $two "$trireme" train run.toml '--data.train=["masked.bin"]' --memory.share=$share
  clean 6 'not finite' $two "$trireme" train run.toml --train.lr=1e30 --memory.share=$share
done
clean 2 'no such file' "$trireme" train nowhere.toml
# Commands of one process: each rank ends alone, with its own exit code, though others have ended well before it.
# alone CODE COMMAND...
alone() {
  local wanted=$1 code
  shift
  timeout 60 "$@" > out 2>&1
  code=$?
  [ $code = "$wanted" ] && ! grep -qi 'MPI_ABORT\|MPI_INIT' out && return
  failures=$((failures + 1))
  echo "FAILED: exit code $code, not $wanted: $*"
  sed 's/^/    /' out | head -30
}
alone 4 $one "$trireme" tokenize text.txt -o a.bin : -n 1 "$trireme" tokenize gone.txt -o b.bin
alone 2 $one "$trireme" --help : -n 1 "$trireme" plan nowhere.toml
alone 2 $two "$trireme" schedule nowhere.toml
alone 2 $two "$trireme" checkpoint export --format hf nowhere out
echo "$failures failed"
[ "$failures" = 0 ]
