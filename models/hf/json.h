#pragma once
// JSON of files that others wrote: strict, and with errors that name the file and the key.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "runtime/base/error.h"

namespace trireme::hf {

using Json = nlohmann::json;

/// Parses one JSON object.
///
/// Errors  Error(kind) that starts with `where`: no JSON, no object, a key that stands twice, values nested deeper
/// than 16.
Json parse_object(std::string_view text, ErrorKind kind, const std::string& where);

/// Text of Python's json, which writes numbers that JSON has not (NaN, Infinity, -Infinity): as JSON, with texts in
/// their place, so that a key that nobody reads may hold one.
std::string quote_special_numbers(std::string_view text);
/// The way back, of JSON that was printed.
std::string unquote_special_numbers(std::string text);

/// A whole number from 0 to `most`. Errors: Error(kind) that says `what` it should be, starting with `where`.
std::int64_t whole_number(const Json& value, std::int64_t most, ErrorKind kind, const std::string& where);

/// The value as a line of JSON, cut where it is long: for messages.
std::string shown(const Json& value);

}  // namespace trireme::hf
