#include "launch/train/run_end.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <type_traits>

#include "launch/train/log_folder.h"
#include "launch/train/profile.h"
#include "runtime/schedule/trace.h"
#include "shard/state_hash.h"

namespace trireme {

std::uint64_t hash_over_ranks(Trainer& trainer, std::vector<std::vector<std::uint64_t>> own) {
  // Lists travel as text of bytes: the count of each, then the hashes.
  std::string bytes;
  for (std::vector<std::uint64_t>& list : own) {
    const std::uint64_t count = list.size();
    bytes.append(reinterpret_cast<const char*>(&count), sizeof count);
    bytes.append(reinterpret_cast<const char*>(list.data()), count * sizeof(std::uint64_t));
    list = {};
  }
  const std::vector<std::string> all = trainer.gather_text(bytes);
  HashCombiner combiner;
  std::vector<std::size_t> at(all.size());  // of the next list of each rank
  for (std::size_t buffer = 0; buffer < own.size(); ++buffer)
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
      std::uint64_t count = 0;
      std::memcpy(&count, all[rank].data() + at[rank], sizeof count);
      combiner.add_bytes(std::string_view(all[rank]).substr(at[rank] + sizeof count, count * sizeof(std::uint64_t)));
      at[rank] += (count + 1) * sizeof(std::uint64_t);
    }
  return combiner.value();
}

std::vector<RankMemory> memory_over_ranks(Trainer& trainer, const RankMemory& own) {
  std::vector<RankMemory> ranks;
  for (const std::string& line : trainer.gather_text(fmt::format("{} {} {} {}", own.planned_bytes, own.measured_bytes,
                                                                  own.node_first_rank, own.node))) {
    std::istringstream words(line);
    RankMemory& rank = ranks.emplace_back();
    words >> rank.planned_bytes >> rank.measured_bytes >> rank.node_first_rank >> rank.node;
  }
  return ranks;
}

std::vector<RankWire> wire_over_ranks(Trainer& trainer) {
  static_assert(std::is_trivially_copyable_v<RankWire>);
  const RankWire own = trainer.wire();
  std::vector<RankWire> ranks;
  for (const std::string& bytes : trainer.gather_text(std::string(reinterpret_cast<const char*>(&own), sizeof own)))
    std::memcpy(&ranks.emplace_back(), bytes.data(), sizeof own);
  return ranks;
}

void write_trace(const std::string& path, Trainer& trainer, double peak_flops) {
  const Schedule& step = *trainer.programs().find(ScheduleKind::step);
  const ModelSpec& model = trainer.rank_programs().model;
  const Timeline planned = plan_timeline(step, [&](OpId id) {
    const Op& op = step.ops[static_cast<std::size_t>(id)];
    double us = 1 + static_cast<double>(op.bytes) / 10e3;
    if (op.stream == StreamId::compute) us += op_flops(model, op) / peak_flops * 1e6;
    return us;
  });
  const Timeline measured = trainer.timeline(ScheduleKind::step);
  const TraceRow rows[] = {{"rank 0 planned", &step, &planned}, {"rank 0 measured, last step", &step, &measured}};
  std::ofstream file;
  file.exceptions(std::ios::badbit | std::ios::failbit);  // at once, while errno is that of the write
  try {
    file.open(path);
    print_trace(file, rows);
    file << std::flush;
  } catch (const std::ios::failure&) {
    const SystemCall cause(-1);
    std::error_code failed;
    if (std::filesystem::is_regular_file(path, failed)) std::filesystem::remove(path, failed);
    warn_of_lost_log(path, cause);
  }
}

}  // namespace trireme
