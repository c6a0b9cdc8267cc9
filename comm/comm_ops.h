#pragma once
// Brings gather, release, reduce and all_reduce to the executor.

#include "comm/communicator.h"
#include "runtime/execute/op_table.h"

namespace trireme {

/// The communicator must outlive the table, and belongs to the comm stream from now on.
void register_comm_ops(OpTable& table, Communicator& communicator);

}  // namespace trireme
