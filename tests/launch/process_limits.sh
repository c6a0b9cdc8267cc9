#!/usr/bin/env bash
# Limits of a process: more files than `ulimit -n` train, and what does not fit `ulimit -v` or `-d` ends with exit code 3 and
# a message that names it, never otherwise.
# usage: process_limits.sh TRIREME
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
write_small_run 2
failures=0
fail() { failures=$((failures + 1)); echo "FAILED: $*"; sed 's/^/    /' out | tail -12 | cut -c1-200; }

# 1,030 token files with masks beside them: 2,060 files. As one file they give the same weights.
mkdir many
python3 - <<'PYTHON'
import random, struct
with open("all.txt", "wb") as whole:
    for i in range(1, 1031):
        text = bytes(random.choices(b"abcdefghij", k=40))
        whole.write(text)
        open(f"many/{i}.txt", "wb").write(text)
        open(f"many/{i}.bin", "wb").write(struct.pack("<256i40H", 20240520, 1, 40, *[0] * 253, *text))
        open(f"many/{i}.mask", "wb").write(bytes([1] * 40))
PYTHON
many=$(printf '"many/%s.txt",' $(seq 1030))
binaries=$(printf '"many/%s.bin",' $(seq 1030))
weights() { grep '^weights=' out; }
$mpi -n 1 "$trireme" train run.toml '--data.train=["all.txt"]' '--data.order="shuffled"' > out 2>&1 || fail "one file"
one_file=$(weights)
for files in "$many" "$binaries"; do
  for limit in 1024 100; do
    timeout 120 $mpi -n 2 bash -c "ulimit -n $limit && exec '$trireme' train run.toml '--data.train=[${files%,}]' '--data.order=\"shuffled\"'" > out 2>&1
    code=$?
    [ $code = 0 ] && [ "$(weights)" = "$one_file" ] || fail "1,030 files, ulimit -n $limit: exit code $code, $(weights), not $one_file"
  done
done
(ulimit -n 1024; "$trireme" tokenize $(printf 'many/%s.txt ' $(seq 1030)) -o all.bin) > out 2>&1 && grep -q '41200 tokens' out || fail "tokenize 1,030 files"
[ "$(tail -c +1025 all.bin | tr -d '\0')" = "$(cat all.txt)" ] || fail "tokenize 1,030 files: not their text"
(ulimit -n 12; "$trireme" tokenize many/1.txt -o few.bin) > out 2>&1 && grep -q '40 tokens' out || fail "tokenize at ulimit -n 12"
(ulimit -n 3; "$trireme" tokenize many/1.txt -o few.bin) > out 2>&1
[ $? != 0 ] || fail "tokenize at ulimit -n 3"

# limited OPTION MIB COMMAND...: trains, or is refused by exit code 3 with a message that names `ulimit OPTION`.
limited() {
  local option=$1 mib=$2 code
  shift 2
  timeout 120 $mpi "${@:1:2}" bash -c "ulimit $option $((mib * 1024)) && exec \"\$@\"" limited "${@:3}" > out 2>&1
  code=$?
  if [ $code = 0 ] && grep -q '^weights=' out; then echo "ok: ulimit $option at $mib MiB: trains"; return; fi
  if [ $code = 3 ] && [ "$(grep -c '^trireme: ' out)" = 1 ] && grep '^trireme: ' out | grep -q "ulimit $option"; then
    echo "ok: ulimit $option at $mib MiB: $(grep '^trireme: ' out | cut -c1-150)"
    return
  fi
  fail "ulimit $option at $mib MiB: exit code $code: $*"
}
for ranks in 1 2; do
  for mib in 60 80 100 120 200 300; do limited -v $mib -n $ranks "$trireme" train run.toml; done
  for mib in 10 30 60 100; do limited -d $mib -n $ranks "$trireme" train run.toml; done
done
# An arena, and threads, that are not small beside all else.
for mib in 150 400 600 800; do limited -v $mib -n 2 "$trireme" train run.toml --model.width=512 --model.ffn=4096 --model.layers=3 --train.steps=1; done
for mib in 150 200 300; do limited -v $mib -n 1 "$trireme" train run.toml --device.threads=16; done
# Before and without MPI.
(ulimit -v 200000; "$trireme" plan run.toml --model.layers=5000) > out 2>&1
code=$?
[ $code = 3 ] && grep -q '^trireme: does not fit: .*ulimit -v' out || fail "plan at ulimit -v 200000: exit code $code"
echo "$failures failed"
[ "$failures" = 0 ]
