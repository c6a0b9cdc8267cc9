#!/usr/bin/env bash
# The real program from and to model folders: the same hashes on any ranks, and what it refuses before it trains.
# usage: model_folder.sh TRIREME
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
write_lines
cat > seed.toml <<'TOML'
[model]
family = "llama"
layers = 2
width = 36
heads = 6
kv_heads = 2
vocab = 300
context = 40
tied = false
[data]
train = ["text.txt"]
tokenizer = "byte"
[train]
steps = 2
global_batch = 6
micro_batch = 2
sequence = 32
warmup = 1
TOML
sed -e '/^\[model\]/,/^\[data\]/{/=/d}' -e 's/^\[model\]/[model]\nhf = "begin"/' seed.toml > folder.toml

failures=0
fail() { failures=$((failures + 1)); echo "FAILED: $*"; }
ranks() { $mpi -n "$1" "$trireme" "${@:2}" 2>&1; }
# expect CODE TEXT COMMAND...: the command ends with that exit code and says that text.
expect() {
  local code=$1 text=$2 said status
  shift 2
  said=$("$@" 2>&1)
  status=$?
  [ "$status" = "$code" ] || fail "$*: exit code $status instead of $code: $said"
  grep -qF -- "$text" <<< "$said" || fail "$*: does not say '$text': $said"
}
hashes() { grep -E '^(weights|state)='; }

ranks 2 train seed.toml --train.steps=0 --export begin > log || fail "no export: $(cat log)"
grep -q '^export: begin, ' log || fail "the export is not told"
wanted=$(ranks 1 train seed.toml | hashes)
[ "$(wc -l <<< "$wanted")" = 2 ] || fail "no hashes: $wanted"
for n in 1 2 3; do
  rm -rf "out$n"
  ranks "$n" train folder.toml --export "out$n" > log
  [ "$(hashes < log)" = "$wanted" ] || fail "$n ranks from the folder: $(cat log)"
  grep -q 'config.json xxh3' log || fail "the folder's hash is not told"
  cmp -s out1/model.safetensors "out$n/model.safetensors" || fail "$n ranks export another model"
done
ranks 2 train folder.toml --parallel.ranks_per_node=1 --export out_messages > log
cmp -s out1/model.safetensors out_messages/model.safetensors || fail "by messages another model: $(cat log)"
grep -qE 'measured 0 and [1-9][0-9]*$' log || fail "not by messages: $(cat log)"
"$trireme" plan folder.toml --ranks 3 | grep -q 'of the arena while the model folder is read' || fail "plan does not tell of the load"
"$trireme" schedule folder.toml --ranks 3 --schedule load | grep -q ' read ' || fail "schedule prints no load"

"$trireme" checkpoint export --format hf --type bf16 out1 half > /dev/null || fail "no checkpoint export"
"$trireme" checkpoint export --format hf half again > /dev/null || fail "no checkpoint export again"
cmp -s half/model.safetensors again/model.safetensors || fail "the same type is not bit-equal"
cmp -s half/config.json again/config.json || fail "the same type has another config.json"

# Its token ids are not the bytes of a text, unless that is said.
sed '/^tokenizer/d' folder.toml > silent.toml
tokenized='--data.train=["text.bin"]'
"$trireme" tokenize text.txt -o text.bin > /dev/null || fail "no tokenize"
expect 2 "text.txt: text, and data.tokenizer = 'none' (as model.hf is given" ranks 2 train silent.toml
expect 2 'data.tokenizer = "byte"' "$trireme" plan silent.toml "$tokenized" '--data.valid=["text.txt"]'
expect 2 "--sample with data.tokenizer = 'none'" ranks 2 train silent.toml "$tokenized" --sample line
[ "$(ranks 2 train silent.toml "$tokenized" | hashes)" = "$wanted" ] || fail "token files of a text are not the text"
expect 0 'sample' ranks 2 train silent.toml "$tokenized" --data.tokenizer=byte --sample line

expect 2 'is there already' ranks 2 train seed.toml --export begin
expect 2 'no folder; make it first' ranks 2 train seed.toml --export nowhere/out
expect 2 'give the folder, too' "$trireme" train seed.toml --export-type bf16
expect 2 "is no type of a model folder" "$trireme" train seed.toml --export out --export-type f64
expect 2 'model.width = 48' ranks 2 train folder.toml --model.width=48
expect 2 'no such folder' "$trireme" plan folder.toml --model.hf=nowhere
expect 2 'it has no config.json' "$trireme" checkpoint export --format hf . out
expect 2 '--format h5' "$trireme" checkpoint export --format h5 begin out
expect 2 'is there already' "$trireme" checkpoint export --format hf begin out1

# Dropout is refused, all keys at once, where something trains, and nowhere else.
cp -r begin llama_dropout && sed -i 's/"attention_dropout": 0.0/"attention_dropout": 0.1/' llama_dropout/config.json
ranks 2 train seed.toml --model.family=gpt2 --model.kv_heads=6 --model.tied --train.steps=0 --export gpt2 > log || fail "no gpt2: $(cat log)"
grep -v pdrop gpt2/config.json > gpt2.json && cp gpt2.json gpt2/config.json
expect 2 'resid_pdrop = 0.1 (as it is missing), embd_pdrop = 0.1 (as it is missing), attn_pdrop = 0.1 (as it is missing)' \
  ranks 2 train folder.toml --model.hf=gpt2
expect 2 'set model.dropout = "ignore"' ranks 2 train folder.toml --model.hf=llama_dropout
ranks 2 train folder.toml --model.hf=llama_dropout --model.dropout=ignore > log
[ "$(hashes < log)" = "$wanted" ] || fail "without its dropout another run: $(cat log)"
grep -q 'left out: attention_dropout = 0.1' log || fail "the dropout that is left out is not told: $(cat log)"
for model in gpt2 llama_dropout; do
  expect 0 weights= ranks 2 train folder.toml --model.hf=$model --train.steps=0
  expect 0 arena "$trireme" plan folder.toml --ranks 2 --model.hf=$model
  expect 0 written "$trireme" checkpoint export --format hf --type bf16 $model "$model.half"
done

# Files that stand for others are called what they are.
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n' > pointer
cp -r begin pointers && cp pointer pointers/model.safetensors
expect 4 'a git-lfs pointer' ranks 2 train folder.toml --model.hf=pointers
cp pointer pointers/config.json
expect 2 'a git-lfs pointer' "$trireme" plan folder.toml --model.hf=pointers
expect 2 'a git-lfs pointer' "$trireme" checkpoint export --format hf pointers out
ln -sf ../../blobs/0 pointers/config.json
expect 2 'a link to ../../blobs/0, where nothing is' "$trireme" plan folder.toml --model.hf=pointers
expect 2 'a link to ../../blobs/0, where nothing is' "$trireme" checkpoint export --format hf pointers out

# Ranks in folders of their own are as machines without a common file system.
mkdir a b && cp -r begin text.txt seed.toml folder.toml a && cp -r begin text.txt seed.toml folder.toml b
apart() { $mpi -n 1 --wdir "$folder/a" "$trireme" "$@" : -n 1 --wdir "$folder/b" "$trireme" "$@" 2>&1; }
expect 2 'a file system that all ranks have in common' apart train seed.toml --export out
expect 0 'weights=' apart train folder.toml
sed -i 's/1e-05/1e-06/' b/begin/config.json
expect 2 'model.norm_eps' apart train folder.toml
cp begin/config.json b/begin && sed -i 's/"torch_dtype": "float32"/"torch_dtype": "float16"/' b/begin/config.json
expect 2 'the model folder' apart train folder.toml
cp begin/config.json b/begin
printf 'x' | dd of=b/begin/model.safetensors bs=1 seek=40 conv=notrunc 2> /dev/null
expect 4 'model.safetensors' apart train folder.toml

truncate -s -1 begin/model.safetensors
expect 4 'fetch it again' ranks 2 train folder.toml
expect 0 'load' "$trireme" plan folder.toml --ranks 2
ls -d ./*.part-* ./*/*.part-* > /dev/null 2>&1 && fail "a half folder stays: $(ls -d ./*.part-* ./*/*.part-*)"
echo "$failures failed"
[ "$failures" = 0 ]
