// Audits: a flip in a rank's gradients that its replays do not show is found, and the rank and the unit are named.

#include "launch/train/audit_report.h"

#include <catch2/catch.hpp>

#include "tests/support/local_run.h"
#include "tests/support/random_cases.h"

using namespace trireme;
using namespace trireme::test;

namespace {

TrainerSettings audited(Family family) {
  TrainerSettings settings = tiny_settings(family, DType::bf16, DType::bf16);
  settings.spec.audit = true;
  return settings;
}

/// Flips a bit of what `unit`'s backward leaves on rank `faulty`, but not in replays.
std::function<void(OpTable&, int)> flip(int faulty, int unit, int sum_group = 1) {
  return [=](OpTable& table, int rank) {
    if (rank != faulty) return;
    const Handler backward = table.find(OpKind::backward);
    table.set(OpKind::backward, [=](const OpContext& context) {
      backward(context);
      const Op& op = context.op();
      if (*op.unit != unit || *op.segment != 0 || *op.microbatch / sum_group % context.schedule.world != faulty) return;
      static_cast<unsigned char*>(context.view(Slot::gradient).data)[3] ^= 1;
    });
  };
}

}  // namespace

TEST_CASE("audit: it finds nothing where nothing is wrong, and changes no bit, in any layout") {
  TrainerSettings settings = audited(GENERATE(Family::gpt2, Family::llama));
  const LocalResult expected =
      train_locally(tiny_settings(settings.model.family, DType::bf16, DType::bf16), {.ranks = 1}, 3);
  for (const int ranks : {1, 2, 3, 5, 15}) {
    if (is_sanitized && ranks > 2) continue;
    const int zero = ranks % 4;
    CAPTURE(ranks, zero);
    settings.spec.zero = zero;
    settings.spec.prefetch = ranks % 4;
    settings.spec.recompute = static_cast<Recompute>(ranks % 4);
    const LocalResult got = train_locally(settings, {.ranks = ranks, .audit_every = 2}, 3);
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
    CHECK(got.audits.size() == static_cast<std::size_t>(std::min(ranks, 13)));
    CHECK(!audit_verdict(got.audits));
  }
}

TEST_CASE("audit: from three ranks on it names the rank whose gradients flip, and the unit") {
  TrainerSettings settings = audited(GENERATE(Family::gpt2, Family::llama));
  settings.spec.sum_group = GENERATE(1, 2);
  settings.global_batch = 2 * 10;  // so that groups of two are whole on up to five ranks
  for (const int ranks : {3, is_sanitized ? 3 : 5})
    for (const int faulty : {0, ranks - 1}) {
      CAPTURE(ranks, faulty, settings.spec.sum_group);
      const LocalResult got = train_locally(
          settings, {.ranks = ranks, .edit_table = flip(faulty, 2, settings.spec.sum_group), .audit_every = 1}, 1);
      const std::optional<std::string> verdict = audit_verdict(got.audits);
      REQUIRE(verdict.has_value());
      CAPTURE(*verdict);
      CHECK(verdict->find(fmt::format("rank {} is to blame", faulty)) != std::string::npos);
      CHECK(verdict->find("block1 by rank") != std::string::npos);
    }
}

TEST_CASE("audit: of two ranks both are named, and a lone rank finds its own flip") {
  const TrainerSettings settings = audited(Family::llama);
  for (const int ranks : {1, 2}) {
    const LocalResult got =
        train_locally(settings, {.ranks = ranks, .edit_table = flip(ranks - 1, 1), .audit_every = 1}, 1);
    // A lone rank's replay flips, too: its microbatch is the same. Then there is nothing to find.
    const std::optional<std::string> verdict = audit_verdict(got.audits);
    CHECK(verdict.has_value() == (ranks == 2));
    if (verdict) CHECK(*verdict == "gradients of block0 by rank 1 differ from their replay by rank 0");
  }
}

TEST_CASE("audit_verdict: a rank in two mismatches is named; one mismatch alone blames whose gradient it was") {
  const std::string none, unit = "block3";
  CHECK(!audit_verdict(std::vector<std::string>{none, none}));
  CHECK(audit_verdict(std::vector<std::string>{none, unit, none})->find("rank 2 is to blame") != std::string::npos);
  CHECK(audit_verdict(std::vector<std::string>{unit, unit, none})->find("rank 1 is in two mismatches") !=
        std::string::npos);
  CHECK(audit_verdict(std::vector<std::string>{unit, none, unit})->find("rank 0 is in two mismatches") !=
        std::string::npos);
  CHECK(audit_verdict(std::vector<std::string>{unit, none})->find("blame") == std::string::npos);
}
