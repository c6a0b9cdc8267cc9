#!/usr/bin/env bash
# From step 2 to 200 of a run over MPI no thread of ours allocates more than 4 KiB at once, and the libraries allocate less
# than 1 MiB on them in all: what 200 steps allocate less what 2 steps do.
# usage: malloc_mpi.sh TRIREME PRELOAD.so
set -u
trireme=$(readlink -f "$1") preload=$(readlink -f "$2")
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
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
count() { mpirun --oversubscribe --bind-to none -n 3 -x LD_PRELOAD="$preload" "$trireme" train run.toml --train.steps="$1" 2>&1 | sed -n 's/^mallocs: //p' | sort; }
count 2 > few
count 200 > many
paste -d' ' few many | awk '
  { news = $11 - $4; bytes = $13 - $6; printf "rank %s: %d large allocations of ours, %d bytes of libraries\n", $2, news, bytes
    if (news != 0 || bytes > 1048576) bad = 1 }
  END { exit bad || NR != 3 }'
