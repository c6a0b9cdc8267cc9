#pragma once

#include <memory>

#include "comm/communicator.h"
#include "comm/mpi/mpi_check.h"
#include "comm/mpi/mpi_options.h"
#include "comm/status_page.h"

namespace trireme {

/// The ranks of `world` as a group: in place within a node, by messages between nodes, and by messages alone until
/// memory is shared. Collective over `world`; `page` may be null.
///
/// Threads  MPI_THREAD_SERIALIZED: whoever calls, no other thread of the process is inside MPI (abort() calls no MPI).
std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm world, const MpiOptions& options, StatusPage* page);

}  // namespace trireme
