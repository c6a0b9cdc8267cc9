#include "launch/train/write_trace.h"

#include <filesystem>
#include <fstream>

#include "launch/train/log_folder.h"
#include "launch/train/profile.h"
#include "runtime/schedule/trace.h"

namespace trireme {

void write_trace(const std::string& path, ProgramRunner& runner, double peak_flops) {
  const Schedule& step = runner.schedule(ScheduleKind::step);
  const ModelSpec& model = runner.programs().model;
  const Timeline planned = plan_timeline(step, [&](OpId id) {
    const Op& op = step.ops[static_cast<std::size_t>(id)];
    double us = 1 + static_cast<double>(op.bytes) / 10e3;
    if (op.stream == StreamId::compute) us += op_flops(model, op) / peak_flops * 1e6;
    return us;
  });
  const Timeline measured = runner.timeline(ScheduleKind::step);
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
