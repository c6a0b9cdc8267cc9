#include "launch/plan/remainder.h"

#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include "launch/plan/plan_report.h"
#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

RankPrograms programs_of(int layers, int ranks, bool messages) {
  TrainerSettings settings = tiny_settings(Family::gpt2, DType::bf16, DType::bf16);
  settings.model.layers = layers;
  settings.spec.nodes.ranks_per_node = messages ? 1 : 0;
  return build_programs(settings, 0, ranks);
}

}  // namespace

TEST_CASE("remainder_of: its parts are its total, and each grows with what it is for") {
  const Remainder two = remainder_of(programs_of(2, 2, true), 2, 1);
  Bytes sum = 0;
  for (const Remainder::Part& part : two.parts()) sum += part.bytes;
  CHECK(sum == two.total());

  const Remainder eight = remainder_of(programs_of(2, 8, true), 8, 1);
  CHECK(eight.process < two.process);  // pages of code count once for all ranks of a node
  CHECK(eight.mpi < two.mpi);
  CHECK(eight.messages > two.messages);
  CHECK(remainder_of(programs_of(2, 2, false), 2, 1).messages == 0);
  CHECK(remainder_of(programs_of(2, 1, true), 1, 1).messages == 0);
  CHECK(remainder_of(programs_of(40, 2, true), 2, 1).programs > 5 * two.programs);
  CHECK(remainder_of(programs_of(2, 2, true), 2, 4).threads == 3 * remainder_of(programs_of(2, 2, true), 2, 2).threads);
  CHECK(two.threads == 0);
}

TEST_CASE("print_plan_json: the remainder's parts sum to remainder_bytes, peaks and remainders to the node") {
  const TrainerSettings settings = tiny_settings(Family::gpt2, DType::bf16, DType::bf16);
  const std::vector<RankPlan> plans = plan_ranks(settings, 5, 5);
  const nlohmann::json json = nlohmann::json::parse(print_plan_json(plans, 5));
  Bytes node = 0;
  for (const nlohmann::json& rank : json["ranks"]) {
    Bytes parts = 0;
    for (const auto& [name, bytes] : rank["remainder"].items()) parts += bytes.get<Bytes>();
    CHECK(parts == rank["remainder_bytes"].get<Bytes>());
    node += rank["count"].get<int>() * (rank["peak_bytes"].get<Bytes>() + parts);
  }
  CHECK(json["host_bytes_per_node"].get<Bytes>() == node);
  CHECK(print_plan(plans, 5).find("programs") != std::string::npos);
}

TEST_CASE("print_plan_json: of each class of ranks the training state by kind and the wire of a step") {
  TrainerSettings settings = tiny_settings(Family::gpt2, DType::bf16, DType::bf16);
  for (settings.spec.zero = 0; settings.spec.zero <= 3; ++settings.spec.zero) {
    CAPTURE(settings.spec.zero);
    const std::vector<RankPlan> plans = plan_ranks(settings, 3, 3);
    const nlohmann::json json = nlohmann::json::parse(print_plan_json(plans, 3));
    REQUIRE(json["ranks"].size() == plans.size());
    for (std::size_t i = 0; i < plans.size(); ++i) {
      const nlohmann::json &rank = json["ranks"][i], states = rank["states"], wire = rank["wire"];
      const auto bytes = [&](const char* kind) { return states[kind].get<Bytes>(); };
      CHECK(bytes("parameters") + bytes("masters") + bytes("optimizer") == rank["states_bytes"].get<Bytes>());
      CHECK(bytes("optimizer") == 2 * bytes("masters"));
      CHECK((bytes("gradients") > 0) == (settings.spec.zero <= 1));
      CHECK(bytes("sums") == plans[i].states.sums);
      CHECK(wire["gathers_bytes"].get<Bytes>() == plans[i].wire.gathers.total());
      CHECK(wire["reduces_bytes"].get<Bytes>() == plans[i].wire.reduces.total());
      const std::string text = fmt::format("gathers {} bytes, reduces {} bytes", plans[i].wire.gathers.total(),
                                           plans[i].wire.reduces.total());
      CHECK(print_plan(plans, 3).find(text) != std::string::npos);
    }
  }
}
