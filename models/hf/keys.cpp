#include "models/hf/keys.h"

#include <cmath>

namespace trireme::hf {
namespace {

constexpr int most_size = 1 << 26;  // so that no product of sizes leaves its type

// Python writes 8192.0 for a number that was computed.
Json without_point(const Json& value) {
  if (!value.is_number_float()) return value;
  const double number = value.get<double>();
  const bool is_whole = number >= 0 && number <= most_size && number == std::floor(number);
  return is_whole ? Json(static_cast<std::uint64_t>(number)) : value;
}

}  // namespace

const Json* Keys::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

int Keys::integer(const char* key, int otherwise) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  return static_cast<int>(whole_number(without_point(*value), most_size, ErrorKind::config, where_ + ": " + key));
}

int Keys::size(const char* key, int otherwise) {
  if (!find(key)) missing_.push_back(fmt::format("{} is missing, for which transformers takes {}", key, otherwise));
  return integer(key, otherwise);
}

double Keys::number(const char* key, double otherwise) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  if (!value->is_number() || !std::isfinite(value->get<double>())) refuse(key, *value, "expected a finite number");
  return value->get<double>();
}

double Keys::required_number(const char* key) const {
  if (!find(key)) refuse(fmt::format("{} is missing", key), "give it");
  return number(key, 0);
}

float Keys::small_number(const char* key, double otherwise) const {
  const auto value = static_cast<float>(number(key, otherwise));
  if (!std::isfinite(value)) refuse(key, *find(key), "it must fit a 32-bit float");
  return value;
}

bool Keys::flag(const char* key, bool otherwise) const {
  const Json* value = find(key);
  if (value && !value->is_boolean()) refuse(key, *value, "expected true or false");
  return value ? value->get<bool>() : otherwise;
}

std::string Keys::text(const char* key, const std::string& otherwise) const {
  const Json* value = find(key);
  if (value && !value->is_string()) refuse(key, *value, "expected a text");
  return value ? value->get<std::string>() : otherwise;
}

void Keys::only(std::initializer_list<OnlyValue> settings) const {
  for (const OnlyValue& setting : settings)
    if (const Json* value = find(setting.key); value && *value != setting.value)
      refuse(setting.key, *value, fmt::format("models are computed here with {} alone", shown(setting.value)));
}

void Keys::no_null(std::initializer_list<const char*> keys) const {
  for (const char* key : keys)
    if (has(key) && !find(key)) refuse(key, nullptr, "give a value, or leave the key out for transformers' default");
}

std::string Keys::missing() const { return missing_.empty() ? "" : fmt::format("; {}", fmt::join(missing_, "; ")); }

void Keys::refuse(const char* key, const Json& value, const std::string& what_to_do) const {
  refuse(fmt::format("{} = {}", key, shown(value)), what_to_do);
}

void Keys::refuse(const std::string& what, const std::string& what_to_do) const {
  throw Error(ErrorKind::config, fmt::format("{}: {}; {}", where_, what, what_to_do));
}

}  // namespace trireme::hf
