#pragma once

#include "runtime/schedule/schedule.h"

namespace trireme {

/// Sets every wait and record from what the ops read and write; nothing else ever sets one.
///
/// In    ops in an order in which running them one by one is right. Streams run their ops in list order.
/// Out   an op waits for the last op of another stream that wrote what it touches, and for those that read what it
///       writes, unless an earlier wait already orders it behind them. A persistent token or a carried buffer that
///       was not yet written in this schedule is waited for by its boundary event, which its last writer records.
Schedule derive_events(Schedule schedule);

}  // namespace trireme
