#include "models/hf/safetensors.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "models/hf/json.h"
#include "runtime/base/unfetched_file.h"

namespace trireme::hf {
namespace {

constexpr Bytes length_bytes = 8, longest_header_bytes = 100'000'000;
constexpr auto most = std::numeric_limits<std::int64_t>::max();
constexpr const char* damaged = "the file is damaged or was not copied whole: fetch it again";

constexpr std::array<std::pair<const char*, Bytes>, 16> types = {{{"BOOL", 1},
                                                                  {"U8", 1},
                                                                  {"I8", 1},
                                                                  {"F8_E4M3", 1},
                                                                  {"F8_E5M2", 1},
                                                                  {"F8_E8M0", 1},
                                                                  {"I16", 2},
                                                                  {"U16", 2},
                                                                  {"F16", 2},
                                                                  {"BF16", 2},
                                                                  {"I32", 4},
                                                                  {"U32", 4},
                                                                  {"F32", 4},
                                                                  {"I64", 8},
                                                                  {"U64", 8},
                                                                  {"F64", 8}}};

std::optional<Bytes> type_bytes(const std::string& name) {
  for (const auto& [type, bytes] : types)
    if (name == type) return bytes;
  return std::nullopt;
}

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("{}: {}; {}", where, what, damaged));
}

std::string read_header(const InputFile& file) {
  const Bytes size = file.size_bytes();
  if (size < length_bytes) refuse(file.path(), fmt::format("{} bytes are too few for a safetensors file", size));
  std::uint64_t length = 0;
  file.read(0, &length, length_bytes);
  const auto longest = static_cast<std::uint64_t>(std::min(longest_header_bytes, size - length_bytes));
  if (length > longest)
    refuse(file.path(), fmt::format("its header of {} bytes is longer than {}", length,
                                    size - length_bytes < longest_header_bytes ? "the file" : "100 MB"));
  std::string header(static_cast<std::size_t>(length), '\0');
  file.read(length_bytes, header.data(), static_cast<Bytes>(length));
  // The format wants the brace first: no blank, no mark of byte order.
  if (!header.starts_with('{')) refuse(file.path(), "its header does not begin with '{'");
  return header;
}

void check_metadata(const Json& metadata, const std::string& path) {
  const bool holds = metadata.is_object() &&
                     std::all_of(metadata.begin(), metadata.end(), [](const Json& v) { return v.is_string(); });
  if (!holds) refuse(path, fmt::format("__metadata__ = {} is no object of texts", shown(metadata)));
}

Bytes checked_bytes(const StoredTensor& tensor, const std::string& where) {
  const std::optional<Bytes> width = type_bytes(tensor.type);
  if (!width) refuse(where, fmt::format("dtype = {} is unknown", shown(tensor.type)));
  Bytes bytes = *width;
  for (const Elems size : tensor.shape)
    if (__builtin_mul_overflow(bytes, size, &bytes))
      refuse(where, fmt::format("shape {} has more elements than can be", shape_text(tensor.shape)));
  return bytes;
}

// Offsets are relative to the end of the header, `data_begin`.
StoredTensor read_tensor(const std::string& name, const Json& entry, Bytes data_begin, const InputFile& file) {
  const std::string where = fmt::format("{}: tensor {}", file.path(), shown(name));
  if (name.empty() || name.find('\0') != std::string::npos) refuse(where, "is no name");
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets"))
    refuse(where, fmt::format("{}: expected dtype, shape and data_offsets", shown(entry)));
  StoredTensor tensor{.name = name};
  const Json &type = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
  if (!type.is_string()) refuse(where, fmt::format("dtype = {} is no text", shown(type)));
  tensor.type = type.get<std::string>();
  if (!shape.is_array()) refuse(where, fmt::format("shape = {} is no list", shown(shape)));
  for (const Json& size : shape) tensor.shape.push_back(whole_number(size, most, ErrorKind::data, where + ": shape"));
  if (!offsets.is_array() || offsets.size() != 2)
    refuse(where, fmt::format("data_offsets = {} are not two", shown(offsets)));
  const Bytes data_bytes = file.size_bytes() - data_begin;
  const Bytes begin = whole_number(offsets[0], most, ErrorKind::data, where + ": data_offsets");
  const Bytes end = whole_number(offsets[1], most, ErrorKind::data, where + ": data_offsets");
  if (std::max(begin, end) > data_bytes)
    refuse(where,
           fmt::format("data_offsets = {} reach beyond the file's {} bytes of tensors", shown(offsets), data_bytes));
  const Bytes bytes = checked_bytes(tensor, where);
  if (end < begin || end - begin != bytes)
    refuse(where, fmt::format("data_offsets = {} and {} of {}, which are {} bytes", shown(offsets), tensor.type,
                              shape_text(tensor.shape), bytes));
  tensor.begin = data_begin + begin;
  tensor.bytes = bytes;
  return tensor;
}

// Sorted by their place, each begins where the one before ends.
void check_places(const std::vector<StoredTensor>& tensors, Bytes data_begin, const InputFile& file) {
  Bytes at = data_begin;
  for (const StoredTensor& tensor : tensors) {
    const std::string where = fmt::format("{}: tensor {}", file.path(), shown(tensor.name));
    if (tensor.begin < at)
      refuse(where, fmt::format("its {} bytes overlap those of the tensor before it", tensor.bytes));
    if (tensor.begin > at) refuse(where, fmt::format("{} bytes before it belong to no tensor", tensor.begin - at));
    at += tensor.bytes;
  }
  if (at != file.size_bytes())
    refuse(file.path(), fmt::format("its last {} bytes belong to no tensor", file.size_bytes() - at));
}

}  // namespace

std::string shape_text(const std::vector<Elems>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(open_fetched(path)) {
  const std::string header = read_header(file_);
  header_hash_ = XXH3_64bits(header.data(), header.size());
  const Bytes data_begin = length_bytes + static_cast<Bytes>(header.size());
  const Json parsed = parse_object(header, ErrorKind::data, path);
  for (const auto& [name, entry] : parsed.items())
    if (name == "__metadata__")
      check_metadata(entry, path);
    else
      tensors_.push_back(read_tensor(name, entry, data_begin, file_));
  std::sort(tensors_.begin(), tensors_.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::tie(a.begin, a.bytes, a.name) < std::tie(b.begin, b.bytes, b.name);
  });
  check_places(tensors_, data_begin, file_);
}

}  // namespace trireme::hf
