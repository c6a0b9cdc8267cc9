#include "launch/train/run_inputs.h"

#include <utility>

#include "comm/agreement.h"
#include "launch/build_id.h"
#include "launch/config/config_limits.h"
#include "launch/config/settings.h"

namespace trireme {
namespace {

// It acts in training alone: where no step is made, nobody misses it.
void check_dropout(const hf::ModelFolder& folder, const Config& config) {
  require(folder.dropout.empty() || config.dropout == "ignore" || config.train.steps == 0, ErrorKind::config,
          "{}/config.json: {}: training here has no dropout; set model.dropout = \"ignore\" to train without it, or "
          "all of these keys to 0.0 in config.json",
          config.model_folder, folder.dropout);
}

void check_sample(const TrainOptions& options, const Config& config) {
  if (options.sample.empty()) return;
  require(config.model.vocab >= 256, ErrorKind::config,
          "--sample with model.vocab = {}: its text is read as bytes, which needs at least 256; leave --sample out",
          config.model.vocab);
  require(config.data.tokenizer == "byte", ErrorKind::config,
          "--sample with data.tokenizer = '{}': its text would be read as bytes; give data.tokenizer = \"byte\", or "
          "leave --sample out",
          config.data.tokenizer);
}

RunInputs read(const TrainOptions& options) {
  Config config = load_config(options.config_path, options.overrides);
  check_sample(options, config);
  std::shared_ptr<const hf::ModelFolder> folder;
  if (!config.model_folder.empty()) folder = std::make_shared<const hf::ModelFolder>(config.model_folder);
  if (folder) check_dropout(*folder, config);
  std::optional<int> end_of_document;
  if (config.data.documents) end_of_document = config.data.end_of_document;
  const auto stream = [&](const std::vector<std::string>& files) {
    return TokenStream(files, config.train.sequence, config.model.vocab, end_of_document);
  };
  TokenStream train = stream(config.data.train);
  std::optional<TokenStream> valid;
  if (!config.data.valid.empty()) valid.emplace(stream(config.data.valid));
  require(!valid || valid->has_targets(), ErrorKind::data,
          "no token of data.valid counts as a target; look at its mask files, or leave data.valid out");
  return {std::move(config), std::move(folder), std::move(train), std::move(valid)};
}

}  // namespace

RunInputs read_together(Communicator& communicator, const TrainOptions& options) {
  RunInputs inputs = on_all_ranks(communicator, [&] { return read(options); });
  agree(communicator, "the configuration", agreed_text(inputs.config));
  agree(
      communicator, "the program",
      fmt::format("trireme {} build {} numerics {}", TRIREME_VERSION, build_id(), numerics_fingerprint(inputs.config)));
  agree(communicator, "the model folder", inputs.folder ? inputs.folder->summary() : "");
  agree(communicator, "the data", inputs.train.summary() + (inputs.valid ? inputs.valid->summary() : ""));
  on_all_ranks(communicator, [&] { return check_plannable(inputs.config, communicator.size()), true; });
  return inputs;
}

}  // namespace trireme
