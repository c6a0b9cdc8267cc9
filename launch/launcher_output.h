#pragma once
// Under mpirun a rank writes into a pipe: whether that arrives anywhere is seen at mpirun's own standard output.

#include <string>
#include <string_view>

namespace trireme {

/// Why `line`, which this process has just said, does not arrive where mpirun writes to: a full disk, a closed pipe.
/// Empty where it arrives, or where it cannot be known: started otherwise, or by an mpirun of another machine.
/// Takes up to 2 s where that disk is nearly full, else no time.
std::string launcher_output_failure(std::string_view line);

/// Whether mpirun writes into a pipe that nobody reads any more. What is said then makes mpirun end the run: Open MPI
/// does so after ten writes.
bool launcher_pipe_is_closed();

}  // namespace trireme
