#include "launch/config/notices.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

using namespace trireme;

namespace {

const char* const text = R"([model]
layers = 2
width = 64
heads = 4
vocab = 256
[data]
train = ["a.txt"]
valid = ["b.txt"]
[train]
sequence = 32
global_batch = 8
micro_batch = 2
)";

std::vector<std::string> notices_of(const std::vector<std::string>& overrides) {
  const std::string path = "notices_test.toml";
  std::ofstream(path) << text;
  const std::vector<std::string> lines = notices(load_config(path, overrides));
  std::remove(path.c_str());
  return lines;
}

}  // namespace

TEST_CASE("notices: a configuration that runs as it reads has none") {
  const std::vector<std::vector<std::string>> silent = {
      {},
      {"--train.steps=0"},
      {"--train.steps=0", "--train.audit=5", "--train.valid_every=5"},
      {"--train.steps=40"},
      {"--train.steps=2", "--train.warmup=0"},
      {"--train.steps=3", "--train.warmup=1"},
      {"--train.steps=1", "--train.warmup=1", "--train.schedule=constant"},
      {"--train.steps=100", "--train.warmup=50"},
      {"--train.audit=200", "--train.valid_every=200"},
      {"--train.sum_group=4"},
      {"--train.micro_batch=8", "--train.sum_group=1"},
      {"--precision.compute=f32", "--precision.wire=f32"},
      {"--precision.wire=f32"},
      {"--train.lr=0"},
      {"--data.train=[\"a.bin\"]", "--data.valid=[]", "--model.vocab=50257"},
      {"--train.schedule=wsd", "--train.decay_steps=179"}};
  for (const std::vector<std::string>& overrides : silent) {
    CAPTURE(overrides);
    CHECK(notices_of(overrides).empty());
  }
}

TEST_CASE("notices: what a run will not do as its configuration reads is said with its keys") {
  struct Case {
    std::vector<std::string> overrides, named;
  };
  const std::vector<Case> cases = {
      // Warm-up, as it is unless given and as given, for every shape that does not refuse it.
      {{"--train.steps=10"},
       {"train.warmup = 20", "train.steps = 10", "rises to 0.0005", "train.lr = 0.001", "cosine"}},
      {{"--train.steps=20"}, {"train.warmup = 20 takes all", "last step alone", "cosine"}},
      {{"--train.steps=21"}, {"train.warmup = 20 takes more than half of train.steps = 21"}},
      {{"--train.steps=39"}, {"train.warmup = 20 takes more than half"}},
      {{"--train.warmup=2000"}, {"train.warmup = 2000 does not end within train.steps = 200", "never begins"}},
      {{"--train.warmup=200", "--train.schedule=linear"}, {"train.warmup = 200 takes all", "linear"}},
      {{"--train.warmup=300", "--train.schedule=constant"}, {"train.warmup = 300", "never is train.lr"}},
      {{"--train.steps=1"}, {"train.warmup = 20", "rises to 5e-05"}},
      {{"--train.warmup=150", "--train.schedule=wsd", "--train.decay_steps=50"},
       {"train.warmup = 150 takes more than half"}},
      // Phases that have no step, and a fall that ends where it begins.
      {{"--train.steps=1", "--train.warmup=0"}, {"train.steps = 1", "fall (cosine) never begins"}},
      {{"--train.steps=1", "--train.warmup=1", "--train.schedule=linear"}, {"train.steps = 1", "fall (linear)"}},
      {{"--train.schedule=wsd", "--train.decay_steps=180"}, {"train.decay_steps = 180 leave none at train.lr"}},
      {{"--train.lr=1e-3", "--train.min_lr=1e-3"}, {"cosine", "train.min_lr is train.lr = 0.001"}},
      // What never comes.
      {{"--train.audit=201"}, {"train.audit = 201", "train.steps = 200", "no step is audited"}},
      {{"--train.valid_every=1000"}, {"train.valid_every = 1000", "one validation, at the end"}},
      {{"--train.sum_group=5"}, {"train.sum_group = 5", "4 microbatches"}},
      {{"--train.sum_group=2", "--train.micro_batch=8"}, {"train.sum_group = 2", "1 microbatches"}},
      // Other precision and other tokens than the rest of the file reads like.
      {{"--precision.compute=f32"}, {"precision.compute = 'f32'", "precision.wire = 'bf16'"}},
      {{"--model.vocab=50257"}, {"model.vocab = 50257", "a.txt is text", "never occur"}},
      {{"--model.vocab=32000", "--data.train=[\"a.bin\"]"}, {"model.vocab = 32000", "b.txt is text"}},
  };
  for (const Case& c : cases) {
    const std::vector<std::string> lines = notices_of(c.overrides);
    CAPTURE(c.overrides, lines);
    REQUIRE(lines.size() == 1);
    CHECK(lines.front().starts_with("notice: "));
    for (const std::string& word : c.named) {
      CAPTURE(word);
      CHECK(lines.front().find(word) != std::string::npos);
    }
  }
}

TEST_CASE("byte_tokens_notice: token files without a token beyond bytes, for a model that has them, are told") {
  std::ofstream("notices_test.toml") << text;
  const auto notice = [](const std::vector<std::string>& overrides, std::int64_t largest) {
    return byte_tokens_notice(load_config("notices_test.toml", overrides), largest);
  };
  const std::vector<std::string> files = {"--data.train=[\"a.bin\"]", "--data.valid=[]"};
  for (const std::string vocab : {"257", "32000", "50257"}) {
    std::vector<std::string> overrides = files;
    overrides.push_back("--model.vocab=" + vocab);
    for (const std::int64_t largest : {0, 122, 255}) {
      CHECK_THAT(notice(overrides, largest), Catch::StartsWith("notice: ") &&
                                                 Catch::Contains("model.vocab = " + vocab) &&
                                                 Catch::Contains(fmt::format("is {} of", largest)));
    }
    CHECK(notice(overrides, 256).empty());
  }
  CHECK(notice(files, 255).empty());
  CHECK(notice({"--model.vocab=50257"}, 122).empty());  // text, which notices() tells of
  std::remove("notices_test.toml");
}
