#pragma once
// What was typed: one of the program's verbs, with its options.

#include <algorithm>
#include <string>
#include <vector>

#include "launch/train/run_inputs.h"
#include "runtime/schedule/op.h"

namespace trireme {

enum class Verb { help, train, plan, schedule, tokenize, checkpoint_export, doctor };

struct Command {
  Verb verb = Verb::help;
  std::string help;    // of verb help: the text that was asked for
  TrainOptions train;  // the configuration is that of plan and schedule, too
  int ranks = 1, rank = 0, ranks_per_node = 0;
  std::string device_memory, schedule = name(ScheduleKind::step), after, output, tokenizer = "byte";
  std::vector<std::string> texts;
  std::string export_format, export_type, model_folder;
  bool json = false;

  int ranks_on_node() const { return ranks_per_node > 0 ? std::min(ranks_per_node, ranks) : ranks; }
};

/// Errors: Error(config) for what cannot be understood.
Command parse_command(int argc, char** argv);

}  // namespace trireme
