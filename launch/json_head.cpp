#include "launch/json_head.h"

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

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

}  // namespace

std::optional<JsonHead> json_head(std::string_view head) {
  if (head.empty() || (head.front() != '{' && head.front() != '[')) return std::nullopt;
  std::istringstream text{std::string(head)};
  HeadReader reader;
  const bool is_whole = Json::sax_parse(text, &reader, nlohmann::detail::input_format_t::json, false);
  // An error behind the last byte is only that the head was cut there.
  if (!is_whole && reader.error_at < head.size()) return std::nullopt;
  const auto end = is_whole ? static_cast<std::size_t>(text.tellg()) : head.size();
  const std::size_t behind = head.find_first_not_of(" \t\r", end);
  if (is_whole && behind != std::string_view::npos && head[behind] != '\n') return std::nullopt;
  // A list without keys may be the first line of prose, like [1].
  const bool is_all = head.find_first_not_of(" \t\r\n", end) == std::string_view::npos;
  if (!reader.has_key && (reader.values < 2 || !is_all)) return std::nullopt;
  return head.front() == '{' && head.find('\n') >= end ? JsonHead::lines : JsonHead::document;
}

}  // namespace trireme
