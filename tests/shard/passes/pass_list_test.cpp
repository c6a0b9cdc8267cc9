#include "shard/passes/pass_list.h"

#include <map>

#include "runtime/base/error.h"
#include "shard/build_step.h"
#include "tests/shard/passes/pass_case.h"

using namespace trireme;
using namespace trireme::test;
using enum ScheduleKind;

namespace {

constexpr std::uint32_t cases = 25;
constexpr std::initializer_list<ScheduleKind> all_kinds = {init,     load,     step,  step_with_audit,
                                                           diagnose, validate, sample};

const std::vector<std::string> names = {"zero_stage",      "node_shard",   "recompute",    "add_checks",   "prefetch",
                                        "bound_gradients", "strip_absent", "add_boundary", "derive_events"};

// Whether a pass has something to do with a program, as shard/README.md has it.
bool concerns(std::string_view pass, const StepSpec& spec, ScheduleKind kind) {
  const bool has_backward = kind == step || kind == step_with_audit || kind == diagnose;
  const bool gathers = kind != init && kind != load;
  if (pass == "zero_stage") return spec.zero < 3;
  if (pass == "node_shard") return spec.zero == 3 && spec.node_ranks > 0;
  if (pass == "recompute") return has_backward && spec.recompute != Recompute::none;
  if (pass == "add_checks") return kind == diagnose;
  if (pass == "prefetch") return gathers && spec.zero == 3;
  if (pass == "bound_gradients") return has_backward;
  return true;
}

Schedule run_one(const PassCase& c, std::size_t pass, ScheduleKind kind) {
  const StepSpec spec = c.spec_of(kind);
  return passes()[pass].run(c.run(kind, pass), {c.model, spec, c.carried_uses()});
}

}  // namespace

TEST_CASE("passes: they have these names, in this order") {
  std::vector<std::string> is;
  for (const Pass& pass : passes()) is.emplace_back(pass.name);
  CHECK(is == names);
}

TEST_CASE("passes_up_to: counts the passes up to a name; none for the order that they start from") {
  CHECK(passes_up_to("compute_order") == 0);
  for (std::size_t n = 0; n < names.size(); ++n) CHECK(passes_up_to(names[n]) == n + 1);
  CHECK(passes_before_enter() == passes_up_to("prefetch"));
}

TEST_CASE("passes_up_to: a name that is none is a configuration error, which lists those that there are, in order") {
  for (const char* unknown : {"", "Prefetch", "prefetch ", "derive_event", "everything"}) {
    CAPTURE(unknown);
    try {
      passes_up_to(unknown);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      const std::string message = error.what();
      CHECK(message.find("'" + std::string(unknown) + "'") != std::string::npos);
      std::size_t at = message.find("compute_order");
      REQUIRE(at != std::string::npos);
      for (const std::string& name : names) {
        at = message.find(name, at);
        REQUIRE(at != std::string::npos);
      }
    }
  }
}

TEST_CASE("passes: each leaves a schedule that it has nothing to do with as it is") {
  std::size_t left_alone = 0;
  for_cases(cases, all_kinds, {}, [&](const PassCase& c, ScheduleKind kind) {
    for (std::size_t n = 0; n < names.size(); ++n) {
      if (concerns(names[n], c.spec, kind)) continue;
      CAPTURE(names[n]);
      ++left_alone;
      CHECK(run_one(c, n, kind) == c.run(kind, n));
    }
  });
  CHECK(left_alone > cases);
}

TEST_CASE("passes: each changes programs of every kind that it has something to do with") {
  std::map<std::pair<std::string, ScheduleKind>, bool> changes;
  for (std::uint32_t seed = 0; seed < cases; ++seed)
    for (const ScheduleKind kind : all_kinds) {
      const PassCase c(seed, [](StepSpec& spec) { spec.audit = true; });
      for (std::size_t n = 0; n < names.size(); ++n) {
        if (!concerns(names[n], c.spec, kind)) continue;
        bool& changed = changes[{names[n], kind}];
        changed = changed || run_one(c, n, kind) != c.run(kind, n);
      }
    }
  for (const auto& [what, changed] : changes) {
    CAPTURE(what.first, name(what.second));
    CHECK(changed);
  }
}

TEST_CASE("run_passes: in two parts, cut anywhere, they make what they make in one") {
  for_cases(cases, all_kinds, {}, [](const PassCase& c, ScheduleKind kind) {
    const StepSpec spec = c.spec_of(kind);
    const PassInput input{c.model, spec, c.carried_uses()};
    const Schedule ordered = order(kind, c.model, spec), whole = run_passes(ordered, input, 0, names.size());
    for (std::size_t cut = 0; cut <= names.size(); ++cut)
      CHECK(run_passes(run_passes(ordered, input, 0, cut), input, cut, names.size()) == whole);
    CHECK(run_passes(ordered, input, 0, 0) == ordered);
  });
}

TEST_CASE("build_run: with `after` each program is what the passes up to that one make; without, what all make") {
  for (std::uint32_t seed = 0; seed < random_cases(10); ++seed) {
    const PassCase c(seed);
    for (std::size_t n = 0; n <= names.size(); ++n) {
      const std::string after = n == 0 ? "compute_order" : names[n - 1];
      CAPTURE(seed, after);
      const Programs programs{.validate = true, .sample = true, .diagnose = true, .after = after};
      const RunPrograms run = build_run(c.model, c.spec, programs, &c.model);
      CHECK((run.find(step_with_audit) != nullptr) == c.spec.audit);
      for (const ScheduleKind kind : {init, step, step_with_audit, diagnose, validate, sample})
        if (const Schedule* const program = run.find(kind))
          CHECK(*program == c.run(kind, n));
        else
          CHECK(kind == step_with_audit);
      const bool carries = n >= passes_before_enter() && !c.run_enter(passes_before_enter()).ops.empty();
      REQUIRE((run.find(enter) != nullptr) == carries);
      if (carries) CHECK(*run.find(enter) == c.run_enter(n));
    }
    CAPTURE(seed);
    CHECK(build_run(c.model, c.spec, {}).schedules == build_run(c.model, c.spec, {.after = names.back()}).schedules);
  }
}
