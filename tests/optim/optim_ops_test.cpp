// Verdict, norm and update by themselves: handlers called on one rank's slices, without an executor.

#include "optim/optim_ops.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include "shard/step_records.h"
#include "tests/reference/adamw.h"

using namespace trireme;

namespace {

constexpr OptimizerSettings settings{.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip = 1.0};
constexpr Elems matrix_elems = 1500, slice_elems = 4096;
constexpr float padding_mark = 77;
const UnitSpec matrix_and_bias{
    .name = "block",
    .tensors = {{.name = "weight", .rows = 30, .cols = 50, .decay = true}, {.name = "bias", .cols = 100}}};

/// One unit on one rank: a matrix in blocks 0 and 1, a bias in block 2, and a fourth block when two ranks share them.
class OneUnit {
 public:
  explicit OneUnit(const OptimizerSettings& chosen = settings, const UnitSpec& unit = matrix_and_bias) {
    schedule_.kind = ScheduleKind::step;
    for (const char* name : {"master", "m", "v", "accumulator"}) add(name, DType::f32, slice_elems);
    add("exported", DType::bf16, slice_elems);
    schedule_.buffers.back().role = Role::parameters;
    add("sums", DType::byte, sizeof(StepSums));
    add("values", DType::byte, sizeof(StepValues));
    add("counters", DType::byte, sizeof(StepCounters));
    add("verdict", DType::byte, sizeof(Verdict));
    arena_.resize(static_cast<std::size_t>(end_) / sizeof(double));
    const FlatRange whole = FlatLayout(unit, 1).whole();
    schedule_.ops = {{.kind = OpKind::square_sum,
                      .unit = 0,
                      .operands = {reads(Slot::accumulator, accumulator), updates(Slot::sums, sums)},
                      .range = whole},
                     {.kind = OpKind::verdict,
                      .operands = {reads(Slot::values, values), reads(Slot::sums, sums),
                                   updates(Slot::counters, counters), writes(Slot::verdict, verdict)}},
                     {.kind = OpKind::update,
                      .unit = 0,
                      .operands = {writes(Slot::exported, exported), reads(Slot::accumulator, accumulator),
                                   reads(Slot::verdict, verdict), updates(Slot::master, master),
                                   updates(Slot::states, m), updates(Slot::states, v)},
                      .range = whole}};
    units_ = {unit};
    layouts_ = {FlatLayout(unit, 1)};
    register_optim_ops(table_, chosen, units_, layouts_);
    for (Elems i = 0; i < slice_elems; ++i) {
      floats(accumulator)[i] = is_padding(i) ? padding_mark : static_cast<float>(i % 7 - 3) / 512;
      floats(master)[i] = is_padding(i) ? 0 : static_cast<float>(i % 11 - 5) / 16;
    }
    record<StepSums>(sums).valid_tokens = 4;
    record<StepSums>(sums).loss.add(6.0);
    record<StepValues>(values).learning_rate = 0.01;
  }

  enum Id : BufferId { master, m, v, accumulator, exported, sums, values, counters, verdict };

  /// Norm, verdict and update; sums of squares are taken anew.
  void step() {
    record<StepSums>(sums).square_norm = ExactSum();
    for (OpId op = 0; op < 3; ++op) run(op);
  }
  void run(OpId op) {
    const Arenas arenas{.device = std::as_writable_bytes(std::span(arena_))};
    const OpContext context{schedule_, op, arenas};
    table_.find(context.op().kind)(context);
  }

  float* floats(BufferId id) { return reinterpret_cast<float*>(address(id)); }
  const std::uint16_t* exported_bits() { return reinterpret_cast<const std::uint16_t*>(address(exported)); }
  template <typename Record>
  Record& record(BufferId id) {
    return *reinterpret_cast<Record*>(address(id));
  }
  const Verdict& decided() { return record<Verdict>(verdict); }
  /// All that an update may change, and the gradient.
  std::vector<std::byte> state() { return {address(master), address(sums)}; }

  static bool is_padding(Elems i) { return i >= 2148 || (i >= matrix_elems && i < 2048); }

 private:
  void add(const char* name, DType type, Elems elems) {
    Buffer buffer{.name = name, .type = type, .elems = elems, .offset = end_};
    end_ = align_up(end_ + buffer.bytes(), 64);
    schedule_.buffers.push_back(buffer);
  }
  std::byte* bytes() { return reinterpret_cast<std::byte*>(arena_.data()); }
  std::byte* address(BufferId id) { return bytes() + *schedule_.buffers[static_cast<std::size_t>(id)].offset; }

  Schedule schedule_;
  std::vector<UnitSpec> units_;
  std::vector<FlatLayout> layouts_;
  OpTable table_;
  Bytes end_ = 0;
  std::vector<double> arena_;
};

double norm_of(OneUnit& unit_state) {
  double square = 0;
  for (Elems i = 0; i < slice_elems; ++i)
    if (const double g = unit_state.floats(OneUnit::accumulator)[i]; !OneUnit::is_padding(i)) square += g * g;
  return std::sqrt(square);
}

}  // namespace

TEST_CASE(
    "verdict: loss is the mean over valid tokens, the norm leaves padding out, corrections are those of the first "
    "update") {
  OneUnit state;
  state.step();
  CHECK(state.decided().go == 1);
  CHECK(state.decided().loss == 1.5);
  // A sum of squares that is rounded once, and a root.
  CHECK(state.decided().gradient_norm == Approx(norm_of(state)).epsilon(1e-12));
  CHECK(state.decided().learning_rate == 0.01);
  CHECK(state.decided().correction1 == 1 - settings.beta1);
  CHECK(state.decided().correction2 == 1 - settings.beta2);
}

TEST_CASE("verdict: the clip scale is min(1, clip / (norm + 1e-6)), and 1 where clip is 0") {
  for (const double clip : {0.0, 0.01, 0.05, 1.0, 1e9}) {
    OptimizerSettings chosen = settings;
    chosen.clip = clip;
    OneUnit state(chosen);
    state.step();
    CAPTURE(clip);
    const double norm = state.decided().gradient_norm;
    REQUIRE(norm > 0.05);
    CHECK(state.decided().clip_scale == (clip == 0 ? 1.0 : std::min(1.0, clip / (norm + 1e-6))));
  }
}

TEST_CASE("a loss or norm that is not finite stops the update: master, m, v and what is exported keep their bits") {
  const float bad = GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  const bool in_loss = GENERATE(true, false);
  OneUnit state;
  state.step();
  const std::vector<std::byte> before = state.state();
  const float good = state.floats(OneUnit::accumulator)[3];
  const ExactSum loss = state.record<StepSums>(OneUnit::sums).loss;
  if (in_loss)
    state.record<StepSums>(OneUnit::sums).loss.add(bad);
  else
    state.floats(OneUnit::accumulator)[3] = bad;
  state.step();
  CHECK(state.decided().go == 0);
  state.floats(OneUnit::accumulator)[3] = good;
  state.record<StepSums>(OneUnit::sums).loss = loss;
  CHECK(state.state() == before);
  CHECK(state.record<StepCounters>(OneUnit::counters).applied_updates == 1);

  // The bias correction of the next update is that of the second, not of the third.
  state.step();
  CHECK(state.decided().go == 1);
  CHECK(state.decided().correction1 == Approx(1 - settings.beta1 * settings.beta1).epsilon(1e-14));
  CHECK(state.decided().correction2 == Approx(1 - settings.beta2 * settings.beta2).epsilon(1e-14));
}

TEST_CASE("update: AdamW of every element; only tensors that say so decay") {
  OneUnit state;
  const std::vector<float> master(state.floats(OneUnit::master), state.floats(OneUnit::master) + slice_elems);
  state.step();
  const Verdict& verdict = state.decided();
  for (Elems i = 0; i < slice_elems; ++i) {
    if (OneUnit::is_padding(i)) continue;
    const bool decays = i < matrix_elems;
    const auto expected =
        reference::adamw({.learning_rate = 0.01,
                          .beta1 = settings.beta1,
                          .beta2 = settings.beta2,
                          .eps = settings.eps,
                          .weight_decay = decays ? settings.weight_decay : 0,
                          .correction1 = verdict.correction1,
                          .correction2 = verdict.correction2,
                          .gradient_scale = verdict.clip_scale},
                         master[static_cast<std::size_t>(i)], 0, 0, state.floats(OneUnit::accumulator)[i]);
    CAPTURE(i, decays);
    CHECK(std::fabs(state.floats(OneUnit::master)[i] - expected.master.value) <= expected.master.error);
    CHECK(std::fabs(state.floats(OneUnit::m)[i] - expected.m.value) <= expected.m.error);
    CHECK(std::fabs(state.floats(OneUnit::v)[i] - expected.v.value) <= expected.v.error);
    CHECK(state.exported_bits()[i] == to_bf16(state.floats(OneUnit::master)[i]).bits);
  }
}

TEST_CASE("update: a tensor's lr_factor scales rate and decay of that tensor alone") {
  const Elems bias_begin = 2048, bias_end = 2148;
  UnitSpec grouped = matrix_and_bias;
  grouped.tensors[1].lr_factor = 0.25;
  grouped.tensors[1].decay = true;
  UnitSpec decayed = matrix_and_bias;
  decayed.tensors[1].decay = true;
  OneUnit plain, by_group(settings, grouped), by_rate(settings, decayed);
  by_rate.record<StepValues>(OneUnit::values).learning_rate = 0.01 * 0.25;
  for (OneUnit* state : {&plain, &by_group, &by_rate}) state->step();
  for (Elems i = 0; i < slice_elems; ++i) {
    const bool is_bias = i >= bias_begin && i < bias_end;
    CAPTURE(i);
    CHECK(by_group.floats(OneUnit::master)[i] == (is_bias ? by_rate : plain).floats(OneUnit::master)[i]);
    CHECK(by_group.floats(OneUnit::m)[i] == plain.floats(OneUnit::m)[i]);
  }
}

TEST_CASE("update: with an lr_factor of 0 a tensor keeps its bits") {
  UnitSpec grouped = matrix_and_bias;
  grouped.tensors[0].lr_factor = 0;
  OneUnit state(settings, grouped);
  const std::vector<float> before(state.floats(OneUnit::master), state.floats(OneUnit::master) + slice_elems);
  state.step();
  for (Elems i = 0; i < matrix_elems; ++i)
    CHECK(state.floats(OneUnit::master)[i] == before[static_cast<std::size_t>(i)]);
  CHECK(state.floats(OneUnit::master)[2048] != before[2048]);
}

TEST_CASE("update: padding of master, m, v and what is exported stays zero, whatever lies in the gradient's") {
  OneUnit state;
  for (int i = 0; i < 3; ++i) state.step();
  for (Elems i = 0; i < slice_elems; ++i) {
    if (!OneUnit::is_padding(i)) continue;
    CAPTURE(i);
    for (const BufferId id : {OneUnit::master, OneUnit::m, OneUnit::v}) CHECK(state.floats(id)[i] == 0);
    CHECK(state.exported_bits()[i] == 0);
  }
}
