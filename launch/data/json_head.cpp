#include "launch/data/json_head.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "models/hf/json.h"

namespace trireme {
namespace {

using Json = nlohmann::json;

/// Builds nothing: notes what there was, and where it was no JSON.
class HeadReader : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return has_key = true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    error_at = position;
    return false;
  }

  bool has_key = false;
  int values = 0;
  std::size_t error_at = 0;

 private:
  bool count() { return ++values, true; }
};

/// A value at the start of a text.
struct Value {
  bool is_whole = false, has_key = false;
  int values = 0;
  std::size_t end = 0;  // of the value; of the text, where that was cut in it
};

// None where the text is no JSON, or more than the value stands on its last line.
std::optional<Value> read_value(std::string_view text) {
  if (text.empty() || (text.front() != '{' && text.front() != '[')) return std::nullopt;
  std::istringstream stream{std::string(text)};
  HeadReader reader;
  const bool is_whole = Json::sax_parse(stream, &reader, nlohmann::detail::input_format_t::json, false);
  // An error behind the last byte is only that the head was cut there.
  if (!is_whole && reader.error_at < text.size()) return std::nullopt;
  const auto end = is_whole ? static_cast<std::size_t>(stream.tellg()) : text.size();
  const std::size_t behind = text.find_first_not_of(" \t\r", end);
  if (is_whole && behind != std::string_view::npos && text[behind] != '\n') return std::nullopt;
  return Value{is_whole, reader.has_key, reader.values, end};
}

std::string_view without_blanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

}  // namespace

std::optional<JsonHead> json_head(std::string_view head) {
  const std::string plain = hf::quote_special_numbers(without_blanks(head));
  const std::string_view text = plain;
  const std::optional<Value> first = read_value(text);
  if (!first) return std::nullopt;
  // A list without keys may be the first line of prose, like [1].
  if (!first->has_key && text.front() == '{') return std::nullopt;
  const std::string_view rest = without_blanks(text.substr(first->end));
  if (!first->has_key && !rest.empty()) {
    const std::optional<Value> next = read_value(rest);
    const bool has_value = next && (next->values > 0 || (!next->is_whole && rest.size() > 1));
    const bool are_lists = has_value && rest.front() == '[' && first->values > 0;
    return are_lists ? std::optional(JsonHead::lines) : std::nullopt;
  }
  if (!first->has_key && first->values < 2) return std::nullopt;
  return text.front() == '{' && text.find('\n') >= first->end ? JsonHead::lines : JsonHead::document;
}

}  // namespace trireme
