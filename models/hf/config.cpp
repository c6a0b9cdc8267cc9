#include "models/hf/config.h"

#include <algorithm>
#include <cctype>

#include "models/families/family.h"
#include "models/hf/folder_format.h"

namespace trireme::hf {
namespace {

// Parts of names that say another function than model_type does: a head for another task, or another family. Any other
// name is that of a wrapper or of a model without its head, and transformers does not ask for it.
constexpr const char* foreign_parts[] = {"forsequenceclassification",
                                         "fortokenclassification",
                                         "forquestionanswering",
                                         "formultiplechoice",
                                         "forconditionalgeneration",
                                         "mistral",
                                         "mixtral",
                                         "gemma",
                                         "qwen3",
                                         "moe"};

bool is_foreign(const Json& name, Family family) {
  if (!name.is_string()) return false;
  std::string lower = name.get<std::string>();
  for (char& letter : lower) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return std::any_of(std::begin(foreign_parts), std::end(foreign_parts), [&](const std::string& part) {
    return part != trireme::name(family) && lower.find(part) != std::string::npos;
  });
}

// Of all families. Pruned heads, cross attention and layers of their own have tensors that ours lack.
void check_common(const Keys& keys, Family family) {
  const Json* names = keys.find("architectures");
  const auto foreign = [&](const Json& name) { return is_foreign(name, family); };
  if (names && (foreign(*names) || std::any_of(names->begin(), names->end(), foreign)))
    keys.refuse("architectures", *names, "another head or family; a language model of model_type is trained here");
  keys.no_null({"is_causal"});  // it would be false
  keys.only({{"quantization_config", nullptr},
             {"add_cross_attention", false},
             {"pruned_heads", Json::object()},
             {"per_layer_config", Json::object()},
             {"is_causal", true}});
}

Family family_in(const Keys& keys) {
  const std::string type = keys.text("model_type", "");
  if (const std::optional<Family> family = find_family(type)) return *family;
  keys.refuse(type.empty() ? "model_type is missing" : fmt::format("model_type = {}", shown(type)),
              family_names(" and ") + " are read");
}

}  // namespace

FolderConfig read_config(std::string_view text, const std::string& where) {
  const Json object = parse_object(quote_special_numbers(text), ErrorKind::config, where);
  Keys keys(object, where);
  const Family family = family_in(keys);
  check_common(keys, family);
  FolderConfig config = rules_of(family).folder.read(keys);
  config.missing = keys.missing();
  try {
    validate(config.model);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}{}", where, error.what(), config.missing));
  }
  config.model.head_dim = config.model.head_size();
  return config;
}

void check_sequence(const FolderConfig& config, int tokens, const std::string& where) {
  for (const SequenceLimit& limit : config.limits)
    require(tokens <= limit.tokens, ErrorKind::config,
            "{}: {} acts on sequences of more than {} tokens, which is not computed here, and train.sequence = {}; use "
            "shorter sequences",
            where, limit.what, limit.tokens, tokens);
}

std::string write_config(const ModelConfig& model, Storage type) {
  const Family family = family_of(model);
  const FolderFormat& format = rules_of(family).folder;
  OrderedJson json{{"architectures", {format.architecture}}, {"model_type", name(family)}};
  json.update(format.write(model));
  json["tie_word_embeddings"] = model.tied;
  // The tokens of a model from nowhere have no meaning yet; transformers' defaults would be those of other models.
  for (const char* key : {"bos_token_id", "eos_token_id"}) json[key] = nullptr;
  json["torch_dtype"] = torch_name(type);
  return json.dump(2) + "\n";
}

std::string rewrite_config(std::string_view text, std::optional<Storage> type) {
  if (!type) return std::string(text);
  OrderedJson json = OrderedJson::parse(quote_special_numbers(text));
  json[json.contains("dtype") ? "dtype" : "torch_dtype"] = torch_name(*type);
  if (json.contains("torch_dtype")) json["torch_dtype"] = torch_name(*type);
  return unquote_special_numbers(json.dump(2)) + "\n";
}

}  // namespace trireme::hf
