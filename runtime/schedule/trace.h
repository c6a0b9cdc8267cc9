#pragma once
// Timelines as a Chrome trace, which Perfetto and chrome://tracing open.

#include <iosfwd>
#include <span>
#include <string>

#include "runtime/schedule/timeline.h"

namespace trireme {

/// One row group of a trace: a schedule and when its ops ran.
struct TraceRow {
  std::string name;  // "rank 0 planned", "rank 0 measured, step 17"
  const Schedule* schedule = nullptr;
  const Timeline* timeline = nullptr;
};

/// JSON in the Trace Event Format: one process per row, one thread per stream, one complete event per op with kind,
/// unit, segment, microbatch, bytes, reads and writes.
std::string print_trace(std::span<const TraceRow> rows);
/// The same, written event by event: a trace of a long program is many times the program.
void print_trace(std::ostream& out, std::span<const TraceRow> rows);

}  // namespace trireme
