#pragma once

#include "comm/bootstrap.h"

namespace trireme::test {

/// The run that main() made.
MpiRun& mpi_run();

}  // namespace trireme::test
