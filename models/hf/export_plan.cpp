#include "models/hf/export_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace trireme::hf {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct Entry {
  const Piece* piece;
  Storage type;
  Bytes bytes() const { return piece->elems() * size_bytes(type); }
};

std::vector<Entry> entries_of(const TensorMap& map, const std::function<Storage(const Piece&)>& type_of) {
  std::vector<Entry> entries;
  for (const auto& unit : map)
    for (const auto& tensor : unit)
      for (const Piece& piece : tensor) entries.push_back({&piece, type_of(piece)});
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return size_bytes(a.type) > size_bytes(b.type); });
  return entries;
}

std::vector<std::vector<Entry>> split(const std::vector<Entry>& entries, Bytes most_bytes) {
  std::vector<std::vector<Entry>> files(1);
  Bytes bytes = 0;
  for (const Entry& entry : entries) {
    if (!files.back().empty() && bytes + entry.bytes() > most_bytes) {
      files.emplace_back();
      bytes = 0;
    }
    files.back().push_back(entry);
    bytes += entry.bytes();
  }
  return files;
}

std::string file_name(std::size_t number, std::size_t count) {
  return count == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", number + 1, count);
}

// Blanks behind the JSON: the tensors begin at a multiple of 8 bytes.
std::string header_of(const std::vector<Entry>& entries) {
  OrderedJson json;
  json["__metadata__"] = {{"format", "pt"}};
  Bytes at = 0;
  for (const Entry& entry : entries) {
    json[entry.piece->name] = {{"dtype", safetensors_name(entry.type)},
                               {"shape", entry.piece->shape()},
                               {"data_offsets", {at, at + entry.bytes()}}};
    at += entry.bytes();
  }
  std::string text = json.dump();
  text.resize(static_cast<std::size_t>(align_up(static_cast<Bytes>(text.size()), 8)), ' ');
  std::string header(8, '\0');
  for (std::size_t i = 0; i < header.size(); ++i) header[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  return header + text;
}

}  // namespace

Bytes ExportPlan::total_bytes() const {
  Bytes sum = 0;
  for (const ExportFile& file : files) sum += file.bytes;
  return sum;
}

ExportPlan plan_export(const TensorMap& map, const std::function<Storage(const Piece&)>& type_of, Bytes most_bytes) {
  const std::vector<Entry> entries = entries_of(map, type_of);
  const std::vector<std::vector<Entry>> files = split(entries, most_bytes);
  ExportPlan plan;
  std::map<std::string, std::string> weight_map;
  Bytes tensor_bytes = 0;
  for (std::size_t f = 0; f < files.size(); ++f) {
    ExportFile file{.name = file_name(f, files.size()), .header = header_of(files[f])};
    file.bytes = static_cast<Bytes>(file.header.size());
    for (const Entry& entry : files[f]) {
      plan.places[entry.piece->name] = {f, file.bytes, entry.type};
      weight_map[entry.piece->name] = file.name;
      file.bytes += entry.bytes();
      tensor_bytes += entry.bytes();
    }
    plan.files.push_back(std::move(file));
  }
  if (files.size() > 1)
    plan.index = OrderedJson{{"metadata", {{"total_size", tensor_bytes}}}, {"weight_map", weight_map}}.dump(2) + "\n";
  return plan;
}

}  // namespace trireme::hf
