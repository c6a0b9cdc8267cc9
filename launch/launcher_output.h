#pragma once
// Under mpirun a rank writes into a pipe: whether that arrives anywhere is seen at mpirun's own standard output.

#include <string>
#include <string_view>

#include "runtime/base/units.h"

namespace trireme {

/// The bytes of the file that mpirun writes into; 0 where it is none.
Bytes launcher_output_bytes();

/// Why `lines`, which this process has just said, do not arrive where mpirun writes to: a full disk, a closed pipe.
/// `behind`: launcher_output_bytes() from before they were said, as a run before may have left the same there.
/// Empty where they arrive, or where it cannot be known: started otherwise, or by an mpirun of another machine.
/// Takes up to 2 s where that disk is nearly full, else no time.
std::string launcher_output_failure(std::string_view lines, Bytes behind);

/// Whether mpirun writes into a pipe that nobody reads any more. What is said then makes mpirun end the run: Open MPI
/// does so after ten writes.
bool launcher_pipe_is_closed();

}  // namespace trireme
