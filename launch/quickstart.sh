#!/usr/bin/env bash
# From a bare clone on Debian 12 to a trained model: installs packages, builds, trains a small Llama on the King James
# Bible with two ranks, and prints a sample. Can be run again: what is there is not made anew.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

launch/install_packages.sh
. launch/environment.sh

echo "== build: release, into build/release"
mkdir -p build
cmake --preset release > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build --preset release --target trireme

run=build/quickstart
mkdir -p "$run"
if [ ! -s "$run/valid.txt" ]; then
  echo "== text: the King James Bible; of every 4,000 verses 200 are kept to validate"
  bible -f gen1:1-rev22:21 > "$run/all.txt"
  awk -v train="$run/train.txt" -v valid="$run/valid.part" '{ print > (int(NR / 200) % 20 == 10 ? valid : train) }' "$run/all.txt"
  mv "$run/valid.part" "$run/valid.txt"
fi

trireme=build/release/launch/trireme
echo "== plan: what each of 2 ranks will need"
"$trireme" plan launch/quickstart.toml --ranks 2

echo "== train: 2 ranks; about 1.2 million tokens"
# mpirun binds ranks to cores unless told not to.
mpirun -n 2 --oversubscribe --bind-to none "$trireme" train launch/quickstart.toml --sample "In the beginning" "$@"

cat <<'NEXT'

== what to try next
  the program that just ran:   build/release/launch/trireme schedule launch/quickstart.toml --ranks 2 --rank 0 | less -S
  when each op ran:            open build/quickstart/log/trace.json in https://ui.perfetto.dev
  memory on 64 ranks:          build/release/launch/trireme plan launch/quickstart.toml --ranks 64
  less memory, the same bits:  launch/quickstart.sh --memory.recompute=block      (compare the line weights=)
  your own text:               launch/quickstart.sh '--data.train=["your.txt"]' '--data.valid=["other.txt"]'
  all keys:                    launch/config/README.md
NEXT
