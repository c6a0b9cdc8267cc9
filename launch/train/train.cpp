#include "launch/train/train.h"

#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <type_traits>

#include "comm/agreement.h"
#include "comm/status_observer.h"
#include "launch/build_id.h"
#include "launch/config/config_limits.h"
#include "launch/config/notices.h"
#include "launch/config/settings.h"
#include "launch/data/data.h"
#include "launch/launcher_output.h"
#include "launch/plan/memory_limit.h"
#include "launch/plan/memory_report.h"
#include "launch/plan/process_limits.h"
#include "launch/plan/process_memory.h"
#include "launch/plan/rank_plan.h"
#include "launch/plan/remainder.h"
#include "launch/train/log_folder.h"
#include "launch/train/profile.h"
#include "launch/train/run_end.h"
#include "launch/train/sample_text.h"
#include "launch/train/step_clock.h"
#include "launch/train/step_guard.h"
#include "launch/train/step_log.h"
#include "launch/train/trainer.h"
#include "models/describe.h"
#include "runtime/base/log.h"
#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/register_peak.h"
#include "runtime/schedule/op_kinds.h"
#include "runtime/schedule/trace.h"
#include "shard/state_hash.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

/// Everything that a run needs before its first step, the same on all ranks.
struct Inputs {
  Config config;
  std::shared_ptr<const hf::ModelFolder> folder;  // null: weights from the seed
  TokenStream train;
  std::optional<TokenStream> valid;
};

// It acts in training alone: where no step is made, nobody misses it.
void check_dropout(const hf::ModelFolder& folder, const Config& config) {
  require(folder.dropout.empty() || config.dropout == "ignore" || config.train.steps == 0, ErrorKind::config,
          "{}/config.json: {}: training here has no dropout; set model.dropout = \"ignore\" to train without it, or all "
          "of these keys to 0.0 in config.json",
          config.model_folder, folder.dropout);
}

Inputs read_inputs(const TrainOptions& options) {
  Config config = load_config(options.config_path, options.overrides);
  require(options.sample.empty() || config.model.vocab >= 256, ErrorKind::config,
          "--sample with model.vocab = {}: its text is read as bytes, which needs at least 256; leave --sample out",
          config.model.vocab);
  require(
      options.sample.empty() || config.data.tokenizer == "byte", ErrorKind::config,
      "--sample with data.tokenizer = '{}': its text would be read as bytes; give data.tokenizer = \"byte\", or leave "
      "--sample out",
      config.data.tokenizer);
  std::shared_ptr<const hf::ModelFolder> folder;
  if (!config.model_folder.empty()) folder = std::make_shared<const hf::ModelFolder>(config.model_folder);
  if (folder) check_dropout(*folder, config);
  std::optional<int> end_of_document;
  if (config.data.documents) end_of_document = config.data.end_of_document;
  TokenStream train(config.data.train, config.train.sequence, config.model.vocab, end_of_document);
  std::optional<TokenStream> valid;
  if (!config.data.valid.empty()) valid.emplace(config.data.valid, config.train.sequence, config.model.vocab, end_of_document);
  require(!valid || valid->has_targets(), ErrorKind::data,
          "no token of data.valid counts as a target; look at its mask files, or leave data.valid out");
  return {std::move(config), std::move(folder), std::move(train), std::move(valid)};
}

// Every collective of a program with all that ranks must have in common, a line each.
void print_collectives(const Schedule& schedule, const std::function<void(const std::string&)>& use) {
  for (OpId id = 0; id < static_cast<OpId>(schedule.ops.size()); ++id) {
    const Op& op = schedule.ops[static_cast<std::size_t>(id)];
    if (!is_collective(op.kind)) continue;
    std::string line = fmt::format("{} {} group {} unit {} range {}+{}/{} bytes {} from", name(schedule.kind), name(op.kind),
                                   name(op.group), op.unit.value_or(-1), op.range.begin, op.range.elems, op.range.slice_elems,
                                   op.bytes);
    const std::vector<Contribution>& from = schedule.from_lists[static_cast<std::size_t>(*op.from)];
    if (op.group == Group::node) {  // other ranks on every node
      use(line + fmt::format(" {} ranks\n", from.size()));
      continue;
    }
    for (const Contribution& c : from) line += fmt::format(" {}:{}", c.rank, c.microbatch.value_or(-1));
    use(line + fmt::format(" to {}\n", fmt::join(schedule.to_lists[static_cast<std::size_t>(*op.to)], ",")));
  }
}

// The lines themselves, megabytes of them, are made only where ranks differ.
void agree_on_collectives(Communicator& communicator, const RunPrograms& run) {
  std::uint64_t hash = 0;
  for (const Schedule& schedule : run.schedules)
    print_collectives(schedule, [&](const std::string& line) { hash = XXH3_64bits_withSeed(line.data(), line.size(), hash); });
  const std::vector<std::string> hashes = all_gather(communicator, fmt::format("{:016x}", hash));
  if (std::all_of(hashes.begin(), hashes.end(), [&](const std::string& other) { return other == hashes.front(); })) return;
  std::string lines;
  for (const Schedule& schedule : run.schedules) print_collectives(schedule, [&](const std::string& line) { lines += line; });
  agree(communicator, "the collectives", lines);
}

// For looking, on this rank alone: it cannot end a run whose results are there.
void look(const char* what, const std::function<void()>& task) {
  if (const std::optional<Error> error = error_of(task))
    warn(fmt::format("{} of rank 0: {}; the run goes on without it", what, error->what()));
}

class Training {
 public:
  Training(MpiRun& mpi, const TrainOptions& options, Inputs inputs, Communicator& communicator);

  void run();

 private:
  bool speaks() const { return mpi_.rank() == 0; }
  bool profiles() const { return speaks() && inputs_.config.log.profile; }
  std::unique_ptr<LogFolder> hold_log_folder() const;
  void say_start() const;
  void check_equal_nodes();
  Bytes node_sum(Bytes own_bytes);
  void plan_programs_together();
  void check_memory();
  [[noreturn]] void refuse_memory(const Error& error, const MemoryLimits& limits);
  void check_process_limits();
  int sharing_peers() const;
  std::unique_ptr<Device> make_device() const;
  void step(std::int64_t step);
  [[noreturn]] void stop_together(ErrorKind kind, const std::string& message);
  void check_audit(std::int64_t step);
  void on_bad_step(std::int64_t step, const StepReport& report);
  void log_step(std::int64_t step, const StepReport& report, double step_ms);
  void validate(std::int64_t step);
  void say_results();
  std::optional<AgreedError> write_export();
  void say_looks();
  void say_profile();
  void continue_sample();
  void say_memory();

  MpiRun& mpi_;
  const TrainOptions& options_;
  Inputs inputs_;
  Communicator& communicator_;
  TrainerSettings settings_;
  LrSchedule lr_;
  double peak_flops_ = 0;
  std::optional<PlannedPrograms> planned_;  // until the trainer takes them
  Bytes arena_bytes_ = 0, building_bytes_ = 0, planned_bytes_ = 0;  // of this rank's process
  std::optional<ModelExport> export_;
  StatusObserver observer_;
  StepClock clock_;
  int skipped_ = 0;     // steps
  double skew_us_ = 0;  // of the steps that the clock counts
  std::unique_ptr<LogFolder> log_folder_;  // of the rank that speaks, as log_
  std::unique_ptr<StepLog> log_;
  bool said_results_ = true;
  std::unique_ptr<Trainer> trainer_;
};

Training::Training(MpiRun& mpi, const TrainOptions& options, Inputs inputs, Communicator& communicator)
    : mpi_(mpi), options_(options), inputs_(std::move(inputs)), communicator_(communicator),
      settings_(trainer_settings(inputs_.config, mpi.node_size())), lr_(lr_schedule(inputs_.config)),
      observer_(mpi.page()) {
  settings_.folder = inputs_.folder;
  for (int rank = 0; rank < mpi.size(); ++rank) settings_.spec.nodes.node_of.push_back(communicator.node_of(rank));
  if (inputs_.config.parallel.node_shard && inputs_.config.parallel.ranks_per_node == 0) check_equal_nodes();
  // A log folder that an export could not replace at the end is there before the export looks at its place.
  log_folder_ = on_all_ranks(communicator_, [&] { return hold_log_folder(); });
  if (!options.model_out.folder.empty())
    export_.emplace(options.model_out, inputs_.config.model, inputs_.folder, communicator);
  peak_flops_ = cpu::register_peak_flops(settings_.spec.compute, settings_.products);
  plan_programs_together();
  check_memory();
  check_process_limits();
  if (export_) export_->take_room(communicator_);
  if (speaks()) say_start();
  const Config& config = inputs_.config;
  const DataOrder order{.shuffled = config.data.order == "shuffled", .seed = settings_.seed,
                        .global_batch = settings_.global_batch, .micro_batch = settings_.micro_batch};
  const auto train = [this, order](std::int64_t step, int microbatch, Batch batch) {
    fill_training(inputs_.train, order, step, microbatch, batch);
  };
  const auto valid = [this](std::int64_t, int microbatch, Batch batch) {
    fill_validation(*inputs_.valid, settings_.micro_batch, microbatch, batch);
  };
  std::vector<OpObserver*> observers = {&observer_};
  if (profiles()) observers.push_back(&clock_);
  const auto start = Clock::now();
  trainer_ = std::make_unique<Trainer>(settings_, std::move(*planned_), communicator, train, valid, make_device(), observers);
  planned_.reset();
  trainer_->on_comm_stream([](Communicator& ranks) { ranks.barrier(); });
  if (speaks() && inputs_.folder) say(fmt::format("model folder read in {:.1f} s", ms_since(start) / 1000));
  trainer_->take_all_memory();
  trainer_->on_comm_stream([](Communicator& ranks) { ranks.barrier(); });
  // From here on nothing refuses this run: what an earlier one left in the folder may go.
  if (speaks())
    log_ = std::make_unique<StepLog>(log_folder_ ? log_folder_->take_over() : "", config.log.every, config.train.steps);
}

// Before the long part of the start: a folder that cannot be made is a mistake of the configuration, not of a step.
std::unique_ptr<LogFolder> Training::hold_log_folder() const {
  const LogConfig& log = inputs_.config.log;
  if (!speaks() || log.dir.empty()) return nullptr;
  return std::make_unique<LogFolder>(log.dir, log.existing == "replace");
}

int Training::sharing_peers() const {
  int peers = 0;
  for (int rank = 0; rank < mpi_.size(); ++rank)
    peers += rank != mpi_.rank() && settings_.spec.nodes.share(rank, mpi_.rank());
  return peers;
}

// Where a rank of the node reads this one's memory, it must be able to map it.
std::unique_ptr<Device> Training::make_device() const {
  return make_cpu_device(static_cast<int>(run_streams.size()), settings_.threads, sharing_peers() > 0 ? Pages::shared : Pages::own);
}

// What ulimit leaves of address space and data, before anything is taken of it. Peers' arenas are mapped whole, and are
// about as large as this rank's.
void Training::check_process_limits() {
  const int peers = sharing_peers();
  ProcessRoom room = threads_room(static_cast<int>(run_streams.size()) + settings_.threads - 1);
  room.address_bytes += arena_bytes_ * (1 + peers) + 4 * MiB;
  room.data_bytes += peers > 0 ? 0 : arena_bytes_ + 4 * MiB;
  on_all_ranks(communicator_, [&] {
    require_room(room, "what is planned for a rank (its arena, its threads and the arenas of its node that it maps)");
    return true;
  });
}

// Node-local gathering: as many ranks on each node, in a row.
void Training::check_equal_nodes() {
  const int size = mpi_.node_size(), first = mpi_.node_first_rank();
  const std::vector<std::string> all = all_gather(communicator_, fmt::format("{} ranks, the first is {}", size, first));
  std::optional<Error> error;
  for (int rank = 0; rank < mpi_.size(); ++rank)
    if (const std::string expected = fmt::format("{} ranks, the first is {}", size, rank / size * size);
        !error && all[static_cast<std::size_t>(rank)] != expected)
      error = Error(ErrorKind::config,
                    fmt::format("parallel.node_shard needs as many ranks on each node, in a row (mpirun --map-by slot): the node "
                                "of rank {} has {}, not {}", rank, all[static_cast<std::size_t>(rank)], expected));
  agree_on_success(communicator_, error ? &*error : nullptr);
}

// Of the ranks of this node. Nodes are told apart by their first rank: two containers may have one host name.
Bytes Training::node_sum(Bytes own_bytes) {
  Bytes node = 0;
  for (const std::string& line : all_gather(communicator_, fmt::format("{} {}", mpi_.node_first_rank(), own_bytes))) {
    const std::size_t space = line.find(' ');
    if (std::stoi(line.substr(0, space)) == mpi_.node_first_rank()) node += std::stoll(line.substr(space + 1));
  }
  return node;
}

// Every rank proves the programs of all classes of ranks together, and that its own are what the others run; all of that
// within what its node has for it.
void Training::plan_programs_together() {
  // Asked before any rank builds: what a neighbour builds is not another's use of the node.
  const Bytes limit = on_all_ranks(communicator_, [&] { return building_limit_bytes(mpi_.node_size()); });
  const MemoryLimits limits{.arena_bytes = settings_.device_memory, .heap_bytes = limit};
  try {
    const Bytes proving = on_all_ranks(communicator_, [&] { return build_within(limit, [&] { prove_programs(settings_, mpi_.size()); }); });
    const Bytes planning = on_all_ranks(communicator_, [&] {
      return build_within(limit, [&] { planned_ = plan_programs(settings_, mpi_.rank(), mpi_.size()); });
    });
    building_bytes_ = std::max(proving, planning);
  } catch (const AgreedError& error) {
    if (error.kind() != ErrorKind::plan) throw;
    refuse_memory(error, limits);
  }
  agree_on_collectives(communicator_, planned_->programs.run);
}

// The node's ranks against what the node has, before a page of an arena is taken.
void Training::check_memory() {
  const Remainder remainder = remainder_of(planned_->programs, mpi_.node_size(), settings_.threads);
  arena_bytes_ = planned_->plan.device.peak_bytes;
  planned_bytes_ = arena_bytes_ + remainder.after_building(building_bytes_, arena_bytes_).total();
  const Bytes node = node_sum(planned_bytes_) + mpi_.node_size() * room_bytes;
  const Bytes available = available_memory_bytes(node_sum(unbacked_process_bytes()));
  std::optional<Error> error;
  if (node > available)
    error = Error(ErrorKind::plan, fmt::format("the {} ranks of node {} need {}, {} a rank left free for the system among it, and it has {} for them",
                                               mpi_.node_size(), mpi_.node_name(), format_bytes(node), format_bytes(room_bytes),
                                               format_bytes(available)));
  try {
    agree_on_success(communicator_, error ? &*error : nullptr);
  } catch (const AgreedError& agreed) {
    const Bytes a_rank = available / mpi_.node_size() - room_bytes;
    refuse_memory(agreed, {.arena_bytes = settings_.device_memory, .process_bytes = a_rank,
                           .heap_bytes = building_limit_bytes(mpi_.node_size())});
  }
}

// One rank looks for a change that fits, within the memory that there is, and tells the others.
void Training::refuse_memory(const Error& error, const MemoryLimits& limits) {
  planned_.reset();
  const std::string change = speaks() ? fitting_change(settings_, mpi_.size(), mpi_.node_size(), limits) : "";
  throw AgreedError(ErrorKind::plan, fmt::format("{}; {}", error.what(), all_gather(communicator_, change).front()));
}

void Training::say_start() const {
  const Config& config = inputs_.config;
  say(print_config(config));
  for (const std::string& notice : notices(config)) say(notice);
  if (const std::string n = byte_tokens_notice(config, inputs_.train.largest_token()); !n.empty()) say(n);
  if (inputs_.folder) say("model folder:\n" + inputs_.folder->summary());
  if (inputs_.folder && !inputs_.folder->dropout.empty())
    say(fmt::format("dropout of its config.json, which acts in training alone, is left out: {}",
                    inputs_.folder->dropout));
  say(fmt::format("data:\n{}{}", inputs_.train.summary(), inputs_.valid ? inputs_.valid->summary() : ""));
  say(fmt::format("model: {} parameters; {} ranks x {} threads; instruction set {}; peak {:.1f} GF/s a thread",
                  parameter_count(config.model), mpi_.size(), settings_.threads, cpu::name(cpu::active_isa()),
                  peak_flops_ / 1e9));
  say(fmt::format("arena: {} bytes", arena_bytes_));
  say(fmt::format("numerics={}", numerics_fingerprint(config)));
}

void Training::step(std::int64_t step) {
  mpi_.page().set_step(step);
  const auto start = Clock::now();
  const int audit_every = inputs_.config.train.audit;
  const bool audits = audit_every > 0 && (step + 1) % audit_every == 0;
  const StepReport report = trainer_->step(step, lr_.at(step), audits);
  const double step_ms = ms_since(start);
  if (log_) log_step(step, report, step_ms);
  if (audits) check_audit(step);
  if (!report.applied) on_bad_step(step, report);
}

void Training::check_audit(std::int64_t step) {
  const int audited = std::min(mpi_.size(), settings_.global_batch / settings_.micro_batch);
  if (const auto verdict = audit_together(*trainer_, audited))
    stop_together(ErrorKind::device, fmt::format("audit of step {}: {}; take that machine out: what it computed since the audit "
                                                 "before is not to be trusted", step, *verdict));
  if (speaks()) say(fmt::format("step={} audit=passed", step));
}

// Its updates did nothing.
void Training::on_bad_step(std::int64_t step, const StepReport& report) {
  if (report.valid_tokens == 0)
    stop_together(ErrorKind::data, fmt::format("step {}: no token of its global batch counts as a target; look at the mask files, "
                                               "or use a larger train.global_batch", step));
  const std::string found = fmt::format("step {}: loss {} or gradient norm {} is not finite; {}", step, report.loss,
                                        report.gradient_norm, diagnose_together(*trainer_, step));
  if (inputs_.config.train.bad_step == "stop")
    stop_together(ErrorKind::numeric, found + "; lower train.lr, look at the data, or let train.bad_step = \"skip\" pass over it");
  ++skipped_;
  if (speaks()) say(fmt::format("skipped {}", found));
}

// What all ranks know alike. Peers may still be sent what step carried: no memory goes before all have it.
void Training::stop_together(ErrorKind kind, const std::string& message) {
  trainer_->finish();
  trainer_->close();
  throw AgreedError(kind, message);
}

void Training::log_step(std::int64_t step, const StepReport& report, double step_ms) {
  const ModelSpec& model = trainer_->rank_programs().model;
  const double tokens = static_cast<double>(settings_.global_batch) * settings_.sequence;
  const Elems microbatch_tokens = Elems{settings_.micro_batch} * settings_.sequence;
  const double flops = flops_per_token(model, microbatch_tokens) * tokens;
  const double machine = peak_flops_ * mpi_.size() * settings_.threads;
  const StallTime stalls = trainer_->stalls();
  if (step >= StepClock::warm_up_steps) skew_us_ += stalls.skew_us;
  log_->step({.step = step, .loss = report.loss, .grad_norm = report.gradient_norm, .lr = report.learning_rate,
              .tokens_per_s = tokens / step_ms * 1000, .step_ms = step_ms,
              .exposed_comm_ms = stalls.exposed_us / 1000, .skew_ms = stalls.skew_us / 1000, .mfu = flops / (step_ms / 1000) / machine});
}

void Training::validate(std::int64_t step) {
  const auto microbatches = ceil_div(inputs_.valid->sequences(), settings_.micro_batch);
  ExactSum loss;
  std::int64_t valid_tokens = 0;
  for (std::int64_t first = 0; first < microbatches; first += mpi_.size())
    trainer_->validate_round(static_cast<int>(first), loss, valid_tokens);
  // What counts lies behind the last whole sequence: no reason to lose what was trained.
  if (log_ && valid_tokens == 0) return warn("no target of a whole sequence of data.valid counts: it has no loss");
  if (log_) log_->validation(step, loss.value() / static_cast<double>(valid_tokens));
}
void Training::say_profile() {
  if (!profiles()) return;
  trainer_->finish();
  look("profile", [&] {
    StepTimes times = clock_.times();
    times.skew_us = skew_us_;
    say(print_profile(*trainer_->programs().find(ScheduleKind::step), trainer_->rank_programs().model, times,
                      peak_flops_ * settings_.threads));
  });
}
void Training::continue_sample() {
  if (options_.sample.empty()) return;
  std::vector<int> tokens;
  for (const char c : options_.sample) tokens.push_back(static_cast<unsigned char>(c));
  const auto window = static_cast<std::size_t>(settings_.sequence);
  for (int i = 0; i < options_.sample_tokens; ++i) {
    // The last tokens that fit: the whole context for each token.
    const std::span<const int> all(tokens);
    tokens.push_back(trainer_->choose_next(all.last(std::min(window, all.size()))));
  }
  if (speaks()) say(print_sample(tokens));
}

void Training::run() {
  const Config& config = inputs_.config;
  const int steps = config.train.steps, valid_every = config.train.valid_every;
  for (int s = 0; s < steps; ++s) {
    step(s);
    if (valid_every > 0 && (s + 1) % valid_every == 0) validate(s);
  }
  if (skipped_ > 0 && speaks()) say(fmt::format("skipped {} of {} steps", skipped_, steps));
  // What the run was made for comes first. Nothing that is for looking can take it away any more.
  say_results();
  const std::optional<AgreedError> no_export = write_export();
  if (inputs_.valid && (steps == 0 || valid_every == 0 || steps % valid_every != 0)) validate(std::max(steps - 1, 0));
  say_looks();
  trainer_->close();
  if (no_export) throw *no_export;
  together(*trainer_, [&] {
    require(said_results_, ErrorKind::data,
            "standard output could not be written: what the run said there is lost, but for the lines weights= and "
            "state=, which are on standard error; free space or choose another place");
  });
}

void Training::say_results() {
  const std::uint64_t weights = hash_over_ranks(*trainer_, trainer_->hash_weights());
  const std::uint64_t state = hash_over_ranks(*trainer_, trainer_->hash_states());
  if (!speaks()) return;
  const std::string results = fmt::format("weights=xxh3:{:016x}\nstate=xxh3:{:016x}", weights, state);
  const Bytes said_before = launcher_output_bytes();
  said_results_ = say_result(results);
  const std::string failure = said_results_ ? launcher_output_failure(results, said_before) : "";
  if (failure.empty()) return;
  said_results_ = false;
  warn(fmt::format("standard output of mpirun cannot be written: {}; the run ended with\n{}", failure, results));
}

// An export that all ranks know to have failed leaves what is for looking to be said before the run ends with its
// error.
std::optional<AgreedError> Training::write_export() {
  if (!export_) return std::nullopt;
  try {
    export_->write(*trainer_);
  } catch (const AgreedError& error) {
    return error;
  }
  if (speaks()) say(fmt::format("export: {}, {} bytes", options_.model_out.folder, export_->bytes()));
  return std::nullopt;
}

void Training::say_looks() {
  if (log_folder_ && !log_folder_->trace_path().empty() && inputs_.config.train.steps > 0)
    look("trace", [&] { write_trace(log_folder_->trace_path(), *trainer_, peak_flops_ * settings_.threads); });
  say_profile();
  continue_sample();
  say_memory();
}

void Training::say_memory() {
  const std::vector<RankMemory> memory = memory_over_ranks(*trainer_, {.node_first_rank = mpi_.node_first_rank(),
                                                                       .node = mpi_.node_name(),
                                                                       .planned_bytes = planned_bytes_,
                                                                       .measured_bytes = peak_process_bytes()});
  const std::vector<RankWire> wire = wire_over_ranks(*trainer_);
  if (speaks()) say(print_memory(memory) + "\n" + print_wire(wire));
}

}  // namespace

void train(MpiRun& mpi, const TrainOptions& options) {
  double deadline_s = ParallelConfig().deadline_s;
  // Before the configurations are known to be equal the deadline is the default.
  const std::unique_ptr<Communicator> first = mpi.make_communicator({.deadline_s = deadline_s, .share = false});
  Inputs inputs = on_all_ranks(*first, [&] { return read_inputs(options); });
  agree(*first, "the configuration", agreed_text(inputs.config));
  agree(*first, "the program", fmt::format("trireme {} build {} numerics {}", TRIREME_VERSION, build_id(), numerics_fingerprint(inputs.config)));
  agree(*first, "the model folder", inputs.folder ? inputs.folder->summary() : "");
  agree(*first, "the data", inputs.train.summary() + (inputs.valid ? inputs.valid->summary() : ""));
  on_all_ranks(*first, [&] { return check_plannable(inputs.config, mpi.size()), true; });
  deadline_s = inputs.config.parallel.deadline_s;
  const std::unique_ptr<Communicator> communicator =
      mpi.make_communicator({.deadline_s = deadline_s, .share = inputs.config.memory.share,
                             .ranks_per_node = inputs.config.parallel.ranks_per_node});
  Training(mpi, options, std::move(inputs), *communicator).run();
}

}  // namespace trireme
