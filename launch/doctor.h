#pragma once

#include <string>

namespace trireme {

/// The ranks around this one, as MPI and the transport found them.
struct DoctorRanks {
  std::string mpi;  // how MPI presents itself here
  int on_node = 1;
  int sharing = 1;  // of them, this one included: read each other's memory
};

/// What a run on this machine would meet: one line per fact, "ok" or "look" in front, with what to do.
std::string doctor_report(const DoctorRanks& ranks);

}  // namespace trireme
