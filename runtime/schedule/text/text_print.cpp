#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "runtime/schedule/text/text.h"
#include "runtime/schedule/text/text_columns.h"
#include "runtime/schedule/text/text_lists.h"

namespace trireme {
namespace {

// A wider cell pushes its row to the right instead of every row.
constexpr std::size_t widest_column = 40;

/// Writes rows in two rounds: the first measures the columns, so no row is ever stored.
template <std::size_t N>
class Table {
 public:
  using Row = std::array<std::string, N>;

  Table(std::string& out, const std::array<std::string_view, N>& columns) : out_(out), columns_(columns) {
    for (std::size_t c = 0; c < N; ++c) width_[c] = columns[c].size();
  }

  /// `fill(i, row)` fills the cells of row i, which keep their memory from row to row.
  template <typename Fill>
  void write(std::size_t rows, const Fill& fill) {
    for (std::size_t i = 0; i < rows; ++i) {
      fill(i, row_);
      for (std::size_t c = 0; c < N; ++c)
        if (row_[c].size() <= widest_column) width_[c] = std::max(width_[c], row_[c].size());
    }
    for (std::size_t c = 0; c < N; ++c) row_[c] = columns_[c];
    put();
    for (std::size_t i = 0; i < rows; ++i) {
      fill(i, row_);
      put();
    }
    out_ += '\n';
  }

 private:
  void put() {
    for (std::size_t c = 0; c + 1 < N; ++c) {
      out_ += row_[c];
      out_.append(2 + (row_[c].size() < width_[c] ? width_[c] - row_[c].size() : 0), ' ');
    }
    out_ += row_[N - 1];
    out_ += '\n';
  }

  std::string& out_;
  const std::array<std::string_view, N>& columns_;
  std::array<std::size_t, N> width_{};
  Row row_;
};

void put_content(std::string& cell, const Buffer& buffer) {
  cell = buffer.content == Content::other ? text::absent : name(buffer.content);
  if (buffer.unit) fmt::format_to(std::back_inserter(cell), ":{}", *buffer.unit);
  if (buffer.content == Content::state) fmt::format_to(std::back_inserter(cell), ":{}", buffer.state);
}

template <typename T>
void put(std::string& cell, const std::optional<T>& value) {
  if (value)
    fmt::format_to(std::back_inserter(cell), "{}", *value);
  else
    cell += text::absent;
}

class Printer {
 public:
  explicit Printer(const Schedule& schedule) : s_(schedule), uses_(s_.buffers.size()) {
    for (OpId id = 0; id < static_cast<OpId>(s_.ops.size()); ++id)
      for (const Operand& operand : op(id).operands) {
        auto& [first, last] = uses_[static_cast<std::size_t>(operand.buffer)];
        if (!first) first = id;
        last = id;
      }
  }

  std::string print() {
    out_ =
        fmt::format("schedule {}  rank {}  world {}  events {}\n\n", name(s_.kind), s_.rank, s_.world, s_.event_count);
    Table(out_, text::buffer_columns).write(s_.buffers.size(), [this](std::size_t i, auto& row) {
      fill_buffer(i, row);
    });
    Table(out_, text::boundary_columns).write(s_.boundary_events.size(), [this](std::size_t i, auto& row) {
      row = {fmt::format("e{}", s_.boundary_events[i].event), s_.boundary_events[i].name};
    });
    print_lists(text::from_columns, s_.from_lists);
    print_lists(text::to_columns, s_.to_lists);
    Table(out_, text::op_columns).write(s_.ops.size(), [this](std::size_t i, auto& row) { fill_op(i, row); });
    return std::move(out_);
  }

 private:
  const Op& op(OpId id) const { return s_.ops[static_cast<std::size_t>(id)]; }

  template <typename Columns, typename Lists>
  void print_lists(const Columns& columns, const Lists& lists) {
    Table(out_, columns).write(lists.size(), [&](std::size_t i, auto& row) { row[0] = text::print_list(lists[i]); });
  }

  void fill_buffer(std::size_t i, std::array<std::string, text::buffer_columns.size()>& row) {
    for (std::string& cell : row) cell.clear();
    const Buffer& b = s_.buffers[i];
    row[0] = b.name;
    row[1] = name(b.role);
    put_content(row[2], b);
    row[3] = name(b.space);
    row[4] = name(b.lifetime);
    row[5] = name(b.type);
    fmt::format_to(std::back_inserter(row[6]), "{}", b.elems);
    row[7] = b.exported ? "yes" : text::absent;
    if (b.offset)
      fmt::format_to(std::back_inserter(row[8]), "{:#010x}", *b.offset);
    else
      row[8] = text::absent;
    put(row[9], uses_[i].first);
    put(row[10], uses_[i].second);
  }

  void fill_op(std::size_t i, std::array<std::string, text::op_columns.size()>& row) {
    for (std::string& cell : row) cell.clear();
    const Op& op = s_.ops[i];
    fmt::format_to(std::back_inserter(row[0]), "{}", i);
    row[1] = name(op.stream);
    row[2] = name(op.kind);
    put(row[3], op.unit);
    put(row[4], op.segment);
    put(row[5], op.microbatch);
    row[6] = name(op.group);
    for (const Operand& operand : op.operands) {
      const bool is_token = operand.slot == Slot::token;
      if (operand.reads()) put_operand(row[is_token ? 9 : 7], operand);
      if (operand.writes()) put_operand(row[is_token ? 10 : 8], operand);
    }
    for (EventId event : op.waits)
      fmt::format_to(std::back_inserter(row[11]), "{}e{}", row[11].empty() ? "" : ",", event);
    if (op.records) fmt::format_to(std::back_inserter(row[12]), "e{}", *op.records);
    if (op.range != FlatRange{})
      fmt::format_to(std::back_inserter(row[13]), "{}+{}/{}", op.range.begin, op.range.elems, op.range.slice_elems);
    if (op.wire) row[14] = name(*op.wire);
    if (op.bytes != 0) fmt::format_to(std::back_inserter(row[15]), "{}", op.bytes);
    if (op.from) row[16] = text::print_list(s_.from_lists.at(static_cast<std::size_t>(*op.from)));
    if (op.to) row[17] = text::print_list(s_.to_lists.at(static_cast<std::size_t>(*op.to)));
    put(row[18], op.peer);
    for (std::string& cell : row)
      if (cell.empty()) cell = text::absent;
  }

  void put_operand(std::string& cell, const Operand& operand) {
    if (!cell.empty()) cell += ',';
    if (operand.slot != Slot::token) fmt::format_to(std::back_inserter(cell), "{}=", name(operand.slot));
    cell += s_.buffers.at(static_cast<std::size_t>(operand.buffer)).name;
  }

  const Schedule& s_;
  std::vector<std::pair<std::optional<OpId>, std::optional<OpId>>> uses_;  // first and last op, per buffer
  std::string out_;
};

}  // namespace

std::string print(const Schedule& schedule) { return Printer(schedule).print(); }

}  // namespace trireme
