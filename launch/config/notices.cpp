#include "launch/config/notices.h"

#include <fmt/format.h>

#include "launch/config/settings.h"

namespace trireme {

std::vector<std::string> notices(const Config& config) {
  const TrainConfig& t = config.train;
  std::vector<std::string> lines;
  const auto say_if = [&](bool holds, const std::string& line) {
    if (holds) lines.push_back("notice: " + line);
  };
  const std::string phases = unreached_phases(lr_schedule(config));
  say_if(!phases.empty(), phases);
  say_if(t.steps > 0 && t.valid_every > t.steps,
         fmt::format("train.valid_every = {} is more than train.steps = {}: there is one validation, at the end",
                     t.valid_every, t.steps));
  say_if(t.steps > 0 && t.audit > t.steps,
         fmt::format("train.audit = {} is more than train.steps = {}: no step is audited; give at most train.steps",
                     t.audit, t.steps));
  const int microbatches = t.global_batch / t.micro_batch;
  say_if(t.sum_group > microbatches && t.sum_group > 1,
         fmt::format("train.sum_group = {} is more than the {} microbatches of a step (train.global_batch / "
                     "train.micro_batch): they are one group",
                     t.sum_group, microbatches));
  say_if(config.precision.compute == "f32" && config.precision.wire == "bf16",
         "precision.compute = 'f32' with precision.wire = 'bf16': the gradient of each microbatch is rounded to bf16; "
         "give precision.wire = \"f32\" for f32 throughout");
  const std::string text = first_text_file(config.data);
  say_if(!text.empty() && config.model_folder.empty() && config.model.vocab > 256,
         fmt::format("model.vocab = {}, but {} is text and read as bytes: tokens of 256 and above never occur; give "
                     ".bin token files where a tokenizer of so many tokens is meant",
                     config.model.vocab, text));
  return lines;
}

std::string byte_tokens_notice(const Config& config, std::int64_t largest_token) {
  if (largest_token >= 256 || config.model.vocab <= 256 || !first_text_file(config.data).empty()) return {};
  return fmt::format(
      "notice: the largest token of data.train is {} of model.vocab = {}: these seem to be bytes, as trireme tokenize "
      "writes them; where the model has a tokenizer of its own, tokenize the text with that one",
      largest_token, config.model.vocab);
}

}  // namespace trireme
