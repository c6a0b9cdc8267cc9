#!/usr/bin/env bash
# One trajectory over MPI: the real program in many layouts prints the same weights= and state=.
# usage: mpi_bits.sh TRIREME [all]
set -u
trireme=$(readlink -f "$1") selection=${2:-ci}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
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
deadline_s = 60
TOML
}

failures=0 runs=0
# run CONFIG RANKS ISA OVERRIDES...: prints "weights state loss" of the run
run() {
  local config=$1 ranks=$2 isa=$3
  shift 3
  TRIREME_ISA=$isa mpirun --oversubscribe --bind-to none -n "$ranks" -x TRIREME_ISA "$trireme" train "$config" "$@" > out 2>&1 || { cat out >&2; echo "run failed"; return; }
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
isas=$(printf 'amx\navx512_bf16\navx512f\navx2\n' | sed -n "/^$best\$/,\$p")
[ -n "$isas" ] || isas=scalar
# Ranks, threads, prefetch, recompute: every pair of values of two columns stands in one row.
layouts="2 1 1 none;3 4 2 attention;5 2 0 none"
[ "$selection" = all ] && layouts="1 2 0 block;2 1 1 none;3 4 2 attention;4 1 3 mlp;5 2 0 none;7 1 2 block;8 1 1 attention;1 4 3 attention;2 2 2 mlp;3 1 0 mlp;4 4 1 block;5 4 3 block;7 2 1 mlp;8 2 3 none;2 4 0 attention;3 2 3 none;1 1 2 none;5 1 1 attention"

for family in gpt2 llama; do
  for type in bf16 f32; do
    [ "$selection" = ci ] && [ "$type$family" = f32gpt2 ] && continue
    config "$family" "$type" > "$family.$type.toml"
    expected=$(run "$family.$type.toml" 1 "${isas%%$'\n'*}" --device.threads=1)
    case $expected in *weights*|xxh3*|*xxh3*) ;; *) echo "no hash: $expected"; exit 1 ;; esac
    IFS=';' read -ra rows <<< "$layouts"
    for row in "${rows[@]}"; do
      read -r ranks threads prefetch recompute <<< "$row"
      got=$(run "$family.$type.toml" "$ranks" "${isas%%$'\n'*}" --device.threads="$threads" --parallel.prefetch="$prefetch" --memory.recompute="$recompute")
      compare "$expected" "$got" "$family $type ranks=$ranks threads=$threads prefetch=$prefetch recompute=$recompute"
    done
    for isa in $isas; do
      compare "$expected" "$(run "$family.$type.toml" 2 "$isa")" "$family $type on $isa"
    done
  done
done
# The other order of sums: bits of its own, the same on every instruction set.
tiles=$(run llama.bf16.toml 1 "${isas%%$'\n'*}" --precision.products=tiles)
[ "$tiles" != "$(run llama.bf16.toml 1 "${isas%%$'\n'*}")" ] || { echo "tiles gives the bits of chain"; failures=$((failures + 1)); }
for isa in $isas; do
  compare "$tiles" "$(run llama.bf16.toml 3 "$isa" --precision.products=tiles --device.threads=2)" "llama bf16 in the tiles order on $isa"
done
echo "$runs runs compared, $failures differ"
[ "$failures" = 0 ]
