#include "models/hf/weights.h"

#include <filesystem>

#include "models/hf/json.h"
#include "runtime/base/error.h"
#include "runtime/base/unfetched_file.h"

namespace trireme::hf {
namespace {

constexpr const char *single_name = "model.safetensors", *index_name = "model.safetensors.index.json";
constexpr Bytes longest_index_bytes = 100'000'000;

using FileOfTensor = std::map<std::string, std::string>;

// A folder from elsewhere must not make this program open what lies outside it.
bool is_plain(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

FileOfTensor read_index(const std::string& path) {
  const InputFile file = open_fetched(path);
  require(file.size_bytes() <= longest_index_bytes, ErrorKind::data, "{}: {} bytes are too long for an index", path,
          file.size_bytes());
  std::string text(static_cast<std::size_t>(file.size_bytes()), '\0');
  file.read(0, text.data(), file.size_bytes());
  const Json index = parse_object(quote_special_numbers(text), ErrorKind::data, path);
  const auto map = index.find("weight_map");
  require(map != index.end() && map->is_object() && !map->empty(), ErrorKind::data,
          "{}: it has no weight_map of tensors to files; fetch it again", path);
  FileOfTensor files;
  for (const auto& [tensor, shard] : map->items()) {
    require(shard.is_string() && is_plain(shard.get<std::string>()), ErrorKind::data,
            "{}: weight_map: {} = {}: expected the name of a file in this folder", path, shown(tensor), shown(shard));
    files[tensor] = shard.get<std::string>();
  }
  return files;
}

void check_index(const FileOfTensor& index, const std::map<std::string, WeightPlace, std::less<>>& places,
                 const std::string& path) {
  for (const auto& [tensor, shard] : index) {
    const auto found = places.find(tensor);
    require(found != places.end() && std::filesystem::path(found->second.file->path()).filename() == shard,
            ErrorKind::data, "{}: {} lacks the tensor {} that weight_map says it has; fetch both again", path, shard,
            shown(tensor));
  }
  for (const auto& [tensor, place] : places)
    require(index.contains(tensor), ErrorKind::data, "{}: weight_map lacks the tensor {} of {}; fetch both again", path,
            shown(tensor), place.file->path());
}

}  // namespace

Weights::Weights(const std::string& folder) : folder_(folder) {
  const std::string single = folder + "/" + single_name, index_path = folder + "/" + index_name;
  FileOfTensor index;
  if (is_there(single)) {
    files_.emplace_back(single);
  } else {
    require(is_there(index_path), ErrorKind::data,
            "{}: neither {} nor {} is there; other formats (.bin, .gguf) are not read: "
            "save the model with save_pretrained(..., safe_serialization=True)",
            folder, single_name, index_name);
    index = read_index(index_path);
    std::map<std::string, bool> shards;
    for (const auto& [tensor, shard] : index) shards[shard] = true;
    files_.reserve(shards.size());
    for (const auto& [shard, used] : shards) files_.emplace_back(folder + "/" + shard);
  }
  for (const SafetensorsFile& file : files_)
    for (const StoredTensor& tensor : file.tensors())
      require(places_.try_emplace(tensor.name, WeightPlace{&file, &tensor}).second, ErrorKind::data,
              "{}: tensor {} stands in another file of the folder, too; remove one of them", file.path(),
              shown(tensor.name));
  if (!index.empty()) check_index(index, places_, index_path);
}

WeightPlace Weights::find(std::string_view name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? WeightPlace() : found->second;
}

void Weights::read(const WeightPlace& place, Elems first, Elems elems, void* out) const {
  const Bytes width = size_bytes(storage_of(place));
  ensure(first >= 0 && elems >= 0 && (first + elems) * width <= place.tensor->bytes, "elements {}+{} of tensor {}",
         first, elems, place.tensor->name);
  place.file->read(place.tensor->begin + first * width, out, elems * width);
}

std::string Weights::summary() const {
  std::string text;
  for (const SafetensorsFile& file : files_)
    text += fmt::format("{} {} bytes, header xxh3 {:016x}\n", std::filesystem::path(file.path()).filename().string(),
                        file.size_bytes(), file.header_hash());
  return text;
}

Storage storage_of(const WeightPlace& place) {
  const std::optional<Storage> type = find_storage(place.tensor->type);
  require(type.has_value(), ErrorKind::data,
          "{}: tensor {} has type {}; parameters are F32, BF16 or F16: save the model in one of them",
          place.file->path(), place.tensor->name, place.tensor->type);
  return *type;
}

}  // namespace trireme::hf
