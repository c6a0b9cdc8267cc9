#!/usr/bin/env bash
# Bad input on two ranks: one message that says what is wrong, the design's exit code, no hang.
# usage: bad_input.sh TRIREME
set -u
trireme=$(readlink -f "$1")
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
head -c 5000 /dev/zero | tr '\0' 'a' > text.txt
: > empty.txt
printf 'short' > short.txt
printf 'not a token file' > damaged.bin
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
steps = 2
global_batch = 4
micro_batch = 2
sequence = 32
warmup = 0
TOML
sed 's/steps = 2/steps = 3/' run.toml > other.toml
cp text.txt other.txt && printf 'b' | dd of=other.txt conv=notrunc status=none

failures=0
# expect CODE PATTERN COMMAND...
expect() {
  local code=$1 pattern=$2
  shift 2
  timeout 60 "$@" > out 2>&1
  local got=$?
  local messages
  messages=$(grep -c '^trireme: ' out)
  if [ "$got" != "$code" ] || [ "$messages" != 1 ] || ! grep '^trireme: ' out | grep -Eq "$pattern"; then
    failures=$((failures + 1))
    echo "FAILED: exit code $got (expected $code), $messages messages (expected one with '$pattern'): $*"
    sed 's/^/    /' out | head -20
  else
    echo "ok: $(grep -m1 '^trireme: ' out | cut -c1-150)"
  fi
}
mpi() { mpirun --oversubscribe --bind-to none -n 2 "$@"; }
two="mpirun --oversubscribe --bind-to none -n 2"

expect 2 'no such file' $two "$trireme" train nowhere.toml
expect 2 'did you mean train.steps' $two "$trireme" train run.toml --train.stepz=3
expect 2 'expected a whole number' $two "$trireme" train run.toml --train.steps=abc
expect 2 'at least 1' $two "$trireme" train run.toml --model.layers=0
expect 2 'at least 0' $two "$trireme" train run.toml --train.steps=-1
expect 2 'model.heads = 3' $two "$trireme" train run.toml --model.heads=3
expect 2 'model.kv_heads = 2' $two "$trireme" train run.toml --model.heads=1 --model.kv_heads=2
expect 2 'train.micro_batch = 3' $two "$trireme" train run.toml --train.micro_batch=3
expect 2 'not part of this version' $two "$trireme" train run.toml --parallel.zero=2
expect 2 'data.valid' $two "$trireme" train run.toml --train.valid_every=1
expect 4 'gone.txt' $two "$trireme" train run.toml '--data.train=["gone.txt"]'
expect 4 'empty' $two "$trireme" train run.toml '--data.train=["empty.txt"]'
expect 4 'too few' $two "$trireme" train run.toml '--data.train=["short.txt"]'
expect 4 'header' $two "$trireme" train run.toml '--data.train=["damaged.bin"]'
for ranks in 1 2 3; do
  expect 6 'step [0-9]+: loss .*is not finite' mpirun --oversubscribe --bind-to none -n $ranks "$trireme" train run.toml --train.lr=1e30 --train.steps=8
done
expect 2 'model.rope_theta = 0.5' $two "$trireme" train run.toml --model.rope_theta=0.5
expect 3 'does not fit|over|more than' $two "$trireme" train run.toml --memory.device=10KiB
one="mpirun --oversubscribe --bind-to none -n 1"
expect 2 'the configuration' $one "$trireme" train run.toml : -n 1 "$trireme" train other.toml
mkdir -p a b && cp text.txt a/data.txt && cp other.txt b/data.txt
sed 's/text.txt/data.txt/' run.toml > a/run.toml && cp a/run.toml b/run.toml
expect 2 'the data' mpirun --oversubscribe --bind-to none -wdir "$folder/a" -n 1 "$trireme" train run.toml : -wdir "$folder/b" -n 1 "$trireme" train run.toml
expect 4 'gone.txt' $one "$trireme" train run.toml : -n 1 "$trireme" train run.toml '--data.train=["gone.txt"]'
expect 2 'at least 1' "$trireme" plan run.toml --ranks 0
expect 2 'ranks are 0 to 1' "$trireme" schedule run.toml --ranks 2 --rank 2
expect 3 'largest|live' "$trireme" plan run.toml --ranks 2 --device-memory 10KiB
expect 4 'gone.txt' "$trireme" tokenize --tokenizer byte gone.txt -o out.bin
expect 2 'this version has byte' "$trireme" tokenize --tokenizer x.model text.txt -o out.bin
if [ -e out.bin ]; then failures=$((failures + 1)); echo "FAILED: out.bin was left behind"; fi

# What is allowed: no steps at all, and a last step that ends well.
mpi "$trireme" train run.toml --train.steps=0 > out 2>&1 && grep -q '^weights=' out || { failures=$((failures + 1)); echo "FAILED: steps = 0"; cat out; }
echo "$failures failed"
[ "$failures" = 0 ]
