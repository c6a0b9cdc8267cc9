// Golden runs: the hashes of small runs are kept in tests/golden/runs.txt. They change only with the version of the
// numerics (kernel_version in launch/config/settings.cpp), in a commit that says why.

#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <string>

#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

struct GoldenRun {
  std::string name;
  TrainerSettings settings;
  int ranks, steps;
};

TrainerSettings untied() {
  TrainerSettings settings = tiny_settings(Family::llama, DType::bf16, DType::bf16);
  settings.model.tied = false;
  return settings;
}

// 4,096 tokens a microbatch: the head goes over four chunks.
TrainerSettings long_microbatches(Family family) {
  TrainerSettings settings = tiny_settings(family, DType::bf16, DType::bf16);
  settings.model.layers = 1;
  settings.model.width = 32;
  settings.model.ffn = 48;
  settings.model.context = 512;
  settings.sequence = 512;
  settings.micro_batch = 8;
  settings.global_batch = 12 * settings.micro_batch;
  return settings;
}

std::vector<GoldenRun> golden_runs() {
  std::vector<GoldenRun> runs;
  for (const Family family : {Family::gpt2, Family::llama}) {
    const std::string name = family == Family::gpt2 ? "gpt2" : "llama";
    for (const DType type : {DType::bf16, DType::f32})
      runs.push_back({name + "_" + trireme::name(type), tiny_settings(family, type, type), 3, 3});
    runs.push_back({name + "_bf16_wire_f32", tiny_settings(family, DType::bf16, DType::f32), 2, 2});
    runs.push_back({name + "_4096_tokens", long_microbatches(family), 2, 1});
  }
  runs.push_back({"llama_untied", untied(), 2, 2});
  for (const Family family : {Family::qwen3, Family::mistral})
    runs.push_back({std::string(name(family)) + "_bf16", tiny_settings(family, DType::bf16, DType::bf16), 3, 3});
  return runs;
}

std::string row(const GoldenRun& run) {
  const LocalResult got = train_locally(run.settings, {.ranks = run.ranks}, run.steps);
  return fmt::format("{} weights=xxh3:{:016x} state=xxh3:{:016x} loss={:a}", run.name, got.weights, got.state,
                     got.steps.back().loss);
}

std::map<std::string, std::string> read_rows(const std::string& path) {
  std::map<std::string, std::string> rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && line.front() != '#') rows[line.substr(0, line.find(' '))] = line;
  return rows;
}

}  // namespace

TEST_CASE("golden runs have the hashes that are kept") {
  const std::map<std::string, std::string> kept = read_rows(TRIREME_GOLDEN_RUNS);
  const std::vector<GoldenRun> runs = golden_runs();
  CHECK(kept.size() == runs.size());
  for (const GoldenRun& run : runs) {
    const auto found = kept.find(run.name);
    const std::string got = row(run);
    std::printf("%s\n", got.c_str());  // what runs.txt must hold after a change of the numerics
    CHECK((found == kept.end() ? "no row for " + run.name : found->second) == got);
  }
}
