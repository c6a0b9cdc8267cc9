#include "launch/train/run_end.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/agreement.h"
#include "launch/launcher_output.h"
#include "launch/plan/process_memory.h"
#include "launch/train/over_ranks.h"
#include "launch/train/profile.h"
#include "launch/train/sample_text.h"
#include "launch/train/write_trace.h"
#include "runtime/base/log.h"

namespace trireme {
namespace {

// For looking, on this rank alone: it cannot end a run whose results are there.
void look(const char* what, const std::function<void()>& task) {
  if (const std::optional<Error> error = error_of(task))
    warn(fmt::format("{} of rank 0: {}; the run goes on without it", what, error->what()));
}

// Whether standard output took them; else they are on standard error.
bool say_results(const Run& run, Trainer& trainer) {
  const std::uint64_t weights = hash_over_ranks(trainer.runner(), trainer.results().hash_weights());
  const std::uint64_t state = hash_over_ranks(trainer.runner(), trainer.results().hash_states());
  if (!run.speaks()) return true;
  const std::string results = fmt::format("weights=xxh3:{:016x}\nstate=xxh3:{:016x}", weights, state);
  const Bytes said_before = launcher_output_bytes();
  if (!say_result(results)) return false;
  const std::string failure = launcher_output_failure(results, said_before);
  if (failure.empty()) return true;
  warn(fmt::format("standard output of mpirun cannot be written: {}; the run ended with\n{}", failure, results));
  return false;
}

// An export that all ranks know to have failed leaves what is for looking to be said before the run ends with its
// error.
std::optional<AgreedError> write_export(const Run& run, RunStart& start, Trainer& trainer) {
  if (!start.model_export) return std::nullopt;
  try {
    start.model_export->write(trainer.runner());
  } catch (const AgreedError& error) {
    return error;
  }
  if (run.speaks()) say(fmt::format("export: {}, {} bytes", run.options.model_out.folder, start.model_export->bytes()));
  return std::nullopt;
}

void continue_sample(const Run& run, Trainer& trainer) {
  if (run.options.sample.empty()) return;
  std::vector<int> tokens;
  for (const char c : run.options.sample) tokens.push_back(static_cast<unsigned char>(c));
  const auto window = static_cast<std::size_t>(run.inputs.config.train.sequence);
  for (int i = 0; i < run.options.sample_tokens; ++i) {
    // The last tokens that fit: the whole context for each token.
    const std::span<const int> all(tokens);
    tokens.push_back(trainer.choose_next(all.last(std::min(window, all.size()))));
  }
  if (run.speaks()) say(print_sample(tokens));
}

void say_memory(const Run& run, const RunStart& start, ProgramRunner& runner) {
  const std::vector<RankMemory> memory = memory_over_ranks(runner, {.node_first_rank = run.mpi.node_first_rank(),
                                                                    .node = run.mpi.node_name(),
                                                                    .planned_bytes = start.plan.process_bytes,
                                                                    .measured_bytes = peak_process_bytes()});
  const std::vector<RankWire> wire = wire_over_ranks(runner);
  if (run.speaks()) say(print_memory(memory) + "\n" + print_wire(wire));
}

void say_looks(const Run& run, const RunStart& start, RunLoop& loop) {
  Trainer& trainer = loop.trainer();
  const std::string trace = start.log_folder ? start.log_folder->trace_path() : "";
  if (!trace.empty() && run.inputs.config.train.steps > 0)
    look("trace", [&] { write_trace(trace, trainer.runner(), start.rank_peak_flops()); });
  if (loop.profiles()) {
    trainer.runner().finish();
    look("profile", [&] {
      say(print_profile(trainer.runner().schedule(ScheduleKind::step), trainer.runner().programs().model, loop.times(),
                        start.rank_peak_flops()));
    });
  }
  continue_sample(run, trainer);
  say_memory(run, start, trainer.runner());
}

}  // namespace

void end_run(const Run& run, RunStart& start, RunLoop& loop) {
  Trainer& trainer = loop.trainer();
  // What the run was made for comes first. Nothing that is for looking can take it away any more.
  const bool said_results = say_results(run, trainer);
  const std::optional<AgreedError> no_export = write_export(run, start, trainer);
  const int steps = run.inputs.config.train.steps, valid_every = run.inputs.config.train.valid_every;
  const bool was_validated = steps > 0 && valid_every > 0 && steps % valid_every == 0;
  if (run.inputs.valid && !was_validated) loop.validate(std::max(steps - 1, 0));
  say_looks(run, start, loop);
  trainer.runner().close();
  if (no_export) throw *no_export;
  together(trainer.runner(), [&] {
    require(said_results, ErrorKind::data,
            "standard output could not be written: what the run said there is lost, but for the lines weights= and "
            "state=, which are on standard error; free space or choose another place");
  });
}

}  // namespace trireme
