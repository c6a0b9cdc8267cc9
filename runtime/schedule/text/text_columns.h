#pragma once
// The tables of the text form and their columns: what print() writes and parse_schedule() expects.

#include <array>
#include <string_view>

namespace trireme::text {

inline constexpr std::array<std::string_view, 11> buffer_columns = {
    "buffer", "role", "content", "space", "lifetime", "type", "elems", "exported", "offset", "first", "last"};
inline constexpr std::array<std::string_view, 2> boundary_columns = {"boundary", "name"};
inline constexpr std::array<std::string_view, 1> from_columns = {"from_list"};
inline constexpr std::array<std::string_view, 1> to_columns = {"to_list"};
inline constexpr std::array<std::string_view, 19> op_columns = {
    "op",    "stream", "kind",    "unit",  "segment", "mb",    "group", "reads", "writes", "takes",
    "gives", "waits",  "records", "range", "wire",    "bytes", "from",  "to",    "peer"};

inline constexpr std::string_view absent = "-";     // a field without a value
inline constexpr std::string_view nobody = "none";  // a list that is there and has no ranks

}  // namespace trireme::text
