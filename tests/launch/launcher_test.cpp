#include "launch/launcher.h"

#include <catch2/catch.hpp>

#include <map>
#include <string>
#include <vector>

using namespace trireme;

namespace {

using Variables = std::map<std::string, std::string>;

std::optional<Launch> launch_of(const Variables& variables) {
  return find_launch([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

// Empty: the run goes on.
std::string refusal(const Variables& variables, int mpi_size) {
  return launch_refusal(launch_of(variables), mpi_size, "Open MPI v4.1.4").value_or("");
}

// What Slurm sets in an allocation of four tasks, everywhere.
Variables allocation(Variables more = {}) {
  more.insert({{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "4"}, {"SLURM_NPROCS", "4"}, {"SLURM_NNODES", "2"}});
  return more;
}

}  // namespace

TEST_CASE("launch_refusal: a launcher of another MPI promised ranks that MPI does not see") {
  struct Case {
    Variables variables;
    int rank;
    std::string said;
  };
  const std::vector<Case> cases = {
      {{{"PMI_SIZE", "2"}, {"PMI_RANK", "0"}}, 0, "PMI_SIZE=2"},
      {{{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}, {"MPI_LOCALNRANKS", "2"}, {"MPI_LOCALRANKID", "1"}}, 1, "PMI_SIZE=2"},
      {{{"MPI_LOCALNRANKS", "3"}, {"MPI_LOCALRANKID", "2"}}, 2, "MPI_LOCALNRANKS=3"},
      {{{"OMPI_COMM_WORLD_SIZE", "8"}, {"OMPI_COMM_WORLD_RANK", "5"}}, 5, "OMPI_COMM_WORLD_SIZE=8"},
      {{{"MV2_COMM_WORLD_SIZE", "2"}, {"MV2_COMM_WORLD_RANK", "1"}}, 1, "MV2_COMM_WORLD_SIZE=2"},
      {{{"MVP_COMM_WORLD_SIZE", "2"}, {"MVP_COMM_WORLD_RANK", "1"}}, 1, "MVP_COMM_WORLD_SIZE=2"},
      {{{"JSM_NAMESPACE_SIZE", "6"}, {"JSM_NAMESPACE_RANK", "4"}}, 4, "JSM_NAMESPACE_SIZE=6"},
      {{{"PMIX_RANK", "3"}, {"PMIX_NAMESPACE", "x"}}, 3, "PMIX_RANK=3"},
      {{{"TORCHELASTIC_RUN_ID", "none"}, {"WORLD_SIZE", "2"}, {"RANK", "1"}}, 1, "WORLD_SIZE=2"},
      // srun without PMI, with and without the step's variables.
      {allocation({{"SLURM_PROCID", "3"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}}), 3,
       "SLURM_STEP_NUM_TASKS=4"},
      {allocation({{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "2"}, {"SLURM_STEP_NUM_TASKS", "2"}}), 0,
       "SLURM_STEP_NUM_TASKS=2"},
      {allocation(
           {{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "2"}, {"SLURM_STEP_NUM_TASKS", "2"}, {"ENVIRONMENT", "BATCH"}}),
       0, "SLURM_STEP_NUM_TASKS=2"},
      {allocation({{"SLURM_PROCID", "2"}, {"ENVIRONMENT", "BATCH"}}), 2, "SLURM_NTASKS=4"},
      {{{"SLURM_NTASKS", "2"}, {"SLURM_PROCID", "0"}}, 0, "SLURM_NTASKS=2"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.said, c.rank);
    const std::optional<Launch> launch = launch_of(c.variables);
    REQUIRE(launch);
    CHECK(launch->rank == c.rank);
    CHECK_THAT(refusal(c.variables, 1), Catch::Contains("(" + c.said + ")") &&
                                            Catch::Contains("mpirun of Open MPI v4.1.4") &&
                                            Catch::Contains("-n 1 for one rank"));
  }
}

TEST_CASE("launch_refusal: a run that is what its launcher promised goes on") {
  const std::vector<std::pair<Variables, int>> cases = {
      {{}, 1},
      {{{"OMPI_COMM_WORLD_SIZE", "1"}, {"OMPI_COMM_WORLD_RANK", "0"}}, 1},
      {{{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}}, 4},
      {{{"PMI_SIZE", "1"}, {"PMI_RANK", "0"}}, 1},
      // An MPI that speaks the launcher's language.
      {{{"PMI_SIZE", "4"}, {"PMI_RANK", "3"}}, 4},
      {allocation({{"SLURM_PROCID", "1"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"PMIX_RANK", "1"}}),
       4},
      // mpirun within other launchers' jobs: its daemons are a step of one task a node, whose variables ranks inherit.
      {allocation({{"SLURM_PROCID", "1"},
                   {"SLURM_STEP_ID", "0"},
                   {"SLURM_STEP_NUM_TASKS", "2"},
                   {"OMPI_COMM_WORLD_SIZE", "16"}}),
       16},
      {allocation({{"SLURM_PROCID", "0"}, {"ENVIRONMENT", "BATCH"}, {"OMPI_COMM_WORLD_SIZE", "1"}}), 1},
      {{{"PMI_SIZE", "8"}, {"PMI_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_RANK", "1"}}, 2},
      // By hand within an allocation: its shell at the front end, its interactive step, its batch script, a step of one
      // task.
      {allocation(), 1},
      {allocation({{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "4294967290"}, {"SLURM_STEP_NUM_TASKS", "1"}}), 1},
      {allocation({{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "4294967291"}}), 1},
      {allocation({{"SLURM_PROCID", "0"}, {"ENVIRONMENT", "BATCH"}}), 1},
      {allocation({{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "1"}, {"SLURM_STEP_NUM_TASKS", "1"}}), 1},
      // Names that others use, too, and what is no number.
      {{{"WORLD_SIZE", "4"}, {"RANK", "1"}}, 1},
      {{{"FLUX_JOB_SIZE", "4"}}, 1},
      {{{"PMIX_RANK", "0"}}, 1},
      {{{"PMI_SIZE", ""}, {"PMI_RANK", "x"}}, 1},
      {{{"PMI_SIZE", "many"}}, 1},
  };
  for (const auto& [variables, mpi_size] : cases) {
    CAPTURE(mpi_size);
    CHECK(refusal(variables, mpi_size).empty());
  }
}

TEST_CASE("launch_refusal: one rank by the nearest launcher is no leave for what another promised") {
  CHECK_THAT(refusal({{"PMI_SIZE", "1"}, {"PMI_RANK", "0"}, {"MPI_LOCALNRANKS", "3"}}, 1),
             Catch::Contains("(MPI_LOCALNRANKS=3)"));
  CHECK_THAT(refusal(allocation({{"MV2_COMM_WORLD_SIZE", "1"}, {"SLURM_PROCID", "1"}, {"SLURM_STEP_ID", "0"}}), 1),
             Catch::Contains("(SLURM_NTASKS=4)"));
  CHECK_THAT(refusal({{"OMPI_COMM_WORLD_SIZE", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALNRANKS", "2"}}, 1),
             Catch::Contains("(MPI_LOCALNRANKS=2)"));
  // mpirun -n 1 in an allocation: its daemons are a step of one task a node.
  const Variables daemon = {{"OMPI_COMM_WORLD_SIZE", "1"}, {"SLURM_PROCID", "1"}, {"SLURM_STEP_ID", "0"}};
  CHECK(refusal(allocation(daemon), 1).empty());
  CHECK(refusal({{"OMPI_COMM_WORLD_SIZE", "2"}, {"MPI_LOCALNRANKS", "3"}}, 2).empty());
}

TEST_CASE("launch_refusal: Open MPI's own number is held against MPI's in any case") {
  CHECK_THAT(refusal({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "0"}}, 2), Catch::Contains("has 2"));
}
