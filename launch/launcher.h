#pragma once
// Who started this process, and as one of how many: told by the environment before MPI is.

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

/// The value of an environment variable; null where there is none.
using Environment = std::function<const char*(const char* name)>;

/// What a launcher promised this process.
struct Launch {
  std::string launcher;        // "Open MPI's mpirun"
  std::string said_by;         // "PMI_SIZE=2"
  int rank = 0, size = 0;      // size 0: it told a rank, and not of how many
  bool open_mpi = false;       // its own mpirun: ranks can meet
  bool is_exact = false;       // told to the processes themselves, never to mpirun's daemons, from which ranks inherit
  std::vector<Launch> others;  // what launchers further out have promised
};

/// Read before MPI starts, which sets variables of its own. Nearest first: mpirun inside another launcher's job
/// decides, an allocation of Slurm's alone promises nothing, nor do its batch script and its interactive shell. None:
/// started by hand.
std::optional<Launch> find_launch(const Environment& environment);

/// Why this run must not go on: the launcher promised other ranks than `mpi_size`, so each process would be a run of
/// its own, into the same files. A process alone is held against every promise; where Open MPI's own mpirun promised
/// one rank, only against those that its daemons cannot have inherited. `mpi` is what MPI calls itself. None: all is as
/// promised.
std::optional<std::string> launch_refusal(const std::optional<Launch>& launch, int mpi_size, const std::string& mpi);

}  // namespace trireme
