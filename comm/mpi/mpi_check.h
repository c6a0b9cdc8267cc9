#pragma once
// The one place that includes mpi.h, and the one that reads its return codes.

#include <mpi.h>

#include <string>
#include <string_view>

#include "runtime/base/error.h"

namespace trireme {

/// Errors: Error(comm) with MPI's own words when `code` is not MPI_SUCCESS.
inline void mpi_check(int code, std::string_view call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(ErrorKind::comm, fmt::format("{}: {}", call, std::string_view(text, static_cast<std::size_t>(length))));
}

}  // namespace trireme
