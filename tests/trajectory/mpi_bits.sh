#!/usr/bin/env bash
# One trajectory over MPI: the real program in many layouts prints the same weights= and state=.
# usage: mpi_bits.sh TRIREME [all]
selection=${2:-ci}
# Every pair of values of two columns stands in a row; step_bits_test proves it. CI runs a ninth of the rows for each model.
mapfile -t rows < <(grep -v '^#' "$(dirname "$(readlink -f "$0")")/covering_layouts.txt")
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
awk 'BEGIN { srand(7); for (i = 0; i < 6000; ++i) printf "%s%s", substr("theandforwithfromthatthis", int(rand() * 20) + 1, 3 + int(rand() * 4)), i % 9 ? " " : "\n" }' > text.txt

model_gpt2='family = "gpt2"
heads = 4'
model_llama='family = "llama"
heads = 4
kv_heads = 2
ffn = 112'
config() {  # FAMILY TYPE > file
  local model=model_$1
  cat <<TOML
[model]
${!model}
layers = 2
width = 48
vocab = 259
context = 40
[data]
train = ["text.txt"]
valid = ["text.txt"]
[train]
steps = 3
global_batch = 26
micro_batch = 2
sequence = 33
lr = 0.01
warmup = 1
[precision]
compute = "$2"
wire = "$2"
[parallel]
deadline_s = 600
TOML
}

failures=0 runs=0
# run CONFIG RANKS ISA OVERRIDES...: prints "weights state loss" of the run
run() {
  local config=$1 ranks=$2 isa=$3
  shift 3
  TRIREME_ISA=$isa $mpi -n "$ranks" -x TRIREME_ISA "$trireme" train "$config" "$@" > out 2>&1 || { cat out >&2; echo "run failed"; return; }
  grep "^warning: ranks took other bytes" out
  sed -n 's/^weights=//p; s/^state=//p; s/.*valid_loss=/valid=/p' out | tr '\n' ' '
}
compare() {  # EXPECTED GOT NAME
  runs=$((runs + 1))
  if [ "$1" != "$2" ]; then
    failures=$((failures + 1))
    echo "DIFFERS: $3: '$2', not '$1'"
  fi
}

best=$("$trireme" doctor 2>/dev/null | sed -n 's/.*instruction set: \([a-z0-9_]*\),.*/\1/p')
# layout MODEL RANKS THREADS PREFETCH RECOMPUTE ISA TRANSPORT OVERRIDES...: prints what the run printed. What this CPU lacks runs on its best.
layout() {
  local isa=$6 share=true node=0 wire=''
  case $7/$2 in messages/1 | pairs/1) ;; messages/*) wire='measured 0 and [1-9]' ;; pairs/2) ;; pairs/*) wire='measured [1-9][0-9]* and [1-9]' ;; esac
  case $7 in messages) share=false ;; pairs) node=2 ;; esac
  case $best/$isa in avx2/avx512* | avx512f/avx512_bf16 | scalar/*) isa=$best ;; esac
  run "$1" "$2" "$isa" --device.threads="$3" --parallel.prefetch="$4" --memory.recompute="$5" --memory.share="$share" \
    --parallel.ranks_per_node="$node" "${@:8}"
  [ -z "$wire" ] || grep -qE "^wire of the run: .*$wire" out || echo "not by $7"
}

number=0
for model in llama.bf16 gpt2.bf16 llama.f32 gpt2.f32; do
  config "${model%.*}" "${model#*.}" > "$model.toml"
  expected=$(run "$model.toml" 1 "$best" --device.threads=1)
  case $expected in *xxh3*) ;; *) echo "no hash: $expected"; exit 1 ;; esac
  for i in "${!rows[@]}"; do
    [ "$selection" = ci ] && [ $((i % 9)) != $((2 * number)) ] && continue
    read -ra row <<< "${rows[$i]}"
    compare "$expected" "$(layout "$model.toml" "${row[@]}")" "$model in layout ${rows[$i]}"
  done
  number=$((number + 1))

  # More ranks than microbatches: some ranks have none, but for validation.
  [ "$selection" = ci ] && [ "${model#*.}" = f32 ] && continue
  few=(--train.global_batch=4 --train.valid_every=1)
  expected=$(run "$model.toml" 1 "$best" "${few[@]}")
  case $expected in *valid=*xxh3*) ;; *) echo "no validation: $expected"; exit 1 ;; esac
  for ranks in 2 3 5; do
    compare "$expected" "$(run "$model.toml" "$ranks" "$best" "${few[@]}")" "$model with 2 microbatches on $ranks ranks"
  done
done
# The other order of sums: bits of its own, the same in every layout and on every instruction set.
for model in llama.bf16 gpt2.bf16; do
  [ "$selection" = ci ] && [ "$model" = gpt2.bf16 ] && continue
  chain=$(run "$model.toml" 1 "$best")
  expected=$(run "$model.toml" 1 "$best" --precision.products=tiles)
  [ "$expected" != "$chain" ] || { echo "tiles gives the bits of chain"; failures=$((failures + 1)); }
  for i in "${!rows[@]}"; do
    [ "$selection" = ci ] && [ $((i % 9)) != 8 ] && continue
    read -ra row <<< "${rows[$i]}"
    compare "$expected" "$(layout "$model.toml" "${row[@]}" --precision.products=tiles)" "$model in the tiles order in layout ${rows[$i]}"
  done
done
# ZeRO stages and node-local gathering, in place, by messages and mixed; groups of microbatches, with bits of their own.
for model in llama.bf16 gpt2.f32; do
  for sum_group in 1 3; do
    grouped=(--train.sum_group="$sum_group" --train.valid_every=2)
    expected=$(run "$model.toml" 1 "$best" "${grouped[@]}")
    number=0
    for ranks in 2 3 4 6; do
      for zero in 0 1 2 3 node; do
        number=$((number + 1))
        [ "$selection" = ci ] && [ $((number % 4)) != "$sum_group" ] && continue
        sharding=(--parallel.zero="$zero")
        [ "$zero" = node ] && sharding=(--parallel.node_shard --parallel.ranks_per_node=$((ranks % 2 ? 1 : ranks / 2)))
        [ $((number % 3)) = 0 ] && sharding+=(--memory.share=false)
        [ $((number % 3)) = 1 ] && [ "$zero" != node ] && sharding+=(--parallel.ranks_per_node=2)
        compare "$expected" "$(run "$model.toml" "$ranks" "$best" "${grouped[@]}" "${sharding[@]}" --parallel.prefetch=$((number % 4)))" \
          "$model on $ranks ranks with ${grouped[*]} ${sharding[*]}"
      done
    done
  done
done
echo "$runs runs compared, $failures differ"
[ "$failures" = 0 ]
