#include "models/hf/tensor_map.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "models/hf/model_folder.h"
#include "runtime/base/error.h"
#include "tests/models/hf/test_folder.h"

using namespace trireme;
using namespace trireme::test;
using Catch::Contains;

namespace {

/// A folder of one kind whose tensors a test changes.
struct Changed {
  explicit Changed(const char* kind) : model(folder_model(kind)), path(std::string("tensor_map_test.") + kind) {
    write_text(path.path + "/config.json", folder_config(model, hf::Storage::f16));
    reset();
  }
  void reset() {
    tensors = folder_tensors(model, hf::Storage::f16, model.family == Family::gpt2 ? "transformer." : "model.");
  }
  std::string message() const {
    write_text(path.path + "/model.safetensors", safetensors_text(tensors));
    try {
      const hf::ModelFolder folder(path.path);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::data);
      return error.what();
    }
    return "no error";
  }
  RawTensor& find(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const RawTensor& t) { return t.name == name; });
  }
  void erase(const std::string& name) {
    std::erase_if(tensors, [&](const RawTensor& t) { return t.name == name; });
  }

  ModelConfig model;
  TemporaryFolder path;
  std::vector<RawTensor> tensors;
};

}  // namespace

TEST_CASE("tensor map: names without the model's prefix, as older GPT-2 folders have them, are found") {
  Changed gpt2("gpt2-untied"), qwen2("qwen2");
  CHECK(gpt2.message() == "no error");
  gpt2.tensors = folder_tensors(gpt2.model, hf::Storage::f16, "");
  CHECK(gpt2.message() == "no error");
  qwen2.tensors = folder_tensors(qwen2.model, hf::Storage::f16, "");
  CHECK(qwen2.message() == "no error");
  qwen2.find("norm.weight").name = "model.norm.weight";  // half of them
  CHECK_THAT(qwen2.message(), Contains("missing: norm.weight") && Contains("extra: model.norm.weight"));
}

TEST_CASE("tensor map: masks and frequencies of older folders are no parameters and are left alone") {
  Changed gpt2("gpt2"), llama("llama");
  gpt2.tensors.push_back({"transformer.h.0.attn.bias", "U8", {1, 1, 2, 2}, "1234"});
  gpt2.tensors.push_back({"transformer.h.0.attn.masked_bias", "F32", {}, "1234"});
  CHECK(gpt2.message() == "no error");
  llama.tensors.push_back({"model.layers.1.self_attn.rotary_emb.inv_freq", "F32", {1}, "1234"});
  CHECK(llama.message() == "no error");
}

TEST_CASE("tensor map: missing, extra and misshapen tensors are listed, the first few, before anything is read") {
  Changed llama("llama");
  llama.erase("model.layers.1.self_attn.k_proj.weight");
  CHECK_THAT(llama.message(), Contains("missing: model.layers.1.self_attn.k_proj.weight"));
  llama.reset();
  llama.tensors.push_back({"model.layers.2.input_layernorm.weight", "F16", {1}, "12"});
  CHECK_THAT(llama.message(), Contains("extra: model.layers.2.input_layernorm.weight"));
  llama.reset();
  std::reverse(llama.find("lm_head.weight").shape.begin(), llama.find("lm_head.weight").shape.end());
  CHECK_THAT(llama.message(), Contains("lm_head.weight [36, 131] instead of [131, 36]"));
  llama.reset();
  llama.erase("lm_head.weight");
  CHECK_THAT(llama.message(), Contains("missing: lm_head.weight"));
  llama.tensors.resize(3);
  CHECK_THAT(llama.message(), Contains("and 13 more"));
  Changed gpt2("gpt2");
  RawTensor& qkv = gpt2.find("transformer.h.0.attn.c_attn.weight");
  std::reverse(qkv.shape.begin(), qkv.shape.end());  // as Linear would store it
  CHECK_THAT(gpt2.message(), Contains("transformer.h.0.attn.c_attn.weight [108, 36] instead of [36, 108]"));
  Changed qwen2("qwen2");
  qwen2.erase("model.layers.0.self_attn.q_proj.bias");
  CHECK_THAT(qwen2.message(), Contains("missing: model.layers.0.self_attn.q_proj.bias"));
}

TEST_CASE("tensor map: a number of layers that the folder cannot hold is refused before anything is made of it") {
  Changed llama("llama");
  llama.model.layers = 60'000'000;
  write_text(llama.path.path + "/config.json", folder_config(llama.model, hf::Storage::f16));
  CHECK_THAT(llama.message(), Contains("says 60000000 layers and there are 21 tensors"));
}

TEST_CASE("tensor map: parameters of other types, and a tied head of another shape or type, are refused") {
  Changed llama("llama"), gpt2("gpt2");
  RawTensor& norm = llama.find("model.norm.weight");
  norm.type = "I16";
  CHECK_THAT(llama.message(), Contains("model.norm.weight has type I16"));
  const RawTensor table = gpt2.find("transformer.wte.weight");
  gpt2.tensors.push_back({"lm_head.weight", "BF16", table.shape, table.bytes});
  CHECK_THAT(gpt2.message(), Contains("lm_head.weight BF16 beside F16"));
  gpt2.tensors.back() = {"lm_head.weight", "F16", {36, 131}, table.bytes};
  CHECK_THAT(gpt2.message(), Contains("lm_head.weight [36, 131] instead of [131, 36]"));
}

TEST_CASE("tensor map: a tied model that holds only its head, as save_model leaves it, has its table there") {
  for (const char* kind : {"gpt2", "qwen2"}) {
    Changed folder(kind);
    const std::string table =
        folder.model.family == Family::gpt2 ? "transformer.wte.weight" : "model.embed_tokens.weight";
    folder.find(table).name = "lm_head.weight";
    CHECK(folder.message() == "no error");
    CHECK(token_table_of(hf::ModelFolder(folder.path.path).map).name == "lm_head.weight");
    folder.find("lm_head.weight").type = "I16";
    CHECK_THAT(folder.message(), Contains("lm_head.weight has type I16"));
    folder.erase("lm_head.weight");
    CHECK_THAT(folder.message(), Contains("missing: " + table));
    folder.tensors = folder_tensors(folder.model, hf::Storage::f16, "");
    folder.find(table.substr(table.find('.') + 1)).name = "lm_head.weight";
    CHECK(folder.message() == "no error");
  }
  Changed untied("llama");
  untied.erase("model.embed_tokens.weight");
  CHECK_THAT(untied.message(), Contains("missing: model.embed_tokens.weight"));
}

TEST_CASE("tensor map: where tensors do not fit, the sizes that config.json lacks are named with it") {
  Changed llama("llama"), gpt2("gpt2");
  const auto without = [](const Changed& folder, const char* line) {
    std::string text = folder_config(folder.model, hf::Storage::f16);
    const std::size_t at = text.find(line);
    text.erase(at, text.find(',', at) + 1 - at);
    write_text(folder.path.path + "/config.json", text);
    return folder.message();
  };
  CHECK_THAT(
      without(llama, "\"vocab_size\""),
      Contains("instead of [32000, 36]") && Contains("vocab_size is missing, for which transformers takes 32000"));
  CHECK_THAT(without(llama, "\"num_hidden_layers\""),
             Contains("32 layers") && Contains("num_hidden_layers is missing"));
  CHECK_THAT(without(gpt2, "\"n_positions\""), Contains("instead of [1024, 36]") && Contains("n_positions is missing"));
  CHECK(without(llama, "\"max_position_embeddings\"") == "no error");
}
