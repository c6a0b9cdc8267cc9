#include "launch/config/config.h"

#include <catch2/catch.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "launch/config/config_limits.h"
#include "launch/config/settings.h"
#include "runtime/base/error.h"
#include "runtime/kernels/cpu/isa.h"
#include "tests/models/hf/test_folder.h"

using namespace trireme;

namespace {

const char* const good_text = R"([model]
family = "llama"
layers = 2
width = 64
heads = 4
kv_heads = 2
vocab = 256
context = 32

[data]
train = ["a.txt"]

[train]
sequence = 32
global_batch = 8
micro_batch = 2
)";

/// A file that goes when the test goes.
class TextFile {
 public:
  explicit TextFile(const std::string& text, const std::string& name = "config_test.toml") : path(name) {
    std::ofstream(path) << text;
  }
  ~TextFile() { std::remove(path.c_str()); }
  const std::string path;
};

std::string message_of(const std::string& text, const std::vector<std::string>& overrides) {
  const TextFile file(text);
  try {
    load_config(file.path, overrides);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("load_config: sections, overrides and what is left out") {
  const TextFile file(good_text);
  const Config config = load_config(file.path, {"--train.lr=0.01", "--model.family=gpt2", "--model.kv_heads=4"});
  CHECK(config.train.lr == 0.01);
  CHECK(config.model.family == Family::gpt2);
  CHECK(config.model.ffn == 256);
  CHECK(config.train.steps == 200);
  CHECK(load_config(file.path, {}).model.ffn == 192);
  CHECK(load_config(file.path, {}).memory.share);
  CHECK(!load_config(file.path, {"--memory.share=false"}).memory.share);
}

TEST_CASE("load_config: a flag needs no value") {
  const TextFile file(good_text);
  CHECK_FALSE(load_config(file.path, {}).log.profile);
  CHECK(load_config(file.path, {"--log.profile"}).log.profile);
  CHECK(load_config(file.path, {"--log.profile=true"}).log.profile);
  CHECK_FALSE(load_config(file.path, {"--log.profile=true", "--log.profile=false"}).log.profile);
  CHECK(load_config(file.path, {"--model.tied=false", "--model.tied"}).model.tied);
}

TEST_CASE("print_config: loading what was printed gives the same configuration") {
  const TextFile file(good_text);
  const Config config = load_config(file.path, {"--data.valid=[\"a b.txt\", \"c.bin\"]", "--train.eps=1e-9"});
  const std::string printed = print_config(config);
  std::ofstream(file.path) << printed;
  CHECK(print_config(load_config(file.path, {})) == printed);
}

TEST_CASE("load_config: groups of parameters are tables or one line, printed so that loading gives the same") {
  const std::string line =
      "[{ pattern = \"*.norm.*\", lr_factor = 0.5, decay = true }, { pattern = \"embedding.*\", frozen = true }]";
  const std::vector<ParameterGroup> expected = {{.pattern = "*.norm.*", .lr_factor = 0.5, .decay = true},
                                                {.pattern = "embedding.*", .frozen = true}};
  const TextFile file(good_text);
  CHECK(load_config(file.path, {}).train.groups.empty());
  const Config config = load_config(file.path, {"--train.groups=" + line});
  CHECK(config.train.groups == expected);
  CHECK(agreed_text(config) != agreed_text(load_config(file.path, {})));
  std::ofstream(file.path) << print_config(config);
  CHECK(load_config(file.path, {}).train.groups == expected);
  const TextFile tables(std::string(good_text) +
                        "[[train.groups]]\npattern = \"*.norm.*\"\nlr_factor = 0.5\ndecay = true\n"
                        "[[train.groups]]\npattern = \"embedding.*\"\nfrozen = true\n");
  CHECK(load_config(tables.path, {}).train.groups == expected);
}

TEST_CASE("load_config: rope_scaling is a table with Hugging Face's names, and printed as one") {
  const std::string scaling =
      "{ rope_type = \"llama3\", factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.5, "
      "original_max_position_embeddings = 4096 }";
  const RopeScaling expected = {.factor = 8, .low_freq_factor = 1, .high_freq_factor = 4.5, .original_context = 4096};
  const TextFile file(good_text);
  CHECK(load_config(file.path, {}).model.rope_scaling == RopeScaling());
  CHECK(load_config(file.path, {"--model.rope_scaling={}"}).model.rope_scaling == RopeScaling());
  const Config config = load_config(file.path, {"--model.rope_scaling=" + scaling});
  CHECK(config.model.rope_scaling == expected);
  CHECK(agreed_text(config) != agreed_text(load_config(file.path, {})));
  std::ofstream(file.path) << print_config(config);
  CHECK(load_config(file.path, {}).model.rope_scaling == expected);
  const TextFile section(std::string(good_text) +
                             "[model.rope_scaling]\nrope_type = \"llama3\"\nfactor = 8\nlow_freq_factor = 1\n"
                             "high_freq_factor = 4.5\noriginal_max_position_embeddings = 4096\n",
                         "config_test_section.toml");
  CHECK(load_config(section.path, {}).model.rope_scaling == expected);
}

TEST_CASE("load_config: documents are printed, and ranks must agree on what ends one") {
  const TextFile file(good_text);
  CHECK_FALSE(load_config(file.path, {}).data.documents);
  const Config zero = load_config(file.path, {"--data.documents", "--data.end_of_document=0"});
  const Config other = load_config(file.path, {"--data.documents", "--data.end_of_document=255"});
  CHECK(zero.data.end_of_document == 0);
  CHECK(agreed_text(zero) != agreed_text(other));
  std::ofstream(file.path) << print_config(other);
  CHECK(load_config(file.path, {}).data.end_of_document == 255);
}

TEST_CASE("load_config: qkv_bias is off unless asked for, and ranks must agree on it") {
  const TextFile file(good_text);
  const Config plain = load_config(file.path, {}), biased = load_config(file.path, {"--model.qkv_bias"});
  CHECK_FALSE(plain.model.qkv_bias);
  CHECK(biased.model.qkv_bias);
  CHECK(agreed_text(plain) != agreed_text(biased));
}

TEST_CASE("load_config: auto products are resolved by what the CPU has, and ranks must agree on them") {
  const TextFile file(good_text);
  const char* const best = cpu::detect_isa() == cpu::Isa::amx ? "tiles" : "chain";
  CHECK(load_config(file.path, {}).precision.products == "chain");
  const Config config = load_config(file.path, {"--precision.products=auto"});
  CHECK(config.precision.products == best);
  CHECK(print_config(config).find(fmt::format("products = '{}'", best)) != std::string::npos);
  CHECK(load_config(file.path, {"--precision.products=auto", "--precision.compute=f32"}).precision.products == "chain");
  const Config chain = load_config(file.path, {"--precision.products=chain"}),
               tiles = load_config(file.path, {"--precision.products=tiles"});
  CHECK(agreed_text(chain) != agreed_text(tiles));
  CHECK(numerics_fingerprint(chain) != numerics_fingerprint(tiles));
}

TEST_CASE("load_config: every mistake is answered with what, where and what to do") {
  struct Mistake {
    std::vector<std::string> overrides;
    std::vector<std::string> named;  // in the message
  };
  std::vector<Mistake> mistakes = {
      {{"--train.stepz=3"}, {"train.stepz", "did you mean train.steps"}},
      {{"--trian.steps=3"}, {"did you mean train.steps"}},
      {{"--train.steps=many"}, {"train.steps", "many", "whole number"}},
      {{"--train.steps=1.5"}, {"train.steps", "whole number"}},
      {{"--train.steps=-1"}, {"train.steps", "-1", "at least 0"}},
      {{"--model.layers=0"}, {"model.layers", "at least 1"}},
      {{"--model.kv_heads=0"}, {"model.kv_heads", "at least 1"}},
      {{"--model.width=66"}, {"model.width = 66", "model.heads = 4"}},
      {{"--model.kv_heads=3"}, {"model.heads = 4", "model.kv_heads = 3"}},
      {{"--model.width=12"}, {"even head size"}},
      {{"--model.family=bert"}, {"model.family", "gpt2", "llama"}},
      {{"--model.vocab=100"}, {"model.vocab = 100", "256"}},
      {{"--train.global_batch=7"}, {"train.global_batch = 7", "train.micro_batch = 2"}},
      {{"--train.micro_batch=0"}, {"train.micro_batch", "at least 1"}},
      {{"--train.sequence=64"}, {"train.sequence = 64", "model.context = 32"}},
      {{"--train.valid_every=5"}, {"data.valid"}},
      {{"--train.schedule=step"}, {"train.schedule", "cosine"}},
      {{"--train.schedule=wsd"}, {"train.decay_steps"}},
      {{"--train.lr=nan"}, {"train.lr", "finite"}},
      {{"--memory.recompute=all"}, {"memory.recompute", "block"}},
      {{"--memory.share=maybe"}, {"memory.share", "maybe"}},
      {{"--memory.device=lots"}, {"lots", "80GiB"}},
      {{"--precision.compute=fp8"}, {"precision.compute", "bf16"}},
      {{"--precision.products=pairs"}, {"precision.products", "chain", "tiles", "auto"}},
      {{"--precision.products=tiles", "--precision.compute=f32"}, {"precision.products = 'tiles'", "'f32'", "chain"}},
      {{"--data.documents"}, {"data.documents", "data.end_of_document"}},
      {{"--data.documents", "--data.end_of_document=256"}, {"data.end_of_document = 256", "model.vocab = 256"}},
      {{"--data.documents", "--data.end_of_document=-2"}, {"data.end_of_document", "-2"}},
      {{"--data.end_of_document=0"}, {"data.end_of_document", "does nothing", "data.documents"}},
      {{"--device.kind=cuda"}, {"device.kind", "cpu"}},
      {{"--data.train=a.txt"}, {"data.train", "list"}},
      {{"--train.groups=3"}, {"train.groups", "a list of tables"}},
      {{"--train.groups=[{ lr_factor = 2 }]"}, {"train.groups number 1", "pattern is missing"}},
      {{"--train.groups=[{ pattern = \"*\" }]"}, {"changes nothing"}},
      {{"--train.groups=[{ pattern = \"*\", lr = 2 }]"}, {"train.groups number 1.lr", "unknown key"}},
      {{"--train.groups=[{ pattern = \"*\", lr_factor = -1 }]"}, {"lr_factor", "at least 0"}},
      {{"--train.groups=[{ pattern = \"*\", frozen = true, decay = true }]"}, {"neither lr_factor nor decay"}},
      {{"--parallel.stages=2"}, {"parallel.stages", "not part of this version"}},
      {{"--parallel.zero=4"}, {"parallel.zero = 4", "stages 0 to 3"}},
      {{"--parallel.zero=2", "--parallel.node_shard"}, {"parallel.node_shard", "parallel.zero = 2"}},
      {{"--train.sum_group=0"}, {"train.sum_group = 0", "at least 1"}},
      {{"--checkpoint.dir=x"}, {"checkpoint.dir", "not part of this version"}},
      {{"train.steps=3"}, {"--section.key=value"}},
      {{"--train.steps"}, {"--train.steps", "--section.key=value"}},
      {{"--log.profil"}, {"did you mean log.profile"}},
      {{"--log.profile=often"}, {"log.profile", "often", "true or false"}},
      {{"--train.steps=3\nlr = 1"}, {"--train.steps", "one line"}},
      // Sizes whose products leave their type.
      {{"--model.width=1073741824"}, {"model.width = 1073741824", "at most"}},
      {{"--model.family=gpt2", "--model.kv_heads=4", "--model.width=1073741824"}, {"at most"}},
      {{"--model.ffn=2147483647"}, {"model.ffn = 2147483647", "at most"}},
      {{"--model.vocab=2147483647"}, {"model.vocab", "at most"}},
      {{"--model.context=2147483647"}, {"model.context", "at most"}},
      {{"--model.layers=10001"}, {"model.layers = 10001", "10000"}},
      {{"--model.layers=10000", "--model.width=16000000"}, {"parameters", "smaller model"}},
      {{"--train.micro_batch=60000000", "--train.global_batch=60000000", "--model.context=60000000",
        "--train.sequence=60000000"},
       {"activations", "train.micro_batch"}},
      {{"--device.threads=2147483647"}, {"device.threads", "at most"}},
      {{"--parallel.deadline_s=1e300"}, {"parallel.deadline_s", "at most"}},
      // Numbers that a float or a formula does not take.
      {{"--train.eps=0"}, {"train.eps = 0", "above 0"}},
      {{"--model.rope_theta=1e300"}, {"model.rope_theta", "32-bit float"}},
      {{"--model.norm_eps=1e300"}, {"model.norm_eps", "32-bit float"}},
      {{"--model.norm_eps=1e-300"}, {"model.norm_eps", "above 0"}},
      // Phases of the learning rate that contradict each other.
      {{"--train.min_lr=0.01"}, {"train.min_lr = 0.01", "train.lr = 0.001"}},
      {{"--train.lr=0", "--train.min_lr=1e-9"}, {"train.min_lr = 1e-09", "train.lr = 0"}},
      {{"--train.lr=2e-5", "--train.min_lr=1e-4", "--train.schedule=linear"},
       {"train.min_lr = 0.0001", "train.lr = 2e-05"}},
      {{"--train.schedule=wsd", "--train.decay_steps=190"},
       {"train.decay_steps = 190", "step 10", "train.warmup = 20"}},
      {{"--train.schedule=wsd", "--train.decay_steps=5", "--train.steps=10"},
       {"train.decay_steps = 5", "train.warmup = 20"}},
      {{"--train.schedule=wsd", "--train.decay_steps=5", "--train.warmup=6", "--train.steps=10"}, {"train.warmup = 6"}},
      {{"--train.schedule=wsd", "--train.decay_steps=201"}, {"train.decay_steps = 201", "train.steps = 200"}},
      {{"--train.min_lr=-1"}, {"train.min_lr", "at least 0"}},
      {{"--data.tokenizer=bpe"}, {"data.tokenizer = 'bpe'", "byte"}},
      // Keys that do nothing in this setting.
      {{"--train.decay_steps=5"}, {"train.decay_steps", "does nothing", "wsd"}},
      {{"--train.schedule=constant", "--train.min_lr=1e-5"}, {"train.min_lr", "does nothing"}},
      {{"--model.family=gpt2", "--model.kv_heads=4", "--model.rope_theta=5000"}, {"model.rope_theta", "does nothing"}},
  };
  const auto rope_scaling = [](const std::string& factors) {
    return "--model.rope_scaling={rope_type = \"llama3\", " + factors + "}";
  };
  const std::string rest = ", low_freq_factor = 1, high_freq_factor = 4, original_max_position_embeddings = 8192";
  const std::vector<Mistake> scaling_mistakes = {
      {{rope_scaling("factor = 0.5" + rest)}, {"model.rope_scaling", "factor = 0.5", "at least 1"}},
      {{rope_scaling("factor = nan" + rest)}, {"model.rope_scaling", "factor", "finite"}},
      {{rope_scaling("factor = \"8\"" + rest)}, {"model.rope_scaling", "factor", "number"}},
      {{rope_scaling("fact = 8" + rest)}, {"model.rope_scaling", "unknown key fact", "factor = 8.0"}},
      {{rope_scaling("factor = 8, attention_factor = 1" + rest)}, {"unknown key attention_factor"}},
      {{rope_scaling("factor = 8, low_freq_factor = 1, high_freq_factor = 4")},
       {"original_max_position_embeddings is missing"}},
      {{rope_scaling("factor = 8, low_freq_factor = 4, high_freq_factor = 4, original_max_position_embeddings = 1")},
       {"low_freq_factor = 4", "below"}},
      {{rope_scaling("factor = 8, low_freq_factor = 0, high_freq_factor = 4, original_max_position_embeddings = 1")},
       {"low_freq_factor = 0", "above 0"}},
      {{rope_scaling("factor = 8, low_freq_factor = 1, high_freq_factor = 4, original_max_position_embeddings = 0")},
       {"original_max_position_embeddings = 0", "at least 1"}},
      {{rope_scaling("factor = 8, low_freq_factor = 1, high_freq_factor = 4, original_max_position_embeddings = 1.5")},
       {"original_max_position_embeddings = 1.5", "whole number"}},
      {{"--model.rope_scaling={rope_type = \"yarn\", factor = 8}"}, {"rope_type = \"yarn\"", "llama3"}},
      {{"--model.rope_scaling={factor = 8" + rest + "}"}, {"rope_type", "llama3"}},
      {{"--model.rope_scaling=8"}, {"model.rope_scaling", "table", "llama3"}},
      {{"--model.rope_scaling={rope_type"}, {"model.rope_scaling", "table"}},
      {{"--model.family=gpt2", "--model.kv_heads=4", rope_scaling("factor = 8" + rest)},
       {"model.rope_scaling", "does nothing"}},
      {{"--model.family=gpt2", "--model.kv_heads=4", "--model.qkv_bias"}, {"model.qkv_bias", "does nothing", "always"}},
      {{"--model.family=qwen3", "--model.qkv_bias"}, {"model.qkv_bias", "does nothing", "has none"}},
      {{"--model.family=mixtral"}, {"model.family", "use gpt2, llama, qwen2, qwen3 or mistral"}},
      {{"--model.head_dim=20"}, {"model.head_dim = 20", "llama", "leave it out"}},
      {{"--model.head_dim=-2"}, {"model.head_dim = -2"}},
      {{"--model.family=qwen3", "--model.head_dim=21"}, {"model.head_dim = 21", "even"}},
      {{"--model.family=qwen3", "--model.head_dim=67108866"}, {"model.head_dim = 67108866", "67108864"}},
  };
  mistakes.insert(mistakes.end(), scaling_mistakes.begin(), scaling_mistakes.end());
  for (const Mistake& mistake : mistakes) {
    const std::string message = message_of(good_text, mistake.overrides);
    for (const std::string& word : mistake.named) {
      CAPTURE(mistake.overrides.front(), message, word);
      CHECK(message.find(word) != std::string::npos);
    }
  }
}

TEST_CASE(
    "load_config: heads have model.head_dim channels in families that have such a size, else a part of the width") {
  const TextFile file(good_text);
  const Config plain = load_config(file.path, {}), qwen3 = load_config(file.path, {"--model.family=qwen3"});
  const int part = plain.model.width / plain.model.heads;
  CHECK((plain.model.head_dim == part && qwen3.model.head_dim == part));
  CHECK(qwen3.model.family == Family::qwen3);
  for (const char* family : {"qwen3", "mistral"}) {
    const Config own = load_config(file.path, {fmt::format("--model.family={}", family), "--model.head_dim=20"});
    CHECK(own.model.head_size() == 20);
    CHECK_THAT(agreed_text(own), Catch::Contains("model.head_dim = 20\n"));
    const TextFile again(print_config(own), "config_test_again.toml");
    CHECK(print_config(load_config(again.path, {})) == print_config(own));
  }
  CHECK(load_config(file.path, {"--model.family=qwen3", "--model.head_dim=20", "--model.width=50"}).model.width == 50);
}

TEST_CASE("load_config: Qwen2 is a family, and Llama with a qkv bias the same one") {
  const TextFile file(good_text);
  const Config named = load_config(file.path, {"--model.family=qwen2"}),
               biased = load_config(file.path, {"--model.qkv_bias"});
  CHECK((named.model.family == Family::qwen2 && named.model.qkv_bias));
  CHECK(print_config(named) == print_config(biased));
}

TEST_CASE("load_config: token files alone need no vocabulary of bytes") {
  const TextFile file(good_text);
  const std::string tokens = "--data.train=[\"a.bin\", \"b.bin\"]";
  CHECK(load_config(file.path, {tokens, "--model.vocab=65"}).model.vocab == 65);
  CHECK_THROWS_WITH(load_config(file.path, {tokens, "--data.valid=[\"c.txt\"]", "--model.vocab=65"}),
                    Catch::Contains("256"));
}

TEST_CASE("load_config: a plain number is a size in bytes, in the file too") {
  const TextFile file(std::string(good_text) + "[memory]\ndevice = 4096\n");
  CHECK(load_config(file.path, {}).memory.device == "4096");
  CHECK(load_config(file.path, {"--memory.device=8192"}).memory.device == "8192");
  CHECK_THROWS_WITH(load_config(file.path, {"--memory.device=-1"}), Catch::Contains("-1"));
}

TEST_CASE("load_config: where a text belongs, an override is taken as it is typed") {
  const TextFile file(good_text);
  for (const char* dir : {"2026", "2026-11-25", "1_000", "true", "0x10", "a b#c", "7#c", "[x]", "run.1"}) {
    CAPTURE(dir);
    CHECK(load_config(file.path, {fmt::format("--log.dir={}", dir)}).log.dir == dir);
    CHECK(load_config(file.path, {fmt::format("--log.dir=\"{}\"", dir)}).log.dir == dir);
  }
  CHECK(load_config(file.path, {"--log.dir="}).log.dir.empty());
}

TEST_CASE("load_config: min_lr follows lr unless it is given, and is printed resolved") {
  const TextFile file(good_text);
  CHECK(load_config(file.path, {}).train.min_lr == 1e-4);
  for (const double lr : {2e-5, 3e-3, 1.0, 0.0, 5e-324}) {
    for (const char* shape : {"cosine", "linear", "constant", "wsd"}) {
      std::vector<std::string> overrides = {fmt::format("--train.lr={}", lr),
                                            fmt::format("--train.schedule={}", shape)};
      if (shape == std::string("wsd")) overrides.push_back("--train.decay_steps=10");
      CAPTURE(lr, shape);
      const Config config = load_config(file.path, overrides);
      CHECK(config.train.min_lr == lr / 10);
      CHECK_THAT(agreed_text(config), Catch::Contains(fmt::format("train.min_lr = {}\n", lr / 10)));
      for (int step : {0, 20, 100, 199}) CHECK(lr_schedule(config).at(step) <= lr);
      const TextFile again(print_config(config), "config_test_again.toml");
      CHECK(print_config(load_config(again.path, {})) == print_config(config));
    }
  }
  CHECK(load_config(file.path, {"--train.lr=2e-5", "--train.min_lr=2e-5"}).train.min_lr == 2e-5);
  CHECK(load_config(file.path, {"--train.lr=2e-5", "--train.min_lr=0"}).train.min_lr == 0);
}

TEST_CASE("load_config: text is no data of a model folder unless tokenizer = \"byte\" is given") {
  const test::TemporaryFolder folder("config_test_text.tmp");
  ModelConfig model = test::folder_model("llama");
  model.vocab = 300;
  test::write_text(folder.path + "/config.json", test::folder_config(model, hf::Storage::bf16));
  const auto text_of = [&](const std::string& data) {
    return "[model]\nhf = \"" + folder.path + "\"\n[data]\n" + data + "\n[train]\nsequence = 16\n";
  };
  const std::string texts = "train = [\"a.bin\", \"b.txt\"]", valid = "train = [\"a.bin\"]\nvalid = [\"c.md\"]";
  const std::string tokens = "train = [\"a.bin\"]\nvalid = [\"b.bin\"]";
  CHECK_THAT(message_of(text_of(texts), {}), Catch::Contains("b.txt: text") && Catch::Contains("model.hf") &&
                                                 Catch::Contains(".bin") &&
                                                 Catch::Contains("data.tokenizer = \"byte\""));
  CHECK_THAT(message_of(text_of(valid), {}), Catch::Contains("c.md: text"));
  CHECK_THAT(message_of(text_of(tokens), {"--data.train=[\"corpus\"]"}), Catch::Contains("corpus: text"));
  CHECK_THAT(message_of(text_of(texts + "\ntokenizer = \"none\""), {}), Catch::Contains("b.txt: text"));
  const auto load = [](const std::string& text, const std::vector<std::string>& overrides) {
    const TextFile file(text);
    return load_config(file.path, overrides);
  };
  CHECK(load(text_of(texts + "\ntokenizer = \"byte\""), {}).data.tokenizer == "byte");
  CHECK(load(text_of(valid), {"--data.tokenizer=byte"}).data.tokenizer == "byte");
  for (const std::string& data : {tokens, texts + "\ntokenizer = \"byte\""}) {
    const std::string printed = print_config(load(text_of(data), {}));
    CHECK(print_config(load(printed, {})) == printed);
  }
  CHECK(load(text_of(tokens), {}).data.tokenizer == "none");
  // Without a folder text is bytes, as ever, unless that is ruled out.
  CHECK(load(good_text, {}).data.tokenizer == "byte");
  CHECK_THAT(message_of(good_text, {"--data.tokenizer=none"}),
             Catch::Contains("a.txt: text, and data.tokenizer = 'none'; tokenize"));
}

TEST_CASE("load_config: a WSD run may have no steps") {
  const TextFile file(good_text);
  CHECK(
      load_config(file.path, {"--train.schedule=wsd", "--train.decay_steps=10", "--train.steps=0"}).train.decay_steps ==
      10);
}

TEST_CASE("check_plannable: too many pairs of layer and microbatch are refused before they are built") {
  const TextFile file(good_text);
  const Config config =
      load_config(file.path, {"--model.layers=1000", "--train.global_batch=400", "--train.micro_batch=2"});
  CHECK_NOTHROW(check_plannable(config, 2));
  CHECK_THROWS_WITH(check_plannable(config, 1), Catch::Contains("model.layers = 1000") &&
                                                    Catch::Contains("train.global_batch") && Catch::Contains("100000"));
}

TEST_CASE("check_plannable: reduces of groups that span ranks count, too") {
  const TextFile file(good_text);
  const Config config = load_config(
      file.path, {"--model.layers=100", "--train.global_batch=4096", "--train.micro_batch=1", "--train.sum_group=4"});
  CHECK_NOTHROW(check_plannable(config, 1024));
  CHECK_THROWS_WITH(check_plannable(config, 4096),
                    Catch::Contains("train.sum_group = 4") && Catch::Contains("larger sum_group"));
}

TEST_CASE("check_limits: more layers than are planned in some seconds are refused, with the limit and what to do") {
  const TextFile file(good_text);
  CHECK_NOTHROW(load_config(file.path, {"--model.layers=10000"}));
  CHECK_THROWS_WITH(load_config(file.path, {"--model.layers=100000"}), Catch::Contains("model.layers = 100000") &&
                                                                           Catch::Contains("at most 10000") &&
                                                                           Catch::Contains("fewer"));
}

TEST_CASE("load_config: mistakes in the file name its line") {
  CHECK(message_of("[model]\nlayers = 2\n[chekpoint]\n", {}).find("config_test.toml:3: unknown section [chekpoint]") !=
        std::string::npos);
  CHECK(message_of("[[model]]\nlayers = 2\n", {}).find("write [model]") != std::string::npos);
  CHECK_THROWS_WITH(load_config("/tmp", {}), Catch::Contains("is a folder"));
  CHECK_THROWS_WITH(load_config(std::string(5000, 'x'), {}), Catch::Contains("too long"));
  CHECK(message_of("[model]\nlayers = 2\nwidht = 3\n", {}).find("config_test.toml:3") != std::string::npos);
  CHECK(message_of("[model]\nlayers = \"two\"\n", {}).find("config_test.toml:2") != std::string::npos);
  CHECK(message_of("[model\n", {}).find("config_test.toml:1") != std::string::npos);
  CHECK(message_of("layers = 2\n", {}).find("outside a section") != std::string::npos);
  CHECK(message_of("", {}).find("model.layers") != std::string::npos);
  CHECK_THROWS_WITH(load_config("nowhere.toml", {}),
                    Catch::Contains("nowhere.toml") && Catch::Contains("no such file"));
}

TEST_CASE("load_config: model.hf takes the model from a folder, and what it resolves to loads again") {
  const test::TemporaryFolder folder("config_test_folder.tmp");
  for (const char* kind : test::folder_kinds) {
    const ModelConfig model = test::folder_model(kind);
    test::write_text(folder.path + "/config.json", test::folder_config(model, hf::Storage::bf16));
    const std::string text =
        "[model]\nhf = \"" + folder.path + "\"\n[data]\ntrain = [\"a.bin\"]\n[train]\nsequence = 16\n";
    const TextFile file(text);
    const Config config = load_config(file.path, {});
    CHECK(
        (config.model.family == model.family && config.model.vocab == 131 && config.model.kv_heads == model.kv_heads));
    CHECK((config.model.context == 24 && config.model.tied == model.tied &&
           config.model.rope_scaling == model.rope_scaling));
    CHECK(trainer_settings(config, 1).load);
    const std::string printed = print_config(config);
    CHECK_THAT(printed,
               Catch::Contains("hf = '" + folder.path + "'") || Catch::Contains("hf = \"" + folder.path + "\""));
    const TextFile again(printed, "config_test_again.toml");
    CHECK(print_config(load_config(again.path, {})) == printed);
    CHECK(agreed_text(config).find("model.hf") == std::string::npos);
    CHECK(load_config(file.path, {"--model.width=36", "--model.vocab=131"}).model.width == 36);
    CHECK_THAT(message_of(text, {"--model.width=48"}),
               Catch::Contains("model.width = 48") && Catch::Contains("has 36; leave model.width out"));
    CHECK_THAT(message_of(text, {std::string("--model.tied=") + (model.tied ? "false" : "true")}),
               Catch::Contains("model.tied"));
    CHECK_THAT(message_of(text, {"--train.sequence=25"}), Catch::Contains("longer than model.context = 24"));
  }
  // What acts on longer sequences alone is refused by the run's.
  std::string windows = test::folder_config(test::folder_model("qwen2"), hf::Storage::bf16);
  windows.insert(1, R"("use_sliding_window": true, "sliding_window": 16, "max_window_layers": 1, )");
  test::write_text(folder.path + "/config.json", windows);
  const std::string text =
      "[model]\nhf = \"" + folder.path + "\"\n[data]\ntrain = [\"a.bin\"]\n[train]\nsequence = 16\n";
  CHECK_THAT(message_of(text, {"--train.sequence=17"}),
             Catch::Contains("sliding_window = 16") && Catch::Contains("train.sequence = 17"));
  const TextFile file(text);
  CHECK(load_config(file.path, {}).dropout == "refuse");
  CHECK(load_config(file.path, {"--model.dropout=ignore"}).dropout == "ignore");
  CHECK_THAT(message_of(text, {"--model.dropout=0.1"}), Catch::Contains("model.dropout = '0.1'; use refuse, ignore"));
  CHECK_THAT(message_of(good_text, {"--model.dropout=ignore"}),
             Catch::Contains("model.dropout: does nothing without model.hf"));
  CHECK_THAT(message_of(good_text, {"--model.hf=nowhere"}), Catch::Contains("model.hf = nowhere: no such folder"));
  std::filesystem::remove(folder.path + "/config.json");
  CHECK_THAT(message_of(good_text, {"--model.hf=" + folder.path}), Catch::Contains("config.json"));
}
