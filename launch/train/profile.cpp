#include "launch/train/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/schedule/op_kinds.h"

namespace trireme {
namespace {

constexpr std::size_t longest_shown = 10;

/// One row: a kind of op, one op, or a loss of time.
struct Row {
  std::string stream, what;
  int count = 0;
  double us = 0, flops = 0, bytes = 0;  // of one step
};

/// The numbers that a row needs of the whole.
struct Whole {
  double step_us = 0, peak_flops = 0;
};

std::string share(double part, double of) { return of > 0 ? fmt::format("{:.1f}%", 100 * part / of) : "-"; }

std::string print_row(const Row& row, const Whole& whole) {
  const double flops_per_s = row.us > 0 ? row.flops / row.us * 1e6 : 0;
  return fmt::format("{:<8} {:<34} {:>6} {:>11.3f} {:>8} {:>9} {:>8} {:>8}\n", row.stream, row.what,
                     row.count > 0 ? fmt::format("{}", row.count) : "-", row.us / 1000, share(row.us, whole.step_us),
                     row.flops > 0 ? fmt::format("{:.1f}", flops_per_s / 1e9) : "-",
                     row.flops > 0 ? share(flops_per_s, whole.peak_flops) : "-",
                     row.bytes > 0 && row.us > 0 ? fmt::format("{:.2f}", row.bytes / row.us / 1e3) : "-");
}

Row row_of(const Op& op, const ModelSpec& model, double us) {
  return {.stream = name(op.stream),
          .what = name(op.kind),
          .count = 1,
          .us = us,
          .flops = op.stream == StreamId::compute ? op_flops(model, op) : 0,
          .bytes = is_collective(op.kind) ? static_cast<double>(op.bytes) : 0};
}

std::string full_name(const Op& op, const ModelSpec& model) {
  std::string text = name(op.kind);
  if (op.unit) {
    const UnitSpec& unit = model.units[static_cast<std::size_t>(*op.unit)];
    text += " " + unit.name;
    if (op.segment && unit.segments.size() > 1)
      text += fmt::format(" {}", name(unit.segments[static_cast<std::size_t>(*op.segment)].kind));
  }
  if (op.microbatch) text += fmt::format(" mb {}", *op.microbatch);
  return text;
}

void sort_by_time(std::vector<Row>& rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.us > b.us; });
}

// Kinds of one stream, those that took longest first.
std::vector<Row> rows_by_kind(const Schedule& step, const std::vector<Row>& ops, StreamId stream) {
  std::map<OpKind, Row> kinds;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (step.ops[i].stream != stream) continue;
    Row& row = kinds[step.ops[i].kind];
    row = {.stream = ops[i].stream,
           .what = ops[i].what,
           .count = row.count + 1,
           .us = row.us + ops[i].us,
           .flops = row.flops + ops[i].flops,
           .bytes = row.bytes + ops[i].bytes};
  }
  std::vector<Row> rows;
  for (const auto& [kind, row] : kinds) rows.push_back(row);
  sort_by_time(rows);
  return rows;
}

std::vector<Row> longest_rows(const Schedule& step, const ModelSpec& model, std::vector<Row> ops) {
  for (std::size_t i = 0; i < ops.size(); ++i) ops[i].what = full_name(step.ops[i], model);
  sort_by_time(ops);
  if (ops.size() > longest_shown) ops.resize(longest_shown);
  return ops;
}

}  // namespace

double op_flops(const ModelSpec& model, const Op& op) {
  if (!op.unit || !op.segment) return 0;
  const SegmentSpec& segment =
      model.units.at(static_cast<std::size_t>(*op.unit)).segments.at(static_cast<std::size_t>(*op.segment));
  switch (op.kind) {
    case OpKind::forward:
    case OpKind::recompute: return segment.forward_flops;
    case OpKind::backward: return segment.backward_flops;
    case OpKind::forward_backward: return segment.forward_flops + segment.backward_flops;
    case OpKind::init:
    case OpKind::read:
    case OpKind::step_values:
    case OpKind::gather:
    case OpKind::release:
    case OpKind::reduce:
    case OpKind::round:
    case OpKind::accumulate:
    case OpKind::add_uses:
    case OpKind::square_sum:
    case OpKind::all_reduce:
    case OpKind::verdict:
    case OpKind::check_finite:
    case OpKind::hash:
    case OpKind::update:
    case OpKind::send:
    case OpKind::receive: return 0;
  }
  return 0;
}

std::string print_profile(const Schedule& step, const ModelSpec& model, const StepTimes& times, double peak_flops) {
  if (times.steps == 0) return fmt::format("profile of rank {}: no step was counted; it begins with step 2", step.rank);
  ensure(times.ops.size() == step.ops.size(), "a profile of {} ops for the {} of the step", times.ops.size(),
         step.ops.size());
  const double steps = times.steps;
  const Whole whole{.step_us = times.wall_us / steps, .peak_flops = peak_flops};
  std::vector<Row> ops;
  double busy_us = 0, stalled_us = 0;
  for (std::size_t i = 0; i < step.ops.size(); ++i) {
    ops.push_back(row_of(step.ops[i], model, times.ops[i].busy_us / steps));
    if (step.ops[i].stream == StreamId::compute) busy_us += ops.back().us;
    stalled_us += times.ops[i].stalled_us / steps;
  }
  const double skew_us = times.skew_us / steps;
  std::string text = fmt::format("profile of rank {}: {} steps from step 2 on, {:.3f} ms each\n", step.rank,
                                 times.steps, whole.step_us / 1000);
  text += fmt::format("{:<8} {:<34} {:>6} {:>11} {:>8} {:>9} {:>8} {:>8}\n", "stream", "op", "count", "ms a step",
                      "of step", "GF/s", "of peak", "GB/s");
  for (const Row& row : rows_by_kind(step, ops, StreamId::compute)) text += print_row(row, whole);
  text += print_row({.stream = "compute", .what = "exposed communication", .us = stalled_us - skew_us}, whole);
  text += print_row({.stream = "compute", .what = "skew", .us = skew_us}, whole);
  text += print_row({.stream = "compute", .what = "idle", .us = std::max(0.0, whole.step_us - busy_us - stalled_us)},
                    whole);
  for (const Row& row : rows_by_kind(step, ops, StreamId::comm)) text += print_row(row, whole);
  text += "the longest ops\n";
  for (const Row& row : longest_rows(step, model, std::move(ops))) text += print_row(row, whole);
  text.pop_back();
  return text;
}

}  // namespace trireme
