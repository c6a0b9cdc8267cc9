#include "models/hf/json.h"

#include <algorithm>
#include <set>
#include <vector>

namespace trireme::hf {
namespace {

constexpr int deepest = 16;

/// Refuses while the text is read what the finished tree would not show: a second value of a key, and nesting without
/// end.
class Watch {
 public:
  Watch(ErrorKind kind, const std::string& where) : kind_(kind), where_(where) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    require(depth <= deepest, kind_, "{}: values are nested deeper than {}; the file is damaged", where_, deepest);
    switch (event) {
      case Json::parse_event_t::object_start: keys_.emplace_back(); break;
      case Json::parse_event_t::object_end: keys_.pop_back(); break;
      case Json::parse_event_t::key:
        require(keys_.back().insert(parsed.get<std::string>()).second, kind_,
                "{}: key {} stands twice; remove one of them", where_, shown(parsed));
        break;
      case Json::parse_event_t::array_start:
      case Json::parse_event_t::array_end:
      case Json::parse_event_t::value: break;
    }
    return true;
  }

 private:
  ErrorKind kind_;
  const std::string& where_;
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
};

constexpr std::string_view special_numbers[] = {"NaN", "Infinity", "-Infinity"};
// No text that a person wrote begins with it.
constexpr std::string_view mark = "\"\\u0001";

// The end of the text in quotes that begins at `at`.
std::size_t end_of_quoted(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at)
    if (text[at] == '\\') ++at;
  return std::min(at + 1, text.size());
}

}  // namespace

std::string quote_special_numbers(std::string_view text) {
  std::string quoted;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = text[at] == '"' ? end_of_quoted(text, at) : at + 1;
    bool special = false;
    for (const std::string_view number : special_numbers)
      if (text.substr(at).starts_with(number)) end = at + number.size(), special = true;
    if (special)
      quoted.append(mark).append(text.substr(at, end - at)) += '"';
    else
      quoted += text.substr(at, end - at);
    at = end;
  }
  return quoted;
}

std::string unquote_special_numbers(std::string text) {
  for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos; ++at)
    for (const std::string_view number : special_numbers)
      if (const std::string quoted = fmt::format("{}{}\"", mark, number);
          std::string_view(text).substr(at).starts_with(quoted))
        text.replace(at, quoted.size(), number);
  return text;
}

Json parse_object(std::string_view text, ErrorKind kind, const std::string& where) {
  Watch watch(kind, where);
  Json parsed;
  try {
    parsed = Json::parse(
        text, [&](int depth, Json::parse_event_t event, const Json& value) { return watch(depth, event, value); });
  } catch (const Json::exception& error) {
    throw Error(kind, fmt::format("{}: no JSON: {}; the file is damaged", where, error.what()));
  }
  require(parsed.is_object(), kind, "{}: {} is no JSON object; the file is damaged", where, shown(parsed));
  return parsed;
}

std::int64_t whole_number(const Json& value, std::int64_t most, ErrorKind kind, const std::string& where) {
  const bool fits = value.is_number_unsigned() && value.get<std::uint64_t>() <= static_cast<std::uint64_t>(most);
  require(fits, kind, "{} = {}: expected a whole number from 0 to {}", where, shown(value), most);
  return value.get<std::int64_t>();
}

std::string shown(const Json& value) {
  constexpr std::size_t longest = 80;
  const std::string text = unquote_special_numbers(value.dump(-1, ' ', true, Json::error_handler_t::replace));
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

}  // namespace trireme::hf
