#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <unordered_map>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/schedule/text/text.h"
#include "runtime/schedule/text/text_columns.h"
#include "runtime/schedule/text/text_lists.h"

namespace trireme {
namespace {

// Bounds on what a text may claim, so that a damaged number asks for no absurd amount of memory.
constexpr std::int64_t most_ranks = 1 << 20, most_events = 1 << 26;
constexpr std::int64_t most_elems = std::int64_t{1} << 56, most_bytes = std::int64_t{1} << 60;
constexpr std::int64_t most_states = 255;
constexpr std::int64_t most_int = std::numeric_limits<std::int32_t>::max();

/// One row of a table: its fields, and where it stands for messages.
struct Row {
  int line = 0;
  std::span<const std::string_view> columns;
  std::vector<std::string_view> fields;

  [[noreturn]] void fail(std::size_t column, std::string_view expected) const {
    throw Error(ErrorKind::config, fmt::format("line {}, column {}: read '{}', expected {}", line, columns[column],
                                               fields[column], expected));
  }
  bool has(std::size_t column) const { return fields[column] != text::absent; }

  std::int64_t number(std::size_t column, std::int64_t most) const {
    const auto value = text::parse_number(fields[column], most);
    if (!value) fail(column, fmt::format("a number from 0 to {}", most));
    return *value;
  }
  std::optional<std::int32_t> optional_int(std::size_t column) const {
    if (!has(column)) return std::nullopt;
    return static_cast<std::int32_t>(number(column, most_int));
  }
  template <typename Parse>
  auto word(std::size_t column, Parse parse) const {
    try {
      return parse(fields[column]);
    } catch (const Error& error) {
      throw error.with_context(fmt::format("line {}, column {}", line, columns[column]));
    }
  }
};

/// Where each list of ranks stands. A schedule has many ops and few lists: each text is parsed once.
class ListIndex {
 public:
  /// The index of the list in field `column`; a list that is new goes to `add`.
  template <typename Add>
  std::int32_t find(const Row& row, std::size_t column, int world, const Add& add) {
    if (const auto known = by_text_.find(row.fields[column]); known != by_text_.end()) return known->second;
    const auto list = text::parse_list(row.fields[column], world);
    if (!list)
      row.fail(column, fmt::format("ranks below {} like 0,1 or 0-7, or with microbatches like 0:8,1:9 or "
                                   "0-7:8-15, or none",
                                   world));
    const auto [found, is_new] = by_list_.emplace(text::print_list(*list), static_cast<std::int32_t>(by_list_.size()));
    if (is_new) add(*list);
    by_text_.emplace(row.fields[column], found->second);
    return found->second;
  }

 private:
  std::unordered_map<std::string_view, std::int32_t> by_text_;
  std::unordered_map<std::string, std::int32_t> by_list_;  // by its one printed form
};

class Parser {
 public:
  Schedule parse(std::string_view text) {
    int number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      const std::string_view line = text.substr(begin, end - begin);
      begin = end + 1;
      Row row{.line = ++number, .columns = columns_, .fields = {}};
      if (!line.starts_with('#')) row.fields = text::split_blanks(line);
      if (!row.fields.empty()) parse_line(row);
    }
    require(has_header_, ErrorKind::config, "line {}: the text ends, expected 'schedule NAME rank R world W events E'",
            number);
    return std::move(s_);
  }

 private:
  using ParseRow = void (Parser::*)(const Row&);

  void parse_line(Row& row) {
    if (!has_header_) return parse_header(row);
    if (starts_table(row)) return;
    require(parse_row_ != nullptr, ErrorKind::config,
            "line {}: read '{}', expected a table: its first line starts with buffer, boundary, from_list, to_list or "
            "op",
            row.line, row.fields[0]);
    require(row.fields.size() == columns_.size(), ErrorKind::config, "line {}: read {} fields, expected {}: {}",
            row.line, row.fields.size(), columns_.size(), fmt::join(columns_, " "));
    (this->*parse_row_)(row);
  }

  void parse_header(Row& row) {
    static constexpr std::array<std::string_view, 8> columns = {"schedule", "schedule", "rank",   "rank",
                                                                "world",    "world",    "events", "events"};
    const auto& f = row.fields;
    require(f.size() == 8 && f[0] == "schedule" && f[2] == "rank" && f[4] == "world" && f[6] == "events",
            ErrorKind::config, "line {}: read '{}', expected 'schedule NAME rank R world W events E'", row.line,
            fmt::join(f, " "));
    row.columns = columns;
    s_.kind = row.word(1, parse_schedule_kind);
    s_.rank = static_cast<int>(row.number(3, most_ranks));
    s_.world = static_cast<int>(row.number(5, most_ranks));
    s_.event_count = static_cast<EventId>(row.number(7, most_events));
    has_header_ = true;
  }

  bool starts_table(const Row& row) {
    const auto starts = [&](std::span<const std::string_view> columns, ParseRow parse_row) {
      if (!std::equal(columns.begin(), columns.end(), row.fields.begin(), row.fields.end())) return false;
      columns_ = columns;
      parse_row_ = parse_row;
      return true;
    };
    return starts(text::buffer_columns, &Parser::parse_buffer) ||
           starts(text::boundary_columns, &Parser::parse_boundary) || starts(text::from_columns, &Parser::parse_from) ||
           starts(text::to_columns, &Parser::parse_to) || starts(text::op_columns, &Parser::parse_op);
  }

  void parse_buffer(const Row& row) {
    Buffer b{.name = std::string(row.fields[0])};
    if (!row.has(0) || b.name.find(',') != std::string::npos) row.fail(0, "a name without commas");
    if (!buffer_ids_.emplace(row.fields[0], static_cast<BufferId>(s_.buffers.size())).second)
      row.fail(0, "a name that no buffer above has");
    b.role = row.word(1, parse_role);
    if (row.has(2)) parse_content_of(row, 2, b);
    b.space = row.word(3, parse_space);
    b.lifetime = row.word(4, parse_lifetime);
    b.type = row.word(5, parse_dtype);
    b.elems = row.number(6, most_elems);
    b.exported = row.has(7);
    if (b.exported && row.fields[7] != "yes") row.fail(7, "yes or -");
    if (row.has(8)) b.offset = offset(row, 8);
    for (std::size_t derived : {9u, 10u}) row.optional_int(derived);
    s_.buffers.push_back(std::move(b));
  }

  static void parse_content_of(const Row& row, std::size_t column, Buffer& b) {
    const auto parts = text::split(row.fields[column], ':');
    b.content = row.word(column, [&](std::string_view) { return parse_content(parts[0]); });
    const bool is_state = b.content == Content::state;
    const auto unit = parts.size() > 1 ? text::parse_number(parts[1], most_int) : std::nullopt;
    const auto state = is_state && parts.size() == 3 ? text::parse_number(parts[2], most_states) : std::nullopt;
    if (parts.size() > (is_state ? 3 : 2) || (parts.size() > 1 && !unit) || (is_state && !state))
      row.fail(column,
               "what a buffer holds, with its unit like master:3, a state with its number like state:3:1, or -");
    if (unit) b.unit = static_cast<std::int32_t>(*unit);
    if (state) b.state = static_cast<std::uint8_t>(*state);
  }

  void parse_boundary(const Row& row) {
    if (!row.has(1)) row.fail(1, "the name of a buffer");
    s_.boundary_events.push_back({event(row, 0, row.fields[0]), std::string(row.fields[1])});
  }
  void parse_from(const Row& row) { from_list(row, 0); }
  void parse_to(const Row& row) { to_list(row, 0); }

  void parse_op(const Row& row) {
    if (row.has(0) && row.number(0, most_int) != static_cast<std::int64_t>(s_.ops.size()))
      row.fail(0, fmt::format("{}, the number of this op", s_.ops.size()));
    Op op;
    op.stream = row.word(1, parse_stream);
    op.kind = row.word(2, parse_op_kind);
    op.unit = row.optional_int(3);
    op.segment = row.optional_int(4);
    op.microbatch = row.optional_int(5);
    op.group = row.word(6, parse_group);
    add_operands(row, 7, Access::read, op);
    add_operands(row, 8, Access::write, op);
    add_tokens(row, 9, Access::read, op);
    add_tokens(row, 10, Access::write, op);
    if (row.has(11))
      for (std::string_view word : text::split(row.fields[11], ',')) op.waits.push_back(event(row, 11, word));
    if (row.has(12)) op.records = event(row, 12, row.fields[12]);
    if (row.has(13)) op.range = range(row, 13);
    if (row.has(14)) op.wire = row.word(14, parse_dtype);
    if (row.has(15)) op.bytes = row.number(15, most_bytes);
    if (row.has(16)) op.from = from_list(row, 16);
    if (row.has(17)) op.to = to_list(row, 17);
    op.peer = row.optional_int(18);
    s_.ops.push_back(std::move(op));
  }

  static Bytes offset(const Row& row, std::size_t column) {
    const std::string_view hex = row.fields[column];
    const auto value = hex.starts_with("0x") ? text::parse_number(hex.substr(2), most_bytes, 16) : std::nullopt;
    if (!value) row.fail(column, "a byte offset like 0x00000100, or -");
    return *value;
  }

  EventId event(const Row& row, std::size_t column, std::string_view word) const {
    const auto number = word.starts_with('e') ? text::parse_number(word.substr(1), s_.event_count - 1) : std::nullopt;
    if (!number)
      row.fail(column, fmt::format("events like e7, numbers below {} as the first line says", s_.event_count));
    return static_cast<EventId>(*number);
  }

  BufferId buffer(const Row& row, std::size_t column, std::string_view name) const {
    const auto found = buffer_ids_.find(name);
    if (found == buffer_ids_.end())
      row.fail(column, fmt::format("names of buffers of the table above, joined by commas ('{}' is none), or -", name));
    return found->second;
  }

  // What is both read and written stands in both columns.
  void add_operands(const Row& row, std::size_t column, Access access, Op& op) const {
    if (!row.has(column)) return;
    for (std::string_view word : text::split(row.fields[column], ',')) {
      const std::size_t mark = word.find('=');
      if (mark == std::string_view::npos)
        row.fail(column, "slots with their buffers like x=x2.0, joined by commas, or -");
      const Slot slot = row.word(column, [&](std::string_view) { return parse_slot(word.substr(0, mark)); });
      if (slot == Slot::token) row.fail(column, "no tokens, which stand in columns of their own");
      const BufferId id = buffer(row, column, word.substr(mark + 1));
      const auto read = std::find(op.operands.begin(), op.operands.end(), reads(slot, id));
      if (access == Access::write && read != op.operands.end())
        read->access = Access::update;
      else
        op.add({id, slot, access});
    }
  }

  void add_tokens(const Row& row, std::size_t column, Access access, Op& op) const {
    if (!row.has(column)) return;
    for (std::string_view word : text::split(row.fields[column], ','))
      op.add({buffer(row, column, word), Slot::token, access});
  }

  static FlatRange range(const Row& row, std::size_t column) {
    const auto parts = text::split(row.fields[column], '+');
    const auto sizes = text::split(parts.back(), '/');
    const auto begin = text::parse_number(parts.front(), most_elems);
    const auto elems = text::parse_number(sizes.front(), most_elems);
    const auto slice = text::parse_number(sizes.back(), most_elems);
    if (parts.size() != 2 || sizes.size() != 2 || !begin || !elems || !slice)
      row.fail(column, "begin+elems/slice_elems like 0+2048/1024, or -");
    return {*begin, *elems, *slice};
  }

  std::int32_t from_list(const Row& row, std::size_t column) {
    return from_.find(row, column, s_.world, [&](const auto& list) { s_.from_lists.push_back(list); });
  }

  std::int32_t to_list(const Row& row, std::size_t column) {
    return to_.find(row, column, s_.world, [&](const auto& list) {
      std::vector<int>& ranks = s_.to_lists.emplace_back();
      for (const Contribution& c : list) {
        if (c.microbatch) row.fail(column, "ranks without microbatches");
        ranks.push_back(c.rank);
      }
    });
  }

  bool has_header_ = false;
  ParseRow parse_row_ = nullptr;  // of the table that the lines belong to
  std::span<const std::string_view> columns_;
  Schedule s_;
  std::unordered_map<std::string_view, BufferId> buffer_ids_;
  ListIndex from_, to_;
};

}  // namespace

Schedule parse_schedule(std::string_view text) { return Parser().parse(text); }

}  // namespace trireme
