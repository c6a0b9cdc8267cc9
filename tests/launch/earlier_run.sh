#!/usr/bin/env bash
# What an earlier run left is not touched before a new one is known to start, and by no second run at the same time:
# folders of log.dir, folders of exports, token files.
# usage: earlier_run.sh TRIREME
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
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
steps = 5
global_batch = 4
micro_batch = 2
sequence = 32
warmup = 1
[device]
threads = 1
TOML

checks=0 failures=0
problem() {
  failures=$((failures + 1))
  echo "FAILED: $*"
  grep '^trireme' out | sed 's/^/    /'
}
train() { "$trireme" train run.toml "$@"; }
ranks() { $mpi -n "$1" "$trireme" train run.toml "${@:2}"; }
# expect CODE PATTERN COMMAND...: the command ends with that exit code and says PATTERN; `out` has what it said.
expect() {
  local code=$1 pattern=$2 got
  shift 2
  checks=$((checks + 1))
  timeout 60 bash -c '"$@"' - "$@" > out 2>&1
  got=$?
  [ "$got" = "$code" ] || problem "$*: exit code $got instead of $code"
  grep -Eq -- "$pattern" out || problem "$*: does not say '$pattern'"
}
export -f train ranks
export trireme mpi
# begin ARGUMENTS...: a long run on its own, whose first step is done; `runner` is its process.
begin() {
  "$trireme" train run.toml --train.steps=100000000 "$@" > running 2>&1 &
  runner=$!
  until grep -q '^step=1 ' running || ! kill -0 $runner 2> /dev/null; do sleep 0.02; done
}
end() { kill -9 $runner; wait $runner 2> /dev/null; }
same() { checks=$((checks + 1)); diff -r "$1" "$2" > diff || { problem "$3"; cat diff; }; }
absent() { checks=$((checks + 1)); ls -d "$@" > /dev/null 2>&1 && problem "left: $(ls -d "$@" 2> /dev/null)"; }

# A log, and runs that are refused.
expect 0 '^weights=' ranks 2 --log.dir=log
cp -r log before
expect 2 'log.dir = log: steps.jsonl is there already, the log of another run; .*log.existing = "replace"' ranks 2 --log.dir=log
same log before "a run without leave touched the log"
replace='--log.dir=log --log.existing=replace'
expect 3 'does not fit' ranks 2 $replace --memory.device=10KiB
expect 2 'train.micro_batch' train $replace --train.micro_batch=3
mkdir taken && echo mine > taken/file
expect 2 'is there already' ranks 2 $replace --export taken
expect 2 'make it first' train $replace --export nowhere/out
expect 4 'gone.txt' train $replace '--data.train=["gone.txt"]'
# A damaged model folder, and what another rank alone finds.
expect 0 '^export:' train --train.steps=0 --export begin
sed -e '/^\[model\]/,/^\[data\]/{/=/d}' -e 's/^\[model\]/[model]\nhf = "begin"/' run.toml > folder.toml
cp -r begin whole && truncate -s -4000 begin/model.safetensors
expect 4 'begin' "$trireme" train folder.toml --data.tokenizer=byte $replace
rm -r begin && cp -r whole begin
expect 4 'gone.txt' $mpi -n 1 "$trireme" train run.toml $replace : -n 1 "$trireme" train run.toml $replace '--data.train=["gone.txt"]'
same log before "a run that was refused touched the log"
rm log/steps.jsonl
expect 2 'trace.json is there already' train --log.dir=log
expect 0 '^weights=' train $replace
expect 0 '^weights=' train $replace --train.steps=0
absent log/trace.json
mkdir lines && : > lines/steps.jsonl
expect 0 '^weights=' train --log.dir=lines

# Folders that a refused run made go with it, and with nobody's files in them.
expect 3 'does not fit' ranks 2 --log.dir=new/deep/log --memory.device=10KiB
expect 2 'make it first' train --log.dir=new/log/ --export nowhere/out
absent new
mkdir kept
expect 3 'does not fit' train --log.dir=kept/log --memory.device=10KiB
absent kept/log
[ -d kept ] || problem "a folder that was there was removed"
expect 0 '^weights=' ranks 2 --log.dir=new/deep/log
[ "$(wc -l < new/deep/log/steps.jsonl)" = 5 ] || problem "no log in a new folder"

# A log that is being written.
begin --log.dir=running.log
for how in '' --log.existing=replace; do
  expect 2 'log.dir = running.log: another run writes there \(process [0-9]+ on ' ranks 2 --log.dir=running.log $how
done
expect 2 'another run writes there' train --log.dir="$folder/../$(basename "$folder")/running.log/" --log.existing=replace
cat running.log/* > /dev/null  # to read is free
[ "$(tail -n +2 running.log/steps.jsonl | head -1 | cut -c1-10)" = '{"step":1,' ] || problem "the log of the run is broken"
end
expect 2 'steps.jsonl is there already' train --log.dir=running.log
expect 0 '^weights=' train --log.dir=running.log --log.existing=replace
[ "$(wc -l < running.log/steps.jsonl)" = 5 ] || problem "not the new log"

# Many at once: one is the first, and it alone writes.
for ((i = 0; i < 6; ++i)); do train --log.dir=race > race.$i 2>&1 & done
wait
[ "$(grep -l '^weights=' race.[0-9] | wc -l)" = 1 ] || problem "$(grep -l '^weights=' race.[0-9] | wc -l) of 6 runs trained into one folder"
[ "$(grep -lE 'another run writes there|is there already' race.[0-9] | wc -l)" = 5 ] || problem "5 of 6 are told why"
[ "$(wc -l < race/steps.jsonl)" = 5 ] || problem "the log of 6 runs at once has $(wc -l < race/steps.jsonl) lines"
checks=$((checks + 3))

# The place of an export.
begin --export model
expect 2 'model: another run exports there \(process [0-9]+ on ' ranks 2 --export model
expect 2 'another run exports there' "$trireme" checkpoint export --format hf begin model
expect 2 'another run exports there' train --export model/
end
[ -d model.part-export ] || problem "the killed run left nothing: this checks nothing"
expect 0 '^export: model' ranks 2 --export model
absent model.part*
[ "$(ls model | wc -l)" = 2 ] || problem "not a whole export: $(ls -A model)"
expect 2 'is there already' train --export model
for log in both both/log; do expect 2 'both: the folder to export to is there already' ranks 2 --export both --log.dir=$log; done
mkdir other.part-export && echo mine > other.part-export/file
expect 2 'other.part-export is there already' train --export other
[ "$(cat other.part-export/file)" = mine ] || problem "what no export made was removed"
for ((i = 0; i < 6; ++i)); do train --export crowd > race.$i 2>&1 & done
wait
[ "$(grep -l '^export: crowd' race.[0-9] | wc -l)" = 1 ] || problem "$(grep -l '^export:' race.[0-9] | wc -l) of 6 exported"
same model crowd "an export of 6 at once"
checks=$((checks + 4))
# Errors that a run survives leave nothing, whichever rank has them.
for n in 1 2 3; do
  expect 6 'not finite' ranks $n --train.lr=1e30 --train.steps=8 --export lost
  expect 3 'does not fit' ranks $n --memory.device=10KiB --export lost
done
cp text.txt cut.txt
ranks 2 --train.steps=100000000 '--data.train=["cut.txt"]' --export lost > running 2>&1 &
runner=$!
until grep -q '^step=1 ' running || ! kill -0 $runner 2> /dev/null; do sleep 0.02; done
truncate -s 10 cut.txt
wait $runner
grep -q 'cut.txt' running || problem "no rank failed"
absent lost*

# A token file.
expect 0 'tokens' "$trireme" tokenize text.txt -o text.bin
cp text.bin before.bin
expect 4 'gone.txt' "$trireme" tokenize text.txt gone.txt -o text.bin
expect 2 'reads text' "$trireme" tokenize text.txt before.bin -o text.bin
cmp -s text.bin before.bin || problem "a tokenize that was refused touched the file"
head -c 50000000 /dev/zero | tr '\0' 'a' > long.txt
for ((i = 0; i < 6; ++i)); do "$trireme" tokenize long.txt -o long.bin > race.$i 2>&1 & done
wait
[ "$(grep -L 'tokens\|another process writes it' race.[0-9] | wc -l)" = 0 ] || problem "a tokenize of 6 at once: $(cat race.[0-9])"
[ "$(stat -c %s long.bin)" = 100001024 ] || problem "a token file of 6 at once is broken"
absent long.bin.part text.bin.part
checks=$((checks + 3))
echo "$checks checks, $failures failed"
[ "$failures" = 0 ]
