#pragma once

#include <string>

namespace trireme {

/// What a run on this machine would meet: one line per fact, "ok" or "look" in front, with what to do.
/// `mpi`: how MPI presents itself here.
std::string doctor_report(const std::string& mpi, int ranks_on_node);

}  // namespace trireme
