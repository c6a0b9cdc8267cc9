// Frozen tensors change no gradient of the others: bit for bit, whatever is frozen.

#include <catch2/catch.hpp>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

/// Gradients of the first step by tensor, as the norm takes them; frozen tensors have none.
std::map<std::string, std::vector<float>> gradients_of(const TrainerSettings& settings) {
  std::map<std::string, std::vector<float>> gradients;
  const std::vector<UnitSpec> units = build_programs(settings, 0, 1).model.units;
  const auto edit = [&](OpTable& table, int) {
    const Handler square_sum = table.find(OpKind::square_sum);
    table.set(OpKind::square_sum, [&, square_sum](const OpContext& context) {
      const View sums = context.view(Slot::accumulator);
      const UnitSpec& unit = units[static_cast<std::size_t>(*context.op().unit)];
      for (const TensorPart& part : owned_parts(FlatLayout(unit, 1), 0)) {
        const float* first = sums.as<float>() + part.in_slice;
        gradients[unit.tensors[static_cast<std::size_t>(part.tensor)].name].assign(first, first + part.elems);
      }
      square_sum(context);
    });
  };
  train_locally(settings, {.edit_table = edit}, 1);
  return gradients;
}

void check_rest_is_equal(TrainerSettings settings, const std::map<std::string, std::vector<float>>& all,
                         const std::string& pattern) {
  CAPTURE(pattern, settings.model.tied);
  settings.groups = {{.pattern = pattern, .frozen = true}};
  const auto some = gradients_of(settings);
  std::size_t frozen = 0;
  for (const auto& [name, gradient] : all) {
    CAPTURE(name);
    if (matches(pattern, name)) {
      ++frozen;
      CHECK(!some.contains(name));
      continue;
    }
    REQUIRE(some.contains(name));
    const std::vector<float>& got = some.at(name);
    CHECK((got.size() == gradient.size() && std::memcmp(got.data(), gradient.data(), got.size() * sizeof(float)) == 0));
  }
  CHECK(frozen > 0);
  CHECK(some.size() + frozen == all.size());
}

}  // namespace

TEST_CASE("frozen tensors, each alone and many together, change no bit of the other gradients") {
  TrainerSettings settings = odd_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  settings.global_batch = settings.micro_batch = 1;
  settings.model.tied = GENERATE(true, false);
  settings.model.qkv_bias = settings.model.family == Family::llama;
  const auto all = gradients_of(settings);
  for (const auto& [name, gradient] : all)
    if (!name.starts_with("blocks.1.")) check_rest_is_equal(settings, all, name);
  for (const char* pattern :
       {"*.norm.*", "*.weight", "blocks.*", "*.attention.*", "embedding.*", "head.*", "*.mlp.????.*"})
    check_rest_is_equal(settings, all, pattern);
}
