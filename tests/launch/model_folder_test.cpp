// Whole runs from and to model folders, with ranks as threads.

#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <map>

#include "launch/train/export.h"
#include "models/hf/config.h"
#include "runtime/base/error.h"
#include "tests/models/hf/test_folder.h"
#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;
using Catch::Contains;

namespace {

TrainerSettings folder_settings(const std::string& folder) {
  TrainerSettings settings = tiny_settings(Family::llama, DType::bf16, DType::bf16);
  settings.load = true;
  settings.folder = std::make_shared<const hf::ModelFolder>(folder);
  settings.model = settings.folder->model;
  return settings;
}

/// Trains for some steps and exports.
LocalResult train_and_export(const TrainerSettings& settings, const ExportOptions& options, LocalLayout layout,
                             int steps) {
  layout.at_end = [&](Trainer& trainer, Communicator& communicator) {
    ModelExport exported(options, settings.model, settings.folder, communicator);
    exported.take_room(communicator);
    exported.write(trainer.runner());
  };
  return train_locally(settings, layout, steps);
}

/// Type, shape and bytes of every tensor of a folder.
std::map<std::string, std::string> tensors_of(const std::string& folder) {
  const hf::Weights weights(folder);
  std::map<std::string, std::string> tensors;
  for (const auto& [name, place] : weights.tensors()) {
    std::string bytes(static_cast<std::size_t>(place.tensor->bytes), '\0');
    place.file->read(place.tensor->begin, bytes.data(), place.tensor->bytes);
    tensors[name] = place.tensor->type + hf::shape_text(place.tensor->shape) + bytes;
  }
  return tensors;
}

std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

bool has_partial_folder() {
  for (const auto& entry : std::filesystem::directory_iterator("."))
    if (entry.path().string().find(".part-") != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE(
    "model folder: read and exported after 0 steps, every tensor is bit-equal, for every kind, type and number of "
    "ranks") {
  for (const char* kind : folder_kinds)
    for (const hf::Storage type : {hf::Storage::f32, hf::Storage::bf16, hf::Storage::f16}) {
      const TemporaryFolder in("round_trip_in.tmp"), out("round_trip_out.tmp");
      write_folder(in.path, folder_model(kind), type, type == hf::Storage::f16 ? 2 : 1);
      write_text(in.path + "/tokenizer.json", "{\"a\":1}");
      write_text(in.path + "/README.md", "not copied");
      const TrainerSettings settings = folder_settings(in.path);
      std::uint64_t weights = 0;
      for (const int ranks : {1, 2, 3}) {
        INFO(kind << " " << hf::name(type) << " " << ranks);
        std::filesystem::remove_all(out.path);
        const LocalResult result = train_and_export(settings, {.folder = out.path}, {.ranks = ranks}, 0);
        if (ranks == 1) weights = result.weights;
        CHECK(result.weights == weights);
        CHECK(tensors_of(out.path) == tensors_of(in.path));
        CHECK(read_text(out.path + "/config.json") == read_text(in.path + "/config.json"));
        CHECK(read_text(out.path + "/tokenizer.json") == "{\"a\":1}");
        CHECK_FALSE(std::filesystem::exists(out.path + "/README.md"));
      }
      std::filesystem::remove_all(out.path);
      export_folder(in.path, {.folder = out.path + "/"});
      CHECK(tensors_of(out.path) == tensors_of(in.path));
    }
}

TEST_CASE(
    "model folder: a run from an exported model goes the way of the run that the model began, on any ranks and with "
    "delays") {
  for (const char* kind : folder_kinds) {
    const TemporaryFolder out("begin.tmp");
    TrainerSettings seeded = tiny_settings(Family::llama, DType::bf16, DType::bf16);
    seeded.model = folder_model(kind);
    train_and_export(seeded, {.folder = out.path}, {.ranks = 2}, 0);
    const LocalResult wanted = train_locally(seeded, {.ranks = 1}, 2);
    for (const LocalLayout& layout :
         {LocalLayout{.ranks = 1}, LocalLayout{.ranks = 3}, LocalLayout{.ranks = 2, .checked_seed = 4}}) {
      const LocalResult result = train_locally(folder_settings(out.path), layout, 2);
      INFO(kind << " " << layout.ranks);
      CHECK((result.weights == wanted.weights && result.state == wanted.state));
    }
  }
}

TEST_CASE(
    "model folder: every ZeRO stage, copies within nodes and frozen tensors read, train and export the same model") {
  for (const char* kind : {"gpt2", "llama"})
    for (const bool frozen : {false, true}) {
      const TemporaryFolder in("stages_in.tmp"), out("stages_out.tmp"), first("stages_first.tmp");
      write_folder(in.path, folder_model(kind), hf::Storage::f16);
      TrainerSettings settings = folder_settings(in.path);
      if (frozen)
        settings.groups = {{.pattern = "embedding.*", .frozen = true},
                           {.pattern = "blocks.0.*.weight", .frozen = true}};
      std::filesystem::remove_all(first.path);
      const LocalResult wanted =
          train_and_export(settings, {.folder = first.path, .type = hf::Storage::f32}, {.ranks = 1}, 2);
      CHECK(wanted.steps.back().applied);
      for (const auto& [zero, ranks, node_ranks] : {std::tuple{0, 3, 0}, {1, 2, 0}, {2, 3, 0}, {3, 3, 0}, {3, 4, 2}}) {
        INFO(kind << " frozen " << frozen << " zero " << zero << " on " << ranks << " ranks");
        settings.spec.zero = zero, settings.spec.node_ranks = node_ranks;
        std::filesystem::remove_all(out.path);
        const LocalResult result =
            train_and_export(settings, {.folder = out.path, .type = hf::Storage::f32}, {.ranks = ranks}, 2);
        CHECK((result.weights == wanted.weights && result.state == wanted.state));
        CHECK(tensors_of(out.path) == tensors_of(first.path));
      }
    }
}

TEST_CASE(
    "model folder: a tied head that differs from the table ends a run, also where the whole embedding is frozen") {
  const TemporaryFolder in("tied_in.tmp");
  const ModelConfig model = folder_model("qwen2");
  write_folder(in.path, model, hf::Storage::bf16);
  std::vector<RawTensor> tensors = folder_tensors(model, hf::Storage::bf16, "model.");
  tensors.push_back({"lm_head.weight", "BF16", tensors[0].shape, tensors[0].bytes});
  tensors.back().bytes.back() ^= 1;
  write_text(in.path + "/model.safetensors", safetensors_text(tensors));
  TrainerSettings settings = folder_settings(in.path);
  for (const bool frozen : {false, true}) {
    if (frozen) settings.groups = {{.pattern = "embedding.*", .frozen = true}};
    CHECK_THAT(error_of([&] { train_locally(settings, {.ranks = 1}, 0); }),
               Contains("lm_head.weight differs from model.embed_tokens.weight"));
  }
}

TEST_CASE("model folder: f32 compute reads a folder as bf16 compute does") {
  const TemporaryFolder in("f32.tmp");
  write_folder(in.path, folder_model("llama"), hf::Storage::bf16);
  TrainerSettings settings = folder_settings(in.path);
  const LocalResult bf16 = train_locally(settings, {.ranks = 2}, 0);
  settings.spec.compute = settings.spec.wire = DType::f32;
  CHECK(train_locally(settings, {.ranks = 2}, 0).weights == bf16.weights);
}

TEST_CASE("export: another type is told to config.json, and from bf16 to f32 and back nothing changes") {
  const TemporaryFolder in("types_in.tmp"), wide("types_wide.tmp"), back("types_back.tmp");
  write_folder(in.path, folder_model("qwen2"), hf::Storage::bf16);
  train_and_export(folder_settings(in.path), {.folder = wide.path, .type = hf::Storage::f32}, {.ranks = 2}, 0);
  CHECK_THAT(read_text(wide.path + "/config.json"), Contains("\"dtype\": \"float32\""));
  CHECK_THAT(tensors_of(wide.path).at("model.norm.weight"), Catch::StartsWith("F32[36]"));
  std::filesystem::remove_all(back.path);
  export_folder(wide.path, {.folder = back.path, .type = hf::Storage::bf16});
  CHECK(tensors_of(back.path) == tensors_of(in.path));
}

TEST_CASE("export: a model from the seed has a config of its own, by family and biases") {
  for (const char* kind : folder_kinds) {
    const TemporaryFolder out("seeded.tmp");
    TrainerSettings settings = tiny_settings(Family::llama, DType::bf16, DType::bf16);
    settings.model = folder_model(kind);
    train_and_export(settings, {.folder = out.path, .type = hf::Storage::f16}, {.ranks = 2}, 1);
    const std::string model_type = std::string(kind).substr(0, std::string(kind).find('-'));
    CHECK_THAT(read_text(out.path + "/config.json"),
               Contains("\"model_type\": \"" + model_type + "\"") && Contains("float16"));
    CHECK(hf::ModelFolder(out.path).model.tied == settings.model.tied);
  }
}

TEST_CASE("export: a target in use, or one that does not take it, is refused, and nothing half stays behind") {
  const TemporaryFolder out("refused.tmp"), parent("refused_parent.tmp");
  TrainerSettings settings = tiny_settings(Family::gpt2, DType::bf16, DType::bf16);
  const auto error = [&](const std::string& folder, std::optional<hf::Storage> type = {}) {
    return error_of([&] { train_and_export(settings, {.folder = folder, .type = type}, {.ranks = 2}, 0); });
  };
  CHECK(error(out.path) == "no error");
  CHECK_THAT(error(out.path), Contains("is there already"));
  CHECK_THAT(error(out.path + "/config.json"), Contains("is there already"));
  CHECK_THAT(error("nowhere.tmp/out"), Contains("nowhere.tmp is no folder"));
  std::filesystem::create_directory_symlink(parent.path, "link.tmp");
  CHECK_THAT(error("link.tmp"), Contains("is there already"));
  std::filesystem::remove("link.tmp");

  // A full disk, as a limit on the length of files.
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit short_files = before;
  short_files.rlim_cur = 64 * KiB;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &short_files) == 0);
  const std::string full = error(parent.path + "/out");
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK_THAT(full, Contains("cannot be given its room: File too large") && Contains("ulimit -f"));
  CHECK(std::filesystem::is_empty(parent.path));
  CHECK_FALSE(has_partial_folder());
}

TEST_CASE("export: a weight that f16 cannot hold is refused by the rank that owns it, with its tensor") {
  const TemporaryFolder in("big_in.tmp"), out("big_out.tmp");
  const ModelConfig model = folder_model("llama");
  write_folder(in.path, model, hf::Storage::f32);
  std::vector<RawTensor> tensors = folder_tensors(model, hf::Storage::f32, "model.");
  const float big = 65520;
  tensors.back().bytes.replace(tensors.back().bytes.size() - 4, 4, reinterpret_cast<const char*>(&big), 4);
  write_text(in.path + "/model.safetensors", safetensors_text(tensors));
  const TrainerSettings settings = folder_settings(in.path);
  std::filesystem::remove_all(out.path);
  CHECK_THAT(
      error_of([&] { train_and_export(settings, {.folder = out.path, .type = hf::Storage::f16}, {.ranks = 3}, 0); }),
      Contains("tensor lm_head.weight has a weight of 65520, beyond f16"));
  CHECK_FALSE(std::filesystem::exists(out.path));
  CHECK_FALSE(has_partial_folder());
}

TEST_CASE("model folder: a file that changes between its check and its reading ends the run with the op that read it") {
  const TemporaryFolder in("changed.tmp");
  write_folder(in.path, folder_model("gpt2"), hf::Storage::f32);
  const TrainerSettings settings = folder_settings(in.path);
  std::filesystem::resize_file(in.path + "/model.safetensors", 30000);
  CHECK_THAT(error_of([&] { train_locally(settings, {.ranks = 2}, 0); }),
             Contains("schedule load, read unit") && Contains("was it changed during the run?"));
}

TEST_CASE("model folder: a tied model that holds its head alone trains as the whole one, and is exported as it is") {
  for (const char* kind : {"gpt2", "qwen2"}) {
    const TemporaryFolder in("head_alone_in.tmp"), whole("head_alone_whole.tmp"), out("head_alone_out.tmp");
    const ModelConfig model = folder_model(kind);
    const bool is_gpt2 = model.family == Family::gpt2;
    write_folder(whole.path, model, hf::Storage::bf16);
    write_folder(in.path, model, hf::Storage::bf16);
    std::vector<RawTensor> tensors = folder_tensors(model, hf::Storage::bf16, is_gpt2 ? "transformer." : "model.");
    for (RawTensor& tensor : tensors)
      if (tensor.name.ends_with("wte.weight") || tensor.name.ends_with("embed_tokens.weight"))
        tensor.name = "lm_head.weight";
    write_text(in.path + "/model.safetensors", safetensors_text(tensors));
    const LocalResult wanted = train_locally(folder_settings(whole.path), {.ranks = 1}, 2);
    for (const int ranks : {1, 3})
      CHECK(train_locally(folder_settings(in.path), {.ranks = ranks}, 2).weights == wanted.weights);
    train_and_export(folder_settings(in.path), {.folder = out.path}, {.ranks = 2}, 0);
    CHECK(tensors_of(out.path) == tensors_of(in.path));
    std::filesystem::remove_all(out.path);
    export_folder(in.path, {.folder = out.path});
    CHECK(tensors_of(out.path) == tensors_of(in.path));
  }
}
