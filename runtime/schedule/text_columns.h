#pragma once
// The tables of the text form and their columns: what print() writes and parse_schedule() expects.

#include <array>
#include <string_view>

namespace trireme::text {

inline constexpr std::array<std::string_view, 10> buffer_columns = {
    "buffer", "role", "space", "lifetime", "type", "elems", "exported", "offset", "first", "last"};
inline constexpr std::array<std::string_view, 2> boundary_columns = {"boundary", "name"};
inline constexpr std::array<std::string_view, 1> from_columns = {"from_list"};
inline constexpr std::array<std::string_view, 1> to_columns = {"to_list"};
inline constexpr std::array<std::string_view, 16> op_columns = {
    "op",    "stream", "kind",    "unit",  "segment", "mb",   "group", "reads",
    "writes", "waits",  "records", "range", "bytes",   "from", "to",    "peer"};

inline constexpr std::string_view absent = "-";     // a field without a value
inline constexpr std::string_view nobody = "none";  // a list that is there and has no ranks

}  // namespace trireme::text
