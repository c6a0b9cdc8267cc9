#pragma once
// What a run says of each step: a line for people, the same as JSON for programs.

#include <cstdint>
#include <string>

#include "launch/train/log_folder.h"

namespace trireme {

/// One step, as printed and as written to steps.jsonl.
struct StepLine {
  std::int64_t step = 0;
  double loss = 0, grad_norm = 0, lr = 0;
  double tokens_per_s = 0, step_ms = 0, exposed_comm_ms = 0, skew_ms = 0;
  double mfu = 0;  // model flops over time x ranks x threads x register peak
};

std::string print_step(const StepLine& line);
/// The same keys; loss and grad_norm also as exact hex floats.
std::string print_step_json(const StepLine& line);

/// Writes step lines where they belong, from the rank that speaks.
class StepLog {
 public:
  /// `path`: where steps.jsonl goes, an earlier one is emptied; empty: nowhere. Every `every`th step is printed, and
  /// the last. Errors: none; what cannot be written is told once.
  StepLog(const std::string& path, int every, std::int64_t steps);

  void step(const StepLine& line);
  void validation(std::int64_t step, double loss);

 private:
  void progress(const StepLine& line);
  void say_unless_closed(const std::string& line);

  std::optional<LineFile> file_;
  int every_;
  std::int64_t steps_;
  bool terminal_, is_closed_ = false;
  double spent_ms_ = 0;
  std::int64_t seen_ = 0;
};

}  // namespace trireme
