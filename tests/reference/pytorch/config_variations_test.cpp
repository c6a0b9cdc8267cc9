// Every stored way to write a config.json: Trireme has transformers' loss, or refuses by the key.

#include <catch2/catch.hpp>

#include <cmath>
#include <filesystem>
#include <string>

#include "comm/local/local_group.h"
#include "launch/train/trainer.h"
#include "models/hf/json.h"
#include "runtime/base/error.h"
#include "tests/models/hf/test_folder.h"

using namespace trireme;
using namespace trireme::test;
using hf::Json;

namespace {

constexpr int sequences = 4;
// Relative, of a mean of f32 losses: rounding is a tenth of it in both programs. As in check_export.py.
constexpr double tolerance = 2e-6;

Json read_json(const std::string& path) {
  return hf::parse_object(hf::quote_special_numbers(read_text(path)), ErrorKind::data, path);
}

/// The tensors of a case as a variation stores them.
std::vector<RawTensor> stored(const std::string& folder, const std::string& way) {
  const hf::Weights weights(folder);
  const bool is_gpt2 = weights.find("transformer.wte.weight").file != nullptr;
  const std::string prefix = is_gpt2 ? "transformer." : "model.";
  const std::string table = prefix + (is_gpt2 ? "wte.weight" : "embed_tokens.weight"), head = "lm_head.weight";
  const bool has_head = weights.find(head).file != nullptr;
  std::vector<RawTensor> tensors;
  for (const auto& [name, place] : weights.tensors()) {
    RawTensor tensor{name, place.tensor->type, place.tensor->shape,
                     std::string(static_cast<std::size_t>(place.tensor->bytes), '\0')};
    place.file->read(place.tensor->begin, tensor.bytes.data(), place.tensor->bytes);
    if (way == "without the prefix" && name.starts_with(prefix)) tensor.name = name.substr(prefix.size());
    if (way == "with the head" && name == table) tensors.push_back({head, tensor.type, tensor.shape, tensor.bytes});
    if (way == "without the head" && name == head) continue;
    if (way == "the head alone" && name == table && has_head) continue;
    if (way == "the head alone" && name == table) tensor.name = head;
    tensors.push_back(tensor);
  }
  return tensors;
}

std::string varied(Json config, const Json& variation) {
  for (const Json& key : variation["remove"]) config.erase(key.get<std::string>());
  for (const auto& [key, value] : variation["set"].items()) config[key] = value;
  return hf::unquote_special_numbers(config.dump());
}

TrainerSettings settings_of(const std::string& path, int sequence) {
  TrainerSettings settings;
  settings.folder = std::make_shared<const hf::ModelFolder>(path);
  settings.model = settings.folder->model;
  settings.load = settings.validate = true;
  settings.sequence = sequence;
  settings.micro_batch = settings.global_batch = sequences;
  settings.spec.compute = settings.spec.wire = DType::f32;
  return settings;
}

/// Mean loss of the case's tokens.
double loss_of(const std::string& path, const std::vector<int>& tokens, int sequence) {
  LocalGroup group(1, {.deadline_s = 120});
  const std::unique_ptr<Communicator> communicator = group.rank(0);
  const auto fill = [&](std::int64_t, int, Batch batch) {
    for (Elems i = 0; i < batch.token_count(); ++i) {
      batch.tokens.as<std::int32_t>()[i] = tokens[static_cast<std::size_t>(i)];
      batch.targets.as<std::int32_t>()[i] = tokens[static_cast<std::size_t>(i + 1)];
      batch.weights.as<float>()[i] = 1;
    }
  };
  const TrainerSettings settings = settings_of(path, sequence);
  Trainer trainer(settings, plan_programs(settings, 0, 1), *communicator, {fill, fill},
                  {.device = make_cpu_device(run_stream_count, 1)});
  ExactSum loss;
  std::int64_t valid_tokens = 0;
  trainer.validate_round(0, loss, valid_tokens);
  trainer.runner().close();
  return loss.value() / static_cast<double>(valid_tokens);
}

/// What Trireme says of a folder: its loss, or why it refuses it.
struct Answer {
  double loss = 0;
  std::string refusal;
};

Answer answer(const std::string& path, const Json& made) {
  try {
    const int sequence = made["sequence"].get<int>();
    hf::check_sequence(hf::read_model(path), sequence, path);
    return {.loss = loss_of(path, made["tokens"].get<std::vector<int>>(), sequence)};
  } catch (const Error& error) {
    CHECK((error.kind() == ErrorKind::config || error.kind() == ErrorKind::data));
    return {.refusal = error.what()};
  }
}

void check(const Answer& found, const Json& variation) {
  const Json& wanted = variation["accepts"];
  if (wanted.is_null()) {
    CHECK_THAT(found.refusal, Catch::Contains(variation["refused"].get<std::string>()));
    return;
  }
  CHECK(found.refusal == "");
  CHECK(std::fabs(found.loss / wanted.get<double>() - 1) <= tolerance);
}

void check_family(const std::string& family) {
  const std::string cases = std::string(TRIREME_CONFIG_VARIATIONS) + "/" + family;
  const Json made = read_json(cases + "/variations.json"), config = read_json(cases + "/config.json");
  CHECK(made["variations"].size() >= 40);
  const TemporaryFolder folder("config_variations_" + family + ".tmp");
  for (const Json& variation : made["variations"]) {
    INFO(family << ": " << variation["name"] << ": " << variation["set"] << " without " << variation["remove"]);
    write_text(folder.path + "/config.json", varied(config, variation));
    write_text(folder.path + "/model.safetensors",
               safetensors_text(stored(cases, variation["tensors"].get<std::string>())));
    check(answer(folder.path, made), variation);
  }
}

}  // namespace

TEST_CASE("config variations: GPT-2 has transformers' loss or is refused by the key") { check_family("gpt2"); }
TEST_CASE("config variations: Llama has transformers' loss or is refused by the key") { check_family("llama"); }
TEST_CASE("config variations: Qwen2 has transformers' loss or is refused by the key") { check_family("qwen2"); }
TEST_CASE("config variations: Qwen3 has transformers' loss or is refused by the key") { check_family("qwen3"); }
TEST_CASE("config variations: Mistral has transformers' loss or is refused by the key") { check_family("mistral"); }
