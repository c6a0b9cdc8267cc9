#!/usr/bin/env bash
# From step 2 to 200 of a run over MPI no thread of ours allocates more than 4 KiB at once, and the libraries allocate less
# than 1 MiB on them in all: what 200 steps allocate less what 2 steps do.
# usage: malloc_mpi.sh TRIREME PRELOAD.so
preload=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
head -c 100000 /dev/zero | tr '\0' 'a' > text.txt
cat > run.toml <<'TOML'
[model]
family = "gpt2"
layers = 2
width = 64
heads = 2
vocab = 256
context = 64
[data]
train = ["text.txt"]
[train]
global_batch = 6
micro_batch = 1
sequence = 64
warmup = 0
[log]
every = 1000
TOML
# run STEPS FILE MPIRUN_FLAGS...: "rank R large_ours N library_bytes M" of every rank
run() {
  local steps=$1 file=$2
  shift 2
  $mpi -n 3 -x LD_PRELOAD="$preload" "$@" "$trireme" train run.toml --train.steps="$steps" > out 2>&1 || cat out
  sed -n 's/^mallocs: //p' out | sort > "$file"
}
# judge FEW MANY: prints what MANY has more than FEW, and is false where that is too much or a rank is missing.
judge() {
  paste -d' ' "$1" "$2" | awk '
    $1 != "rank" || $3 != "large_ours" || $5 != "library_bytes" || $7 != "rank" || $2 != $8 { bad = 1 }
    { ours = $10 - $4; bytes = $12 - $6; printf "rank %s: %d large allocations of ours, %d bytes of libraries\n", $2, ours, bytes
      if (ours != 0 || bytes > 1048576) bad = 1 }
    END { exit bad || NR != 3 }'
}
run 2 few
run 2 planted -x MALLOC_PLANT=1
run 200 many
failed=0
# The seven kinds of allocation that the preload plants must all be seen.
if judge few planted > planted.txt || [ "$(grep -c ': 7 large allocations of ours' planted.txt)" != 3 ]; then
  echo "FAILED: 7 planted allocations a rank were seen as:"
  cat few planted planted.txt
  failed=1
fi
judge few many || { echo "FAILED: more than is allowed, or no numbers"; cat few many; failed=1; }
exit $failed
