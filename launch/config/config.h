#pragma once
// The configuration of a run: sections and keys of the TOML file, as the design's chapter 8 names them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/model_config.h"
#include "models/parameter_groups.h"
#include "runtime/base/units.h"

namespace trireme {

struct DataConfig {
  std::vector<std::string> train, valid;
  std::string tokenizer;  // byte or none, once loaded: none where the model comes from a folder, unless given
  std::string order = "shuffled";
  bool documents = false;
  int end_of_document = -1;  // the token that ends one; -1: none
};

struct TrainConfig {
  int steps = 200, global_batch = 16, micro_batch = 4, sequence = 256;
  double lr = 1e-3;
  double min_lr = -1;  // once loaded a tenth of lr, unless given
  int warmup = 20;
  std::string schedule = "cosine";
  int decay_steps = 0;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1, clip = 1.0;
  int seed = 1;
  int sum_group = 1;
  int valid_every = 0, audit = 0;
  std::string bad_step = "stop";
  std::vector<ParameterGroup> groups;
};

struct ParallelConfig {
  int zero = 3;
  bool node_shard = false;
  int ranks_per_node = 0;  // 0: as the machines are
  int prefetch = 1;
  double deadline_s = 120;
};

struct MemoryConfig {
  std::string device = "auto";
  std::string recompute = "none";
  bool share = true;
};

struct PrecisionConfig {
  std::string compute = "bf16", wire = "bf16";
  std::string products = "chain";  // chain or tiles, once loaded
};

struct DeviceConfig {
  std::string kind = "cpu";
  int threads = 0;
};

struct LogConfig {
  std::string dir;
  std::string existing = "refuse";  // or replace: another run's log in `dir`
  int every = 1;
  bool profile = false;
};

struct Config {
  ModelConfig model;
  std::string model_folder;        // model.hf: the model section was taken from it; empty: none
  std::string dropout = "refuse";  // model.dropout: what training does about a folder that has some; or "ignore"
  DataConfig data;
  TrainConfig train;
  ParallelConfig parallel;
  MemoryConfig memory;
  PrecisionConfig precision;
  DeviceConfig device;
  LogConfig log;
};

/// Reads the file, applies `overrides` ("--section.key=value" each; "--section.key" sets a flag), takes the model from
/// the folder that model.hf names, fills in what depends on other keys (kv_heads, ffn, min_lr, tokenizer) and what
/// "auto" stands for on this machine (precision.products), and checks everything.
///
/// Errors  Error(config) with file and line, or the override, the key, its value, and what to do: a missing file,
///         broken TOML, an unknown key (with the nearest known one), a wrong type, a value out of range, keys that
///         contradict each other.
Config load_config(const std::string& path, const std::vector<std::string>& overrides);

/// The whole configuration as TOML, every key resolved; loading it gives the same configuration.
std::string print_config(const Config& config);

/// The first of the files that is text, not a token file; empty where none is.
std::string first_text_file(const DataConfig& data);

/// One line per key that the trajectory depends on (marked M in the design), and `parallel.*`: what ranks must agree
/// on.
std::string agreed_text(const Config& config);

}  // namespace trireme
