// Groups of parameters: factors, decay, and frozen tensors, which have no gradient, no state and no reduce.

#include "models/parameter_groups.h"

#include <catch2/catch.hpp>

#include "models/describe.h"
#include "tests/support/local_run.h"
#include "tests/support/random_cases.h"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr int steps = 3;

TrainerSettings grouped(Family family, std::vector<ParameterGroup> groups) {
  TrainerSettings settings = tiny_settings(family, DType::bf16, DType::bf16);
  settings.groups = std::move(groups);
  settings.optimizer.clip = 0;
  return settings;
}

std::vector<double> losses(const LocalResult& result) {
  std::vector<double> list;
  for (const StepReport& step : result.steps) list.push_back(step.loss);
  return list;
}

const Schedule& step_of(const RankPrograms& programs) { return *programs.run.find(ScheduleKind::step); }

Bytes persistent_of(const RankPrograms& programs, Role role) {
  Bytes bytes = 0;
  for (const Buffer& buffer : step_of(programs).buffers)
    if (buffer.lifetime == Lifetime::persistent && buffer.role == role) bytes += buffer.bytes();
  return bytes;
}

}  // namespace

TEST_CASE("groups: without clipping a frozen tensor is one whose learning rate is 0") {
  const Family family = GENERATE(Family::gpt2, Family::llama);
  // Some of a block, a whole block, the token table with its tied use, everything but the head.
  for (const char* pattern :
       {"*.norm.*", "blocks.0.*", "embedding.token.weight", "blocks.?.mlp.*", "embedding.*", "blocks.*"}) {
    CAPTURE(pattern);
    const LocalResult still =
        train_locally(grouped(family, {{.pattern = pattern, .lr_factor = 0}}), {.ranks = 1}, steps);
    const LocalResult frozen =
        train_locally(grouped(family, {{.pattern = pattern, .frozen = true}}), {.ranks = 1}, steps);
    CHECK(losses(frozen) == losses(still));
    CHECK(frozen.steps.back().gradient_norm < still.steps.back().gradient_norm);
  }
}

TEST_CASE("groups: frozen tensors change no bit between layouts") {
  TrainerSettings settings =
      grouped(GENERATE(Family::gpt2, Family::llama), {{.pattern = "blocks.0.*", .frozen = true},
                                                      {.pattern = "*.norm.*", .lr_factor = 0.5, .decay = true},
                                                      {.pattern = "*.out.weight", .frozen = true}});
  if (settings.model.family == Family::llama)
    settings.groups.push_back({.pattern = "embedding.token.weight", .frozen = true});
  settings.model.tied = GENERATE(true, false);
  const LocalResult expected = train_locally(settings, {.ranks = 1}, steps);
  settings.validate = settings.spec.audit = true;
  for (const auto& [ranks, zero, node_ranks, sum_group] :
       {std::tuple(2, 3, 0, 1), {3, 0, 0, 1}, {3, 1, 0, 1}, {4, 2, 0, 1}, {4, 3, 2, 1}, {5, 3, 0, 1}}) {
    if (is_sanitized && ranks > 3) continue;
    CAPTURE(ranks, zero, node_ranks);
    settings.spec.zero = zero;
    settings.spec.node_ranks = node_ranks;
    settings.spec.sum_group = sum_group;
    settings.spec.prefetch = ranks % 4;
    settings.spec.recompute = static_cast<Recompute>((ranks + zero) % 4);
    const LocalResult got =
        train_locally(settings, {.ranks = ranks, .checked_seed = ranks == 5 ? 3 : -1, .audit_every = 2}, steps);
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
    CHECK(losses(got) == losses(expected));
  }
}

TEST_CASE("groups: what is frozen has no gradient, no optimizer state and no reduce in the program") {
  const TrainerSettings all = grouped(Family::llama, {}),
                        some = grouped(Family::llama, {{.pattern = "blocks.1.*", .frozen = true}});
  const RankPrograms before = build_programs(all, 0, 2), after = build_programs(some, 0, 2);
  for (const Op& op : step_of(after).ops) {
    const bool of_block1 = op.unit == 2;
    CHECK(!(of_block1 && (op.kind == OpKind::reduce || op.kind == OpKind::update || op.kind == OpKind::square_sum)));
  }
  const Elems slice = FlatLayout(before.model.units[2], 2).slice_elems;
  CHECK(persistent_of(before, Role::optimizer) - persistent_of(after, Role::optimizer) == 8 * slice);
  CHECK(persistent_of(before, Role::parameters) == persistent_of(after, Role::parameters));
  // Nothing below the lowest tensor that is trained goes backward.
  const TrainerSettings head = grouped(Family::llama, {{.pattern = "head.*"}, {.pattern = "*", .frozen = true}});
  const RankPrograms of_head = build_programs(head, 0, 2);
  for (const Op& op : step_of(of_head).ops) CHECK(op.kind != OpKind::backward);
}

TEST_CASE("groups: the first group that a name matches counts, and one that matches nothing is an error") {
  ModelSpec model =
      describe(tiny_settings(Family::gpt2, DType::bf16, DType::bf16).model, {.sequences = 1, .sequence = 8});
  apply_groups({{.pattern = "*.weight", .lr_factor = 2}, {.pattern = "*", .decay = true}}, model);
  for (const UnitSpec& unit : model.units)
    for (const TensorSpec& tensor : unit.tensors) {
      const bool is_weight = matches("*.weight", tensor.name);
      CHECK(tensor.lr_factor == (is_weight ? 2 : 1));
      CHECK((is_weight || tensor.decay));
    }
  CHECK_THROWS_WITH(apply_groups({{.pattern = "layers.*"}}, model),
                    Catch::Contains("layers.*") && Catch::Contains("blocks.0.mlp.up.weight"));
  CHECK_THROWS_WITH(apply_groups({{.pattern = "*"}, {.pattern = "head.*"}}, model), Catch::Contains("groups above it"));
  CHECK_THROWS_WITH(apply_groups({{.pattern = "*", .frozen = true}}, model), Catch::Contains("leave some to train"));
}

TEST_CASE("matches: stars take any characters, question marks one") {
  CHECK(matches("*", ""));
  CHECK(matches("a*c", "abbbc"));
  CHECK(matches("a*b*c", "aXbYbc"));
  CHECK(matches("blocks.?.mlp.*", "blocks.3.mlp.up.weight"));
  CHECK(!matches("blocks.?.mlp.*", "blocks.13.mlp.up.weight"));
  CHECK(!matches("", "a"));
  CHECK(!matches("a?", "a"));
  CHECK(!matches("*a", "ab"));
}
