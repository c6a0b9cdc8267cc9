#!/usr/bin/env bash
# Processes that a launcher of another MPI started do not see each other: refused with one message before any file is
# touched. What a launcher's variables look like is faked; its mpiexec is tried where there is one.
# usage: foreign_launcher.sh TRIREME
. "$(dirname "$(readlink -f "$0")")/../support/program.sh"
write_small_run 2
printf '[log]\ndir = "log"\n' >> run.toml
failures=0
fail() { failures=$((failures + 1)); echo "FAILED: $*"; sed 's/^/    /' out | head -20; }

# refused MESSAGES COMMAND...: exit code 7, so many messages, no file.
refused() {
  local wanted=$1
  shift
  timeout 60 "$@" > out 2>&1
  local code=$? messages
  messages=$(grep -c '^trireme: communication: .* start it with the mpirun of Open MPI' out)
  if [ $code != 7 ] || [ "$messages" != "$wanted" ] || [ -e log ] || grep -q MPI_ABORT out; then
    fail "exit code $code (7), $messages messages ($wanted): $*"
  else
    echo "ok: $(grep -m1 '^trireme: ' out | cut -c1-150)"
  fi
  rm -rf log
}
# goes_on COMMAND...: trains.
goes_on() {
  timeout 60 "$@" > out 2>&1 && grep -q '^weights=' out || fail "does not train: $*"
  rm -rf log
}

refused 1 env PMI_SIZE=2 PMI_RANK=0 "$trireme" train run.toml
refused 0 env PMI_SIZE=2 PMI_RANK=1 "$trireme" train run.toml
refused 1 env MPI_LOCALNRANKS=3 MPI_LOCALRANKID=0 "$trireme" train run.toml
refused 1 env OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 "$trireme" train run.toml
refused 1 env SLURM_JOB_ID=1 SLURM_NTASKS=2 SLURM_PROCID=0 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 "$trireme" train run.toml
refused 1 env PMI_SIZE=2 PMI_RANK=0 "$trireme" doctor
goes_on env SLURM_JOB_ID=1 SLURM_NTASKS=2 SLURM_PROCID=0 ENVIRONMENT=BATCH "$trireme" train run.toml
goes_on env PMI_SIZE=4 PMI_RANK=0 SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=4 $mpi -n 2 "$trireme" train run.toml

# An error from before MPI is told once, too.
timeout 60 env PMI_SIZE=2 PMI_RANK=0 "$trireme" train > out 2>&1 && fail "no configuration"
[ "$(grep -c '^trireme: configuration: config is required' out)" = 1 ] || fail "no configuration, rank 0"
timeout 60 env PMI_SIZE=2 PMI_RANK=1 "$trireme" train > out 2>&1 && fail "no configuration"

# MPICH's own (TRIREME_MPIEXEC: where it is not in the path, as when unpacked beside the system).
for mpiexec in ${TRIREME_MPIEXEC:-} $(command -v mpiexec.mpich mpiexec.hydra); do
  refused 1 "$mpiexec" -n 3 "$trireme" train run.toml
done
echo "$failures failed"
[ "$failures" = 0 ]
