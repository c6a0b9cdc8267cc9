#!/usr/bin/env bash
# Ways to fill a disk, before, in the middle and at the end of a run: what is for looking (log, trace, standard output)
# warns once and the run goes on; what holds results says its hashes, and an export is whole or clearly absent.
# usage: full_disk.sh TRIREME
set -u
# Mounts of its own, which go with it.
if [ -z "${TRIREME_OWN_MOUNTS:-}" ]; then
  root=-r
  [ "$(id -u)" = 0 ] && root=
  TRIREME_OWN_MOUNTS=1 exec unshare $root -m "$0" "$@"
fi
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
trap 'umount -l "$folder"/disk* 2> /dev/null; rm -rf "$folder"' EXIT
write_lines
cat > run.toml <<'TOML'
[model]
family = "llama"
layers = 1
width = 32
heads = 2
vocab = 256
context = 32
[data]
train = ["text.txt"]
[train]
steps = 30
global_batch = 4
micro_batch = 2
sequence = 32
warmup = 1
[device]
threads = 1
TOML

ways=0 failures=0 failed=0
# way NAME: the next one, on an empty folder `disk` of its own.
way() {
  ways=$((ways + 1)) name=$*
  disk=disk$ways
  mkdir "$disk"
}
problem() {
  [ "$failed" = "$ways" ] || failures=$((failures + 1))
  failed=$ways
  echo "FAILED: $name: $*"
  sed 's/^/    /' out err | grep -v '^    [a-z_]* = \|^    $\|^    \[' | tail -25
}
# small SIZE [OPTIONS]: the way's folder is a disk of that size.
small() { mount -t tmpfs -o "size=$1${2:+,$2}" none "$disk" || problem "no tmpfs"; }
fill() { dd if=/dev/zero of="$1/filler" bs=4k 2> /dev/null; }
fill_inodes() { local i=0; while : > "$1/inode$((i++))"; do :; done 2> /dev/null; }
# run RANKS ARGUMENTS...: standard output goes to `out`, standard error to `err`; sets `code`.
launch() {
  local ranks=$1
  shift
  if [ "$ranks" = 1 ]; then exec "$trireme" train run.toml "$@"; fi
  exec timeout -k 5 60 $mpi -n "$ranks" "$trireme" train run.toml "$@"
}
run() {
  (launch "$@") > out 2> err
  code=$?
}
# run_and PATTERN DEED RANKS ARGUMENTS...: does DEED while the run stands still, once `out` has a line with PATTERN.
run_and() {
  local pattern=$1 deed=$2 pids
  shift 2
  : > out
  (launch "$@") > out 2> err &
  local launcher=$!
  until grep -q "$pattern" out || ! kill -0 $launcher 2> /dev/null; do sleep 0.01; done
  pids=($launcher)
  [ "$1" = 1 ] || mapfile -t pids < <(pgrep -P "$(pgrep -P $launcher -x mpirun)" -x trireme)
  kill -STOP "${pids[@]}"
  eval "$deed"
  kill -CONT "${pids[@]}"
  wait $launcher
  code=$?
}
long=--train.steps=3000 slow='--train.steps=6 --train.global_batch=1000'
expect_code() { [ "$code" = "$1" ] || problem "exit code $code instead of $1"; }
expect_hashes() { [ "$(grep -cE '^(weights|state)=xxh3:[0-9a-f]{16}$' "${1:-out}")" = 2 ] || problem "no hashes in ${1:-out}"; }
expect_no_hashes() { ! grep -q '^weights=' out || problem "it trained"; }
# expect_said NUMBER PATTERN: so many lines of standard error begin with trireme:, and all have PATTERN.
expect_said() {
  [ "$(grep -c '^trireme: ' err)" = "$1" ] && [ "$(grep '^trireme: ' err | grep -cE -- "$2")" = "$1" ] || problem "does not say $1 times '$2'"
}
expect_whole() {
  [ "$(stat -c %s "$1/model.safetensors" 2> /dev/null)" = 99808 ] && [ -s "$1/config.json" ] && [ "$(ls -A "$1" | wc -l)" = 2 ] || problem "$1 is not whole"
  [ -e "$1.part-export" ] && problem "$1.part-export is left"
}
expect_absent() { ls -d "$1" "$1".part* > /dev/null 2>&1 && problem "left: $(ls -d "$1" "$1".part*)"; }
# Every line that is there can be read, so far as the disk had room.
expect_lines() {
  [ ! -s "$1" ] && [ "$2" -gt 0 ] && problem "$1 is empty"
  [ -e "$1" ] && grep -qvE '^\{"step":[0-9]+,.*\}$' "$1" && problem "$1 has half a line"
  [ ! -e "$1" ] || [ -z "$(tail -c1 "$1")" ] || problem "$1 ends with half a line"
}
# A run that went on: exit code 0, hashes, and NUMBER warnings with PATTERN.
expect_warned() { expect_code 0; expect_hashes; expect_said "$1" "warning: ${2:-}"; }
lost='cannot be written: No space left on device; the run goes on without it; free space'

for ranks in 1 2; do
  way "log: no room at the start, $ranks ranks"; small 64k; fill $disk
  run $ranks --log.dir=$disk/log
  expect_warned 2 "$disk/log/(steps.jsonl|trace.json): $lost"

  way "log: full in the middle, $ranks ranks"; small 8k
  run $ranks --log.dir=$disk/log
  expect_warned 2 "$disk/log/(steps.jsonl|trace.json): $lost"
  expect_lines $disk/log/steps.jsonl 1

  way "trace: full at the end, $ranks ranks"; small 20k
  run $ranks --log.dir=$disk/log
  expect_warned 1 ".*trace.json: $lost"
  [ "$(wc -l < $disk/log/steps.jsonl)" = 30 ] || problem "lines are missing"
  [ -e $disk/log/trace.json ] && problem "half a trace is left"

  way "export: no room at the start, $ranks ranks"; small 64k
  run $ranks --export $disk/out
  expect_code 4; expect_no_hashes; expect_said 1 "data: .*$disk/out: .*free space"; expect_absent $disk/out

  way "export: filled by another in the middle, $ranks ranks"; small 200k
  run_and '^step=3 ' "fill $disk" $ranks $long --export $disk/out
  expect_warned 0; expect_whole $disk/out

  way "export: filled by another at the end, $ranks ranks"; small 200k
  run_and '^weights=' "fill $disk" $ranks --export $disk/out
  expect_warned 0; expect_whole $disk/out

  way "log and export: the log fills the disk of both, $ranks ranks"; small 120k
  run $ranks $long --export $disk/out --log.dir=$disk/log
  expect_warned 2 "$disk/log/(steps.jsonl|trace.json): $lost"; expect_whole $disk/out

  way "standard output on a device that is full, $ranks ranks"
  (launch $ranks --export $disk/out) > /dev/full 2> err
  code=$?
  expect_code 4; expect_hashes err; expect_whole $disk/out
  grep -q 'trireme: warning: standard output .*: No space left' err || problem "no warning"
  grep -qE '^trireme: data: .*standard output' err || problem "no message"

  way "standard output full in the middle, $ranks ranks"; small 4k
  (launch $ranks --export out$ways) > $disk/out 2> err
  code=$?
  expect_code 4; expect_hashes err; expect_whole out$ways

  way "standard output closed by its reader, $ranks ranks"
  # Slow enough that nothing is on its way through mpirun when the reader goes: that would end mpirun itself.
  { (launch $ranks $slow --export $disk/out) 2> err; echo $? > code; } | sed -u '/^step=1 /q' > out
  code=$(cat code)
  expect_code 4; expect_hashes err; expect_whole $disk/out
done

way "standard output of mpirun.openmpi on a device that is full"
if command -v mpirun.openmpi > /dev/null; then
  timeout -k 5 60 mpirun.openmpi --oversubscribe --bind-to none -n 2 "$trireme" train run.toml > /dev/full 2> err
  code=$?
  expect_code 4; expect_hashes err
fi

way "standard output of mpirun is a socket, which is none of the ways to lose it"
if command -v python3 > /dev/null; then
  python3 - $mpi -n 2 "$trireme" train run.toml > out 2> err <<'PYTHON'
import socket, subprocess, sys
ours, theirs = socket.socketpair()
run = subprocess.Popen(sys.argv[1:], stdout=theirs, stdin=subprocess.DEVNULL)
theirs.close()
while text := ours.recv(65536):
    sys.stdout.buffer.write(text)
sys.exit(run.wait())
PYTHON
  code=$?
  expect_warned 0
fi

way "standard output nearly full, each line with a mark of mpirun's"; small 512k
timeout -k 5 60 $mpi --tag-output -n 2 "$trireme" train run.toml > $disk/out 2> err
code=$?
sed 's/^.*<stdout>://' $disk/out > out
expect_warned 0

way "log: no inode for its folder"; small 64k nr_inodes=2; fill_inodes $disk
run 1 --log.dir=$disk/log
expect_warned 1 "$disk/log: $lost"

way "log: no inode for its files"; small 64k nr_inodes=4; mkdir $disk/log; fill_inodes $disk
run 2 --log.dir=$disk/log
expect_warned 1 "$disk/log: $lost"

way "log: its inodes are taken in the middle"; small 64k nr_inodes=5
run_and '^step=3 ' "fill_inodes $disk" 1 $long --log.dir=$disk/log
expect_code 0; expect_hashes; expect_lines $disk/log/steps.jsonl 1
grep -q "trace.json: $lost" err || problem "no warning"

way "log: filled by another in the middle"; small 1m
run_and '^step=3 ' "fill $disk" 2 $long --log.dir=$disk/log
expect_warned 2 "$disk/log/(steps.jsonl|trace.json): $lost"; expect_lines $disk/log/steps.jsonl 1

way "log: its folder is removed in the middle"
run_and '^step=3 ' "rm -r $disk/log" 1 $long --log.dir=$disk/log
expect_warned 2 "$disk/log/(steps.jsonl|trace.json): cannot be written: (it was removed|No such file)"

way "log: a read-only disk comes to lie over it in the middle"
run_and '^step=3 ' "mount -t tmpfs -o ro none $disk" 1 $long --log.dir=$disk/log
expect_warned 1 ".*trace.json: cannot be written: (Read-only|No such)"

way "log: beyond ulimit -f in the middle"
run_and '^step=0 ' 'prlimit --fsize=8192 --pid $pids' 1 $long --log.every=3000 --log.dir=$disk/log
expect_warned 2 "$disk/log/(steps.jsonl|trace.json): cannot be written: File too large"; expect_lines $disk/log/steps.jsonl 1

for file in steps.jsonl trace.json; do
  way "log: $file is a device that is full"; mkdir $disk/log; ln -s /dev/full $disk/log/$file
  run 2 --log.dir=$disk/log
  expect_warned 1 "$disk/log/$file: $lost"
done

way "standard output closed"
(launch 1 --export $disk/out --log.dir=$disk/log) >&- 2> err
code=$?
expect_code 4; expect_hashes err; expect_whole $disk/out; expect_lines $disk/log/steps.jsonl 30
[ "$(wc -l < $disk/log/steps.jsonl)" = 30 ] || problem "what was said went into the log"

way "export: a page too little at the start"; small 100k
run 2 --export $disk/out
expect_code 4; expect_no_hashes; expect_said 1 "data: .*free space"; expect_absent $disk/out

way "export: no inodes at the start"; small 200k nr_inodes=3
run 2 --export $disk/out
expect_code 4; expect_no_hashes; expect_said 1 "data: .*No space left"; expect_absent $disk/out

way "export: its disk is mounted where the folder would be"; small 200k
run 1 --export $disk
expect_code 2; expect_no_hashes; expect_said 1 'name a folder in it'

way "export: inodes taken by another in the middle"; small 200k nr_inodes=12
run_and '^step=3 ' "fill_inodes $disk" 2 $long --export $disk/out
expect_warned 0; expect_whole $disk/out

way "export: its folder is removed in the middle"
run_and '^step=3 ' "rm -r $disk/out.part-export" 2 $long --export $disk/out --log.dir=$disk/log
expect_code 4; expect_hashes; expect_said 1 'data: .*cannot be opened: No such file'; expect_absent $disk/out
[ -s $disk/log/trace.json ] || problem "what is for looking went with it"

way "export: a file appears at its place in the middle"
run_and '^step=3 ' "echo mine > $disk/out" 2 $long --export $disk/out
expect_code 4; expect_hashes; expect_said 1 'is whole but cannot be renamed to .*: Not a directory; move it yourself'
[ "$(cat $disk/out)" = mine ] || problem "the file was touched"
mv $disk/out.part-export $disk/moved && expect_whole $disk/moved

way "checkpoint export: full"; small 200k; "$trireme" train run.toml --export $disk/in > /dev/null 2>&1
"$trireme" checkpoint export --format hf $disk/in $disk/out > out 2> err
code=$?
expect_code 4; expect_said 1 'data: .*free space'; expect_absent $disk/out

way "checkpoint export: beyond ulimit -f"; "$trireme" train run.toml --export $disk/in > /dev/null 2>&1
(ulimit -f 64; exec "$trireme" checkpoint export --format hf $disk/in $disk/out) > out 2> err
code=$?
expect_code 4; expect_said 1 'data: .*File too large'; expect_absent $disk/out

way "tokenize: full"; small 4k
"$trireme" tokenize text.txt -o $disk/out.bin > out 2> err
code=$?
expect_code 4; expect_said 1 'data: .*cannot be written: No space left'; expect_absent $disk/out.bin

echo "$ways ways, $failures failed"
[ "$failures" = 0 ]
