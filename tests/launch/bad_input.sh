#!/usr/bin/env bash
# Bad input on two ranks: one message that says what is wrong, the design's exit code, no hang.
# usage: bad_input.sh TRIREME
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
: > empty.txt
printf 'short' > short.txt
printf 'not a token file' > damaged.bin
write_small_run 2
sed 's/steps = 2/steps = 3/' run.toml > other.toml
cp text.txt other.txt && printf 'b' | dd of=other.txt conv=notrunc status=none

failures=0
# expect CODE PATTERN COMMAND...
expect() {
  local code=$1 pattern=$2
  shift 2
  timeout 600 "$@" > out 2>&1
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
# expect_full CODE PATTERN COMMAND...: the same, with a full disk as standard output.
expect_full() {
  local code=$1 pattern=$2
  shift 2
  expect "$code" "$pattern" bash -c '"$0" "$@" > /dev/full' "$@"
}
mpi() { $mpi -n 2 "$@"; }
two="$mpi -n 2"

expect 2 'no such file' $two "$trireme" train nowhere.toml
expect 2 'did you mean train.steps' $two "$trireme" train run.toml --train.stepz=3
expect 2 'expected a whole number' $two "$trireme" train run.toml --train.steps=abc
expect 2 'at least 1' $two "$trireme" train run.toml --model.layers=0
expect 2 'at least 0' $two "$trireme" train run.toml --train.steps=-1
expect 2 'model.heads = 3' $two "$trireme" train run.toml --model.heads=3
expect 2 'model.kv_heads = 2' $two "$trireme" train run.toml --model.heads=1 --model.kv_heads=2
expect 2 'train.micro_batch = 3' $two "$trireme" train run.toml --train.micro_batch=3
expect 2 'not part of this version' $two "$trireme" train run.toml --parallel.stages=2
expect 2 'stages 0 to 3' $two "$trireme" train run.toml --parallel.zero=4
expect 2 'nodes must be equal' $two "$trireme" train run.toml --parallel.node_shard --parallel.ranks_per_node=3
expect 2 'data.valid' $two "$trireme" train run.toml --train.valid_every=1
expect 4 'gone.txt' $two "$trireme" train run.toml '--data.train=["gone.txt"]'
expect 4 'empty' $two "$trireme" train run.toml '--data.train=["empty.txt"]'
expect 4 'too few' $two "$trireme" train run.toml '--data.train=["short.txt"]'
expect 4 'header' $two "$trireme" train run.toml '--data.train=["damaged.bin"]'
# Files of other kinds, by their first bytes: as training and as validation data, under any name, and in tokenize.
gzip -c text.txt > text.gz && tar cf text.tar text.txt && iconv -f UTF-8 -t UTF-16 text.txt > wide.txt
iconv -f UTF-8 -t UTF-16LE text.txt > wide_le.txt && cp text.gz text_gz.txt && cp text.gz gz.bin
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 5000\n' > pointer.txt
for ((i = 0; i < 99; ++i)); do printf '{"text": "line %d"}\n' $i; done > text.jsonl
printf '\x93NUMPY\1\0\x76\0%5000s' '' > text.npy && printf 'PAR1\x15\4%5000sPAR1' '' > text.parquet
expect 4 'text.gz: its first bytes say gzip, not text; gunzip it' $two "$trireme" train run.toml '--data.train=["text.gz"]'
expect 4 'gz.bin: .*gzip, not a token file' $two "$trireme" train run.toml '--data.train=["gz.bin"]'
expect 4 'wide.txt: .*UTF-16' $two "$trireme" train run.toml '--data.train=["text.txt"]' '--data.valid=["wide.txt"]'
for file in 'text_gz.txt: .*gzip' 'text.tar: .*tar' 'wide_le.txt: .*UTF-16' 'pointer.txt: .*git-lfs' 'text.jsonl: .*JSON lines' \
    'text.npy: .*npy' 'text.parquet: .*parquet'; do
  expect 4 "$file" "$trireme" tokenize "${file%%:*}" -o out.bin
done
# Ends of documents that never come.
expect 4 'data.end_of_document = 10 never occurs in text.txt' $two "$trireme" train run.toml --data.documents --data.end_of_document=10
printf 'b' | cat text.txt - > ends.txt
expect 4 'data.end_of_document = 98 never occurs in text.txt' $two "$trireme" train run.toml --data.documents --data.end_of_document=98 '--data.train=["ends.txt"]' '--data.valid=["text.txt"]'
# Token files of other programs.
python3 -c 'import struct; open("raw.bin", "wb").write(struct.pack("<3000H", *[i * i % 5021 for i in range(3000)]))'
expect 4 'raw.bin: .*raw tokens without a header, 2 bytes each, as nanoGPT' $two "$trireme" train run.toml '--data.train=["raw.bin"]'
python3 -c 'import struct; open("llama3.bin", "wb").write(struct.pack("<256i", 20240801, 7, 3000, *[0] * 253) + struct.pack("<3000I", *[i % 256 for i in range(3000)]))'
mpi "$trireme" train run.toml '--data.train=["llama3.bin"]' > out 2>&1 && grep -q '^weights=' out || { failures=$((failures + 1)); echo "FAILED: llama3.bin"; cat out; }
truncate -s -1 llama3.bin
expect 4 'llama3.bin: .*cut short by 1 bytes' $two "$trireme" train run.toml '--data.train=["llama3.bin"]'
# Masks beside token files.
"$trireme" tokenize text.txt -o masked.bin > /dev/null && head -c 5000 /dev/zero > masked.mask
for ranks in 1 3; do
  expect 4 'data: step 0: no token of its global batch counts' $mpi -n $ranks "$trireme" train run.toml '--data.train=["masked.bin"]'
done
expect 4 'data: no token of data.valid counts' $two "$trireme" train run.toml '--data.valid=["masked.bin"]'
printf 'x' > masked.mask
expect 4 'masked.mask: 1 bytes for the 5000 tokens' $two "$trireme" train run.toml '--data.train=["masked.bin"]'
tr '\0' '2' < /dev/zero | head -c 5000 > masked.mask
expect 4 'masked.mask: byte 0 is 50' $two "$trireme" train run.toml '--data.train=["masked.bin"]'
for ranks in 1 2 3; do
  expect 6 'step [0-9]+: loss .*is not finite' $mpi -n $ranks "$trireme" train run.toml --train.lr=1e30 --train.steps=8
done
expect 2 'model.rope_theta = 0.5' $two "$trireme" train run.toml --model.rope_theta=0.5
expect 3 'does not fit|over|more than' $two "$trireme" train run.toml --memory.device=10KiB
one="$mpi -n 1"
expect 2 'the configuration' $one "$trireme" train run.toml : -n 1 "$trireme" train other.toml
mkdir -p a b && cp text.txt a/data.txt && cp other.txt b/data.txt
sed 's/text.txt/data.txt/' run.toml > a/run.toml && cp a/run.toml b/run.toml
expect 2 'the data' $mpi -wdir "$folder/a" -n 1 "$trireme" train run.toml : -wdir "$folder/b" -n 1 "$trireme" train run.toml
cp "$trireme" other_build && echo >> other_build
expect 2 'the program: rank 0 has .* build' $one "$trireme" train run.toml : -n 1 ./other_build train run.toml
rm other_build
expect 4 'gone.txt' $one "$trireme" train run.toml : -n 1 "$trireme" train run.toml '--data.train=["gone.txt"]'
expect 2 'at least 1' "$trireme" plan run.toml --ranks 0
expect 2 'ranks are 0 to 1' "$trireme" schedule run.toml --ranks 2 --rank 2
expect 2 "there is no pass 'later'; in order they are compute_order, zero_stage" "$trireme" schedule run.toml --ranks 2 --after later
expect 3 'largest|live' "$trireme" plan run.toml --ranks 2 --device-memory 10KiB
expect 4 'gone.txt' "$trireme" tokenize --tokenizer byte gone.txt -o out.bin
expect 2 'this version has byte' "$trireme" tokenize --tokenizer x.model text.txt -o out.bin
expect 2 'must end in .bin' "$trireme" tokenize text.txt -o text.tokens
expect 2 'reads text' "$trireme" tokenize damaged.bin -o out.bin
ln -s "$folder/text.txt" link.bin && ln text.txt half.bin.part
expect 4 'would be overwritten' "$trireme" tokenize text.txt -o link.bin
expect 4 'would be overwritten' "$trireme" tokenize half.bin.part -o half.bin
rm link.bin half.bin.part
mkdir folder.bin
expect 4 'folder.bin cannot be renamed into place: Is a directory' "$trireme" tokenize text.txt -o folder.bin
expect 4 'gone/out.bin cannot be created: No such file' "$trireme" tokenize text.txt -o gone/out.bin
if [ -e out.bin ]; then failures=$((failures + 1)); echo "FAILED: out.bin was left behind"; fi

# Recipes that contradict themselves.
expect 2 'train.min_lr = 0.0001 is above train.lr = 2e-05' $two "$trireme" train run.toml --train.lr=2e-5 --train.min_lr=1e-4
expect 2 'train.min_lr = 1 is above train.lr = 0' "$trireme" plan run.toml --train.lr=0 --train.min_lr=1
expect 2 'inside train.warmup = 20' "$trireme" plan run.toml --train.schedule=wsd --train.warmup=20 --train.steps=30 --train.decay_steps=11
expect 2 "text.txt: text, and data.tokenizer = 'none'; tokenize it" $two "$trireme" train run.toml --data.tokenizer=none

# What is no file, does not hang.
mkfifo fifo.txt && mkdir folder
expect 4 'not a file' $two "$trireme" train run.toml '--data.train=["fifo.txt"]'
expect 4 'not a file' $two "$trireme" train run.toml '--data.train=["folder"]'
expect 2 'is a folder' "$trireme" plan folder
expect 2 'is no file' "$trireme" plan fifo.txt
expect 2 'too long' "$trireme" plan "$(head -c 5000 /dev/zero | tr '\0' 'x')"

# Errors from before MPI starts are told once, also where one rank has them.
three="$mpi -n 3"
expect 2 'configuration: config is required' $three "$trireme" train
expect 2 'configuration: --sample' $three "$trireme" train run.toml --sample
expect 2 'configuration: --sample with model.vocab = 100' $two "$trireme" train run.toml '--data.train=["small.bin"]' --model.vocab=100 --sample x
expect 2 "configuration: .*foo" $three -x TRIREME_ISA=foo "$trireme" train run.toml
expect 2 'configuration: rank 1: .*--sample' $one "$trireme" train run.toml : -n 1 "$trireme" train run.toml --sample

# Outputs that cannot be written.
printf 'x' > a_file
expect 4 'data: .*log.dir = a_file/log: cannot be made' $two "$trireme" train run.toml --log.dir=a_file/log
mkdir -p taken/steps.jsonl
expect 4 'data: .*taken/steps.jsonl: cannot be written: it is a folder' $two "$trireme" train run.toml --log.dir=taken
# Links to a device that is always full stand for a full disk: full_disk.sh has more of it.
for name in steps.jsonl trace.json; do
  mkdir "full.$name" && ln -s /dev/full "full.$name/$name"
  expect 0 "warning: .*full.$name/$name: cannot be written: No space left" $two "$trireme" train run.toml --log.dir="full.$name"
done
for command in 'plan run.toml' 'plan run.toml --json' 'schedule run.toml' 'tokenize text.txt -o full.bin' --help --version; do
  expect_full 4 'standard output cannot be written' "$trireme" $command
done

# Sizes that no machine has.
expect 2 '2147483647: .*at most' "$trireme" plan run.toml --ranks 2147483647
expect 2 'model.layers = 100000: it must be at most 10000.*fewer' "$trireme" plan run.toml --model.layers=100000 --ranks 2
expect 2 'ranks-per-node 100' "$trireme" plan run.toml --ranks 2 --ranks-per-node 100
expect 2 'model.layers' "$trireme" plan run.toml --model.layers=2147483647
expect 2 'model.width' "$trireme" plan run.toml --model.width=2147483646
expect 2 'train.global_batch' "$trireme" plan run.toml --train.global_batch=2147483646

# What is allowed: no steps at all, with a validation of the start.
mpi "$trireme" train run.toml --train.steps=0 '--data.valid=["text.txt"]' --train.schedule=wsd --train.decay_steps=5 > out 2>&1 && grep -q '^weights=' out && grep -q '^step=0 valid_loss=' out || { failures=$((failures + 1)); echo "FAILED: steps = 0"; cat out; }
# What is said, and goes on: a warm-up that does not end, the rate's end a tenth of it, ends of documents, a byte order mark.
says() {
  local pattern=$1
  shift
  "$@" > out 2>&1 && grep -Eq -- "$pattern" out || { failures=$((failures + 1)); echo "FAILED: '$pattern' is not said: $*"; cat out; }
}
says '^notice: train.warmup = 20 does not end within train.steps = 2' mpi "$trireme" train run.toml --train.warmup=20
says '^notice: train.warmup = 200 does not end' "$trireme" plan run.toml --train.warmup=200 --train.schedule=linear
says '^notice: train.audit = 3 is more than train.steps = 2' mpi "$trireme" train run.toml --train.audit=3
says '^min_lr = 2(\.0*3)?e-06$' mpi "$trireme" train run.toml --train.lr=2e-5
says '^ends.txt: 5001 tokens, .*, 1 documents end$' mpi "$trireme" train run.toml --data.documents --data.end_of_document=98 '--data.train=["ends.txt"]'
printf '\xef\xbb\xbf' | cat - text.txt > marked.txt
says 'marked.txt: 5003 tokens, .* byte order mark' mpi "$trireme" train run.toml '--data.train=["marked.txt"]'
says '^notice: marked.txt .*byte order mark' "$trireme" tokenize marked.txt -o marked.bin
echo "$failures failed"
[ "$failures" = 0 ]
