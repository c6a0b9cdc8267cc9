#include "launch/launcher.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>
#include <vector>

namespace trireme {
namespace {

/// The variables of one launcher. All but `size` may be null.
struct Variables {
  const char *launcher, *size, *rank;
  const char* only_with;  // another variable, where theirs have common names
};

// Open MPI's first: its mpirun may run in a job of any of the others, and its ranks inherit their variables.
constexpr Variables launchers[] = {
    {"Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", nullptr},
    {"MVAPICH's launcher", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", nullptr},
    {"MVAPICH's launcher", "MVP_COMM_WORLD_SIZE", "MVP_COMM_WORLD_RANK", nullptr},
    {"the mpiexec of MPICH, Intel MPI or another MPI with PMI", "PMI_SIZE", "PMI_RANK", nullptr},
    {"the mpiexec of MPICH or Intel MPI", "MPI_LOCALNRANKS", "MPI_LOCALRANKID", nullptr},
    {"IBM's jsrun", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_RANK", nullptr},
    {"Flux", "FLUX_JOB_SIZE", "FLUX_TASK_RANK", "FLUX_TASK_RANK"},
    {"Cray's aprun or PALS", "PALS_SIZE", "PALS_RANKID", nullptr},
    {"torchrun", "WORLD_SIZE", "RANK", "TORCHELASTIC_RUN_ID"},
};

// Slurm numbers steps that srun did not start from here on: a shell, a batch script.
constexpr long first_special_step = 4294967280;

std::optional<long> number(const Environment& environment, const char* name) {
  const char* text = environment(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  return *end == '\0' && value >= 0 ? std::optional(value) : std::nullopt;
}

Launch launch(const char* launcher, const char* variable, long size, long rank) {
  return {.launcher = launcher,
          .said_by = fmt::format("{}={}", variable, size > 0 ? size : rank),
          .rank = static_cast<int>(rank),
          .size = static_cast<int>(size)};
}

// A batch script is the first task of nothing: its SLURM_NTASKS is what mpirun and srun may start.
std::optional<Launch> find_slurm_step(const Environment& environment) {
  const std::optional<long> rank = number(environment, "SLURM_PROCID");
  const std::optional<long> step = number(environment, "SLURM_STEP_ID");
  const char* kind = environment("ENVIRONMENT");
  const bool batch_script = kind != nullptr && std::string(kind) == "BATCH";
  if (!rank || (step ? *step >= first_special_step : *rank == 0 && batch_script)) return std::nullopt;
  for (const char* variable : {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS"})
    if (const std::optional<long> size = number(environment, variable))
      return launch("Slurm's srun", variable, *size, *rank);
  return std::nullopt;
}

}  // namespace

std::optional<Launch> find_launch(const Environment& environment) {
  std::vector<Launch> all;
  for (const Variables& variables : launchers) {
    const std::optional<long> size = number(environment, variables.size);
    if (!size || (variables.only_with != nullptr && environment(variables.only_with) == nullptr)) continue;
    Launch found = launch(variables.launcher, variables.size, *size, number(environment, variables.rank).value_or(0));
    found.open_mpi = &variables == launchers;
    found.is_exact = std::string_view(variables.size) == "MPI_LOCALNRANKS";  // hydra's, which starts no daemons
    all.push_back(found);
  }
  if (const std::optional<Launch> step = find_slurm_step(environment)) all.push_back(*step);
  if (!all.empty()) {
    Launch nearest = all.front();
    nearest.others.assign(all.begin() + 1, all.end());
    return nearest;
  }
  // A rank without a number of ranks: all that PMIx tells.
  if (const std::optional<long> rank = number(environment, "PMIX_RANK"))
    return launch("a launcher with PMIx", "PMIX_RANK", 0, *rank);
  return std::nullopt;
}

// Where MPI's ranks have met, what another launcher further out has promised does not matter.
std::optional<std::string> launch_refusal(const std::optional<Launch>& launch, int mpi_size, const std::string& mpi) {
  if (!launch) return std::nullopt;
  if (launch->size == 1 && mpi_size == 1)
    for (const Launch& other : launch->others)
      if (other.size > 1 && (other.is_exact || !launch->open_mpi)) return launch_refusal(other, mpi_size, mpi);
  if (mpi_size > 1 && !launch->open_mpi) return std::nullopt;
  if (launch->size > 0 ? launch->size == mpi_size : launch->rank == 0) return std::nullopt;
  const std::string ranks = launch->size > 0 ? std::to_string(launch->size) : "N";
  const std::string one_of =
      launch->size > 0 ? fmt::format("one of {} ranks", launch->size) : fmt::format("rank {}", launch->rank);
  return fmt::format(
      "{} started this process as {} ({}), and MPI ({}) has {}: the launcher is not this MPI's, and every "
      "process would train alone into the same files; start it with the mpirun of {} (mpirun --version "
      "says whose it is; on Debian mpirun.openmpi): mpirun -n {} trireme ..., or -n 1 for one rank",
      launch->launcher, one_of, launch->said_by, mpi, mpi_size == 1 ? "one" : std::to_string(mpi_size), mpi, ranks);
}

}  // namespace trireme
