#include "launch/doctor.h"

#include <catch2/catch.hpp>

using namespace trireme;

TEST_CASE("doctor_report: a line for everything that a run depends on") {
  const std::string report = doctor_report({.mpi = "1 ranks, 1 on node here", .on_node = 1, .sharing = 1});
  for (const char* fact : {"MPI: 1 ranks", "CPUs that this rank may use", "shared mapping: ", "instruction set: ",
                           "memory left", "open files: ", "/dev/shm: ", ".: ", "OMP_WAIT_POLICY: "}) {
    CAPTURE(report, fact);
    CHECK(report.find(fact) != std::string::npos);
  }
}

TEST_CASE("doctor_report: ranks of a node that do not all share memory are worth a look") {
  const auto report = [](int sharing) { return doctor_report({.mpi = "3 ranks", .on_node = 3, .sharing = sharing}); };
  CHECK_THAT(report(3), Catch::Contains("ok    shared mapping: 3 of 3 ranks"));
  CHECK_THAT(report(1), Catch::Contains("look  shared mapping: 1 of 3 ranks") && Catch::Contains("messages"));
}
