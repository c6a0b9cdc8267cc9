# Sourced by scripts that run the real program, whose first argument it is: `trireme` is its path, `mpi` starts ranks (-n N),
# and the script goes on in an empty `folder`, which goes when it ends. Other paths among its arguments are made absolute before.
set -u
trireme=$(readlink -f "$1")
mpi="mpirun --oversubscribe --bind-to none"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

# write_small_run STEPS: text.txt of 5,000 letters, and a run.toml that trains on it within a second.
write_small_run() {
  head -c 5000 /dev/zero | tr '\0' 'a' > text.txt
  cat > run.toml <<TOML
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
steps = $1
global_batch = 4
micro_batch = 2
sequence = 32
warmup = 0
TOML
}

# write_lines: text.txt of 60 different lines.
write_lines() {
  for ((i = 0; i < 60; ++i)); do echo "line $i: the quick brown fox jumps over the lazy dog"; done > text.txt
}
