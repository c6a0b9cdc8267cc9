// The one binary: a function for each verb, and the one place where errors end.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>

#include "comm/agreement.h"
#include "comm/bootstrap.h"
#include "launch/command_line.h"
#include "launch/config/config.h"
#include "launch/config/config_limits.h"
#include "launch/config/notices.h"
#include "launch/config/settings.h"
#include "launch/data/data.h"
#include "launch/data/token_file.h"
#include "launch/doctor.h"
#include "launch/launcher.h"
#include "launch/plan/memory_limit.h"
#include "launch/plan/plan_report.h"
#include "launch/plan/process_limits.h"
#include "launch/plan/process_memory.h"
#include "launch/plan/rank_plan.h"
#include "launch/train/train.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/memory_refusal.h"
#include "runtime/base/system_call.h"
#include "runtime/base/unfetched_file.h"
#include "runtime/kernels/cpu/isa.h"
#include "runtime/schedule/text/text.h"
#include "shard/passes/pass_list.h"

namespace trireme {
namespace {

TrainerSettings settings_of(const Command& command) {
  Config config = load_config(command.train.config_path, command.train.overrides);
  for (const std::string& notice : notices(config)) fmt::print(stderr, "{}\n", notice);
  if (!command.device_memory.empty()) config.memory.device = command.device_memory;
  check_plannable(config, command.ranks);
  require(!config.parallel.node_shard || command.ranks % command.ranks_on_node() == 0, ErrorKind::config,
          "parallel.node_shard on {} ranks with --ranks-per-node {}: nodes must be equal; use a divisor of the number "
          "of ranks",
          command.ranks, command.ranks_on_node());
  return trainer_settings(config, command.ranks_on_node());
}

void require_ranks(const Command& command) {
  require(command.ranks >= 1 && command.ranks <= largest_ranks, ErrorKind::config,
          "--ranks {}: it must be at least 1 and at "
          "most {}",
          command.ranks, largest_ranks);
  require(command.rank >= 0 && command.rank < command.ranks, ErrorKind::config, "--rank {}: ranks are 0 to {}",
          command.rank, command.ranks - 1);
  require(command.ranks_per_node >= 0, ErrorKind::config, "--ranks-per-node {}: it must be at least 1",
          command.ranks_per_node);
  require(command.ranks_per_node <= command.ranks, ErrorKind::config,
          "--ranks-per-node {}: the run has only --ranks {}; give "
          "more ranks or leave it out",
          command.ranks_per_node, command.ranks);
}

// Standard output may be a full disk.
void print_out(const std::string& text) {
  const SystemCall put(write_out(text) ? 0 : -1);
  require(put.succeeded(), ErrorKind::data, "standard output cannot be written: {}{}", put.reason(),
          put.place_advice());
}

void plan(const Command& command) {
  require_ranks(command);
  const int on_node = command.ranks_on_node();
  const TrainerSettings settings = settings_of(command);
  const MemoryLimits limits{.arena_bytes = settings.device_memory, .heap_bytes = building_limit_bytes(1)};
  std::vector<RankPlan> plans;
  try {
    plans = plan_ranks(settings, command.ranks, on_node, limits);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::plan) throw;
    throw Error(ErrorKind::plan,
                fmt::format("{}; {}", error.what(), fitting_change(settings, command.ranks, on_node, limits)),
                error.where());
  }
  print_out(command.json ? print_plan_json(plans, on_node) : print_plan(plans, on_node));
}

const Schedule& find_schedule(const RunPrograms& run, const Command& command) {
  const Schedule* found = run.find(parse_schedule_kind(command.schedule));
  require(found != nullptr, ErrorKind::config,
          "this run has no schedule '{}'; it has init (or load, with model.hf), enter (with "
          "prefetch), step, step_with_audit (with train.audit), diagnose, sample, "
          "and validate (with data.valid)",
          command.schedule);
  return *found;
}

// What passes up to --after have made of a schedule: without places, and nothing to prove yet.
void unfinished_schedule(const Command& command, const TrainerSettings& settings) {
  passes_up_to(command.after);
  RankPrograms programs;
  build_within(building_limit_bytes(1),
               [&] { programs = build_programs(settings, command.rank, command.ranks, command.after); });
  print_out(print(find_schedule(programs.run, command)));
}

void schedule(const Command& command) {
  require_ranks(command);
  parse_schedule_kind(command.schedule);
  const TrainerSettings settings = settings_of(command);
  if (!command.after.empty()) return unfinished_schedule(command, settings);
  const Bytes limit = building_limit_bytes(1);
  build_within(limit, [&] { prove_programs(settings, command.ranks); });
  PlannedPrograms planned;
  build_within(limit, [&] { planned = plan_programs(settings, command.rank, command.ranks); });
  print_out(print(find_schedule(planned.programs.run, command)));
}

void tokenize(const Command& command) {
  require(command.tokenizer == "byte", ErrorKind::config, "--tokenizer {}: this version has byte", command.tokenizer);
  write_token_file(command.output, command.texts);
  for (const std::string& text : command.texts)
    if (has_byte_order_mark(TokenFile(text))) fmt::print(stderr, "notice: {} {}\n", text, byte_order_note);
  print_out(fmt::format("{}: {} tokens\n", command.output, TokenFile(command.output).tokens()));
}

void checkpoint_export(const Command& command) {
  require(command.export_format == "hf", ErrorKind::config, "--format {}: this version has hf", command.export_format);
  require(!command.model_folder.empty() && is_there(command.model_folder + "/config.json"), ErrorKind::config,
          "{}: it has no config.json; this version exports from Hugging Face model folders", command.model_folder);
  export_folder(command.model_folder, command.train.model_out);
  print_out(fmt::format("{}: written\n", command.train.model_out.folder));
}

void doctor(MpiRun& mpi) {
  const std::unique_ptr<Communicator> communicator = mpi.make_communicator({});
  int sharing = 0;
  const int own = communicator->node_of(mpi.rank());
  for (int rank = 0; rank < mpi.size(); ++rank) sharing += communicator->node_of(rank) == own;
  const std::string found = fmt::format("{} ranks, {} on node {}", mpi.size(), mpi.node_size(), mpi.node_name());
  const std::string report = doctor_report({.mpi = found, .on_node = mpi.node_size(), .sharing = sharing});
  if (mpi.rank() == 0) print_out(report);
}

/// Who started this process: asked before MPI starts, which sets variables of its own.
const std::optional<Launch>& launched() {
  static const std::optional<Launch> launch = find_launch([](const char* name) { return std::getenv(name); });
  return launch;
}

int launched_rank() { return launched() ? launched()->rank : 0; }

// Asked for under mpirun, too.
void help(const Command& command) {
  if (launched_rank() == 0) print_out(command.help);
}

bool mpi_begun = false;
bool needs_no_ranks = false;  // a command of one process: others that mpirun started may have ended well, without MPI

// Ranks that cannot reach each other: one of them speaks, and the others leave it the time to and the launcher to end
// them.
constexpr std::chrono::seconds patience{3};

/// Commands that run on all ranks start MPI first, so that what fails on one rank ends all.
int run_on_all_ranks(int argc, char** argv, const std::function<void(MpiRun&)>& body) {
  mpi_begun = true;
  std::signal(SIGPIPE, SIG_IGN);  // whoever read along may go: the run does not
  const std::optional<Launch>& launch = launched();
  require_room(mpi_start_room(), "the start of MPI");
  int code = 0;
  run_over_mpi(&argc, &argv, {.launched_rank = launched_rank()}, [&](MpiRun& mpi) {
    const std::optional<std::string> refusal = launch_refusal(launch, mpi.size(), mpi_library());
    if (!refusal) return body(mpi);
    if (mpi.size() > 1) throw AgreedError(ErrorKind::comm, *refusal);
    if (launch->rank == (launch->size > 0 ? 0 : 1)) throw Error(ErrorKind::comm, *refusal);
    std::this_thread::sleep_for(patience);
    code = exit_code(ErrorKind::comm);
  });
  return code;
}

/// The end of a process that has no MPI to say it with.
int end_alone(const Error& error) {
  if (launched_rank() > 0 && !launched()->open_mpi) return exit_code(error.kind());  // the first says it
  // Of Open MPI's ranks any may be the only one, and the first to give up ends all.
  if (launched_rank() > 0) std::this_thread::sleep_for(patience);
  std::fputs(fmt::format("trireme: {}: {}\n", name(error.kind()), error.what()).c_str(), stderr);
  return exit_code(error.kind());
}

/// An error from before MPI. Under mpirun that of a command for ranks is told as those of `train` are, by the same
/// first calls: once, also where some ranks have it and others went on.
int end_with(int argc, char** argv, const Error& error) {
  if (!launched() || !launched()->open_mpi || mpi_begun || needs_no_ranks) return end_alone(error);
  try {
    return run_on_all_ranks(argc, argv,
                            [&](MpiRun& mpi) { agree_on_success(*mpi.make_communicator({.share = false}), &error); });
  } catch (const Error& none_either) {
    return end_alone(none_either);
  }
}

int run_command(int argc, char** argv) {
  const Command command = parse_command(argc, argv);
  needs_no_ranks = command.verb != Verb::train && command.verb != Verb::doctor;
  switch (command.verb) {
    case Verb::help: help(command); break;
    case Verb::train: return run_on_all_ranks(argc, argv, [&](MpiRun& mpi) { train(mpi, command.train); });
    case Verb::plan: plan(command); break;
    case Verb::schedule: schedule(command); break;
    case Verb::tokenize: tokenize(command); break;
    case Verb::checkpoint_export: checkpoint_export(command); break;
    case Verb::doctor: return run_on_all_ranks(argc, argv, doctor);
  }
  return 0;
}

// A closed standard stream stays one that cannot be used: its number would go to the next file opened, a log or an
// export, and what is said would go into it.
void keep_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(stream, F_GETFD) == -1 && errno == EBADF) {
      [[maybe_unused]] const int opened = ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

// For tests: a slower instruction set than this CPU's best, which must not change a bit.
void select_instruction_set() {
  if (const char* isa = std::getenv("TRIREME_ISA")) cpu::select_isa(cpu::parse_isa(isa));
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  // A write past `ulimit -f` is then an error like a full disk, with a message.
  std::signal(SIGXFSZ, SIG_IGN);
  trireme::return_large_blocks();
  using namespace trireme;
  keep_standard_streams();
  bound_heaps();
  try {
    select_instruction_set();
    return run_command(argc, argv);
  } catch (const std::exception& error) {
    return end_with(argc, argv, as_error(error));
  }
}
