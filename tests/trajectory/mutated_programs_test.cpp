// A printed program that was changed somewhere: either check refuses it, or it runs to the same bits. What changes the
// data flow into another valid program is found by comparison with what the builder makes.

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/base/random.h"
#include "runtime/schedule/text/text.h"
#include "runtime/schedule/text/text_compare.h"
#include "shard/check_run.h"
#include "tests/support/local_run.h"
#include "tests/support/random_cases.h"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr int ranks = 2, mutated_rank = 1, steps = 2;

TrainerSettings settings_of(Family family) {
  TrainerSettings settings = tiny_settings(family, DType::bf16, DType::bf16);
  settings.model.layers = 1;
  settings.global_batch = 3 * settings.micro_batch;
  return settings;
}

using Fields = std::vector<std::string>;

/// A printed program as lines of fields.
class Text {
 public:
  explicit Text(const std::string& text) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      Fields fields;
      for (std::string word; words >> word;) fields.push_back(word);
      if (fields.empty()) continue;
      if (fields[0] == "buffer" || fields[0] == "op")
        (fields[0] == "op" ? ops_begin : buffers_begin) = lines.size() + 1;
      if (fields[0] == "boundary") buffers_end = lines.size();
      lines.push_back(std::move(fields));
    }
  }
  std::string text() const {
    std::string all;
    for (const Fields& fields : lines) {
      for (const std::string& field : fields) all += field + " ";
      all += "\n";
    }
    return all;
  }
  std::size_t column(std::size_t header, const std::string& name) const {
    const Fields& names = lines[header - 1];
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  }

  std::vector<Fields> lines;
  std::size_t buffers_begin = 0, buffers_end = 0, ops_begin = 0;
};

class Mutation {
 public:
  Mutation(const std::string& text, std::uint64_t seed, Bytes arena_bytes)
      : text_(text), random_(seed, "mutation"), arena_bytes_(arena_bytes) {}

  static constexpr const char* kinds[] = {"waits", "records", "offset", "stream", "slot", "type", "space", "order"};
  static constexpr const char* data_flow[] = {"buffer", "from", "range", "mb"};

  std::string of(const std::string& kind) {
    for (std::string changed;;)
      if (changed = once(kind); changed != text_.text()) return changed;
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return random_.below(next_++, bound); }
  template <typename List>
  auto& any(List& list) {
    return list[below(list.size())];
  }

  std::string once(const std::string& kind) {
    Text t = text_;
    Fields& op = t.lines[t.ops_begin + below(t.lines.size() - t.ops_begin)];
    Fields& buffer = t.lines[t.buffers_begin + below(t.buffers_end - t.buffers_begin)];
    const auto of_op = [&](const char* name) -> std::string& { return op[t.column(t.ops_begin, name)]; };
    const auto of_buffer = [&](const char* name) -> std::string& { return buffer[t.column(t.buffers_begin, name)]; };
    const auto another = [&](std::size_t begin, std::size_t end, const char* name) -> const std::string& {
      return t.lines[begin + below(end - begin)][t.column(begin, name)];
    };
    if (kind == "waits" || kind == "records" || kind == "from" || kind == "range" || kind == "mb")
      of_op(kind.c_str()) = below(3) == 0 ? "-" : another(t.ops_begin, t.lines.size(), kind.c_str());
    else if (kind == "offset" && of_buffer("offset") != "-")
      of_buffer("offset") = fmt::format("{:#010x}", 256 * below(static_cast<std::uint64_t>(arena_bytes_ / 256)));
    else if (kind == "stream")
      of_op("stream") = of_op("stream") == "comm" ? "compute" : "comm";
    else if (kind == "type")
      of_buffer("type") = another(t.buffers_begin, t.buffers_end, "type");
    else if (kind == "space")
      of_buffer("space") = "host";
    else if (kind == "order")
      std::swap(op, t.lines[std::min(t.lines.size() - 1, static_cast<std::size_t>(&op - t.lines.data()) + 1)]);
    else if (kind == "slot" || kind == "buffer") {
      std::string& cell = of_op(below(2) ? "reads" : "writes");
      const std::size_t mark = cell.find('=');
      if (mark == std::string::npos) return t.text();
      if (kind == "slot")
        cell = name(static_cast<Slot>(below(slot_count - 1))) + cell.substr(mark);
      else
        cell = cell.substr(0, mark + 1) + another(t.buffers_begin, t.buffers_end, "buffer") +
               (cell.find(',') == std::string::npos ? "" : cell.substr(cell.find(',')));
    }
    for (std::size_t i = t.ops_begin; i < t.lines.size(); ++i) t.lines[i][0] = "-";  // the order numbers them anew
    return t.text() == unnumbered() ? text_.text() : t.text();
  }
  std::string unnumbered() const {
    Text t = text_;
    for (std::size_t i = t.ops_begin; i < t.lines.size(); ++i) t.lines[i][0] = "-";
    return t.text();
  }

  Text text_;
  Random random_;
  std::uint64_t next_ = 0;
  Bytes arena_bytes_;
};

/// Whether parsing or check refuses a step of one rank, and what it says.
std::string refusal(const TrainerSettings& settings, const std::string& text) {
  std::vector<RunPrograms> runs;
  for (int rank = 0; rank < ranks; ++rank) runs.push_back(plan_programs(settings, rank, ranks).programs.run);
  try {
    for (Schedule& schedule : runs[mutated_rank].schedules)
      if (schedule.kind == ScheduleKind::step) schedule = parse_schedule(text);
    check_run(runs[mutated_rank]);
    for (RunPrograms& run : runs)  // what is compared between ranks has no places
      for (Schedule& schedule : run.schedules)
        for (Buffer& buffer : schedule.buffers) buffer.offset.reset();
    check_run(runs);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

LocalResult train(const TrainerSettings& settings, const std::string& text) {
  const auto edit = [&](PlannedPrograms& planned, int rank) {
    if (rank != mutated_rank || text.empty()) return;
    for (Schedule& schedule : planned.programs.run.schedules)
      if (schedule.kind == ScheduleKind::step) schedule = parse_schedule(text);
  };
  return train_locally(settings, {.ranks = ranks, .edit_programs = edit}, steps);
}

}  // namespace

TEST_CASE(
    "a step whose waits, records, offsets, streams, slots, types, spaces or order were changed is refused or runs "
    "to the same bits") {
  const TrainerSettings settings = settings_of(GENERATE(Family::gpt2, Family::llama));
  const PlannedPrograms planned = plan_programs(settings, mutated_rank, ranks);
  const std::string text = print(*planned.programs.run.find(ScheduleKind::step));
  const LocalResult expected = train(settings, "");
  std::map<std::string, int> refused, ran;
  const int mutations = is_sanitized ? 16 : 104;
  for (int n = 0; n < mutations; ++n) {
    const std::string kind = Mutation::kinds[n % std::size(Mutation::kinds)];
    const std::string changed = Mutation(text, static_cast<std::uint64_t>(n), planned.plan.device.peak_bytes).of(kind);
    const std::string says = refusal(settings, changed);
    ++(says.empty() ? ran : refused)[kind];
    if (!says.empty()) continue;
    CAPTURE(kind, n, first_difference(print(parse_schedule(changed)), text).value_or("no difference"));
    const LocalResult got = train(settings, changed);
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
  }
  for (const char* kind : {"slot", "stream"}) CHECK(refused[kind] > 0);
  for (const auto& [kind, count] : refused) UNSCOPED_INFO(kind << ": " << count << " refused, " << ran[kind] << " ran");
  CHECK(refused.size() >= 6);
}

TEST_CASE(
    "a step with another data flow is refused, or differs from what the builder makes in a line that is printed") {
  const TrainerSettings settings = settings_of(Family::llama);
  const PlannedPrograms planned = plan_programs(settings, mutated_rank, ranks);
  const std::string text = print(*planned.programs.run.find(ScheduleKind::step));
  for (int n = 0; n < 48; ++n) {
    const std::string kind = Mutation::data_flow[n % std::size(Mutation::data_flow)];
    const std::string changed = Mutation(text, static_cast<std::uint64_t>(n), planned.plan.device.peak_bytes).of(kind);
    if (!refusal(settings, changed).empty()) continue;
    const auto difference = first_difference(print(parse_schedule(changed)), text, "given", "built");
    CAPTURE(kind, n);
    REQUIRE(difference);
    CHECK_THAT(*difference, Catch::Contains("\n  given: ") && Catch::Contains("\n  built: "));
  }
}
