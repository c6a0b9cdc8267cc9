#pragma once
// The system gives no more memory: which limit of this process stands behind that, as an error with exit code 3.

#include <exception>
#include <string>

#include "runtime/base/error.h"

namespace trireme {

/// "the address space of a process is limited to 300.00 MiB: raise ulimit -v", and so on for data (ulimit -d) and a
/// kernel that promises no more than it has (vm.overcommit_memory); empty where only the machine's memory bounds a
/// process.
std::string memory_limits();

/// Error(plan): `what` did not get its memory; with the limits, or what to do where there are none.
Error memory_refused(const std::string& what);

/// Whether there is no room for the stack of one more thread: who makes threads is told "try again", not why.
bool thread_stack_refused();

/// Any exception as an error: std::bad_alloc, and what the system calls a lack of memory, as memory_refused(); what is
/// no Error is a bug of ours.
Error as_error(const std::exception& error);

}  // namespace trireme
