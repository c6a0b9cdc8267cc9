#include "runtime/schedule/trace.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "runtime/base/error.h"
#include "runtime/schedule/per_stream.h"

namespace trireme {
namespace {

using Json = nlohmann::ordered_json;

// {"x": "x3.0.1"}; tokens are left out, of a list there is a list.
Json names(const Schedule& schedule, const Op& op, bool (Operand::*is_used)() const) {
  Json names = Json::object();
  for (const Operand& operand : op.operands) {
    if (operand.slot == Slot::token || !(operand.*is_used)()) continue;
    Json& of_slot = names[name(operand.slot)];
    const std::string& buffer = schedule.buffers[static_cast<std::size_t>(operand.buffer)].name;
    if (of_slot.is_null()) {
      of_slot = buffer;
      continue;
    }
    if (of_slot.is_string()) of_slot = Json::array({of_slot});
    of_slot.push_back(buffer);
  }
  return names;
}

Json name_of(const char* what, std::size_t process, int thread, std::string_view name) {
  return {{"name", what}, {"ph", "M"}, {"pid", process}, {"tid", thread}, {"args", {{"name", name}}}};
}

std::string label(const Op& op) {
  return op.unit ? fmt::format("{} unit {}", name(op.kind), *op.unit) : std::string(name(op.kind));
}

Json arguments(const Schedule& schedule, OpId id) {
  const Op& op = schedule.ops[static_cast<std::size_t>(id)];
  Json arguments{{"op", id}, {"kind", name(op.kind)}};
  if (op.unit) arguments["unit"] = *op.unit;
  if (op.segment) arguments["segment"] = *op.segment;
  if (op.microbatch) arguments["microbatch"] = *op.microbatch;
  if (op.bytes > 0) arguments["bytes"] = op.bytes;
  arguments["reads"] = names(schedule, op, &Operand::reads);
  arguments["writes"] = names(schedule, op, &Operand::writes);
  return arguments;
}

Json complete_event(const TraceRow& row, std::size_t process, OpId id) {
  const Op& op = row.schedule->ops[static_cast<std::size_t>(id)];
  const Timeline::Span& span = row.timeline->ops[static_cast<std::size_t>(id)];
  return {{"name", label(op)},
          {"cat", name(op.stream)},
          {"ph", "X"},
          {"pid", process},
          {"tid", static_cast<int>(op.stream)},
          {"ts", span.start_us},
          {"dur", span.end_us - span.start_us},
          {"args", arguments(*row.schedule, id)}};
}

}  // namespace

void print_trace(std::ostream& out, std::span<const TraceRow> rows) {
  out << "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [";
  const char* separator = "\n";
  // Event by event: a whole trace as one tree would take many times its text.
  const auto add = [&](const Json& event) {
    out << separator << event.dump();
    separator = ",\n";
  };
  for (std::size_t process = 0; process < rows.size(); ++process) {
    const TraceRow& row = rows[process];
    ensure(row.timeline->ops.size() == row.schedule->ops.size(), "trace row {}: {} spans for {} ops", row.name,
           row.timeline->ops.size(), row.schedule->ops.size());
    add(name_of("process_name", process, 0, row.name));
    PerStream<bool> used;
    for (const Op& op : row.schedule->ops) used[op.stream] = true;
    for (const StreamId stream : all_streams)
      if (used[stream]) add(name_of("thread_name", process, static_cast<int>(stream), name(stream)));
    for (OpId id = 0; id < static_cast<OpId>(row.schedule->ops.size()); ++id) add(complete_event(row, process, id));
  }
  out << "\n]}\n";
}

std::string print_trace(std::span<const TraceRow> rows) {
  std::ostringstream text;
  print_trace(text, rows);
  return text.str();
}

}  // namespace trireme
