#pragma once
// The text form of a schedule: what `trireme schedule` prints, and what tests write by hand.

#include <string>
#include <string_view>

#include "runtime/schedule/schedule.h"

namespace trireme {

/// A table of buffers (buffer role space lifetime type elems exported offset first last), tables of boundary events and of
/// lists of ranks, then a table of ops (op stream kind unit segment mb group reads writes waits records range bytes from to
/// peer). `first` and `last` are op numbers, derived.
std::string print(const Schedule& schedule);

/// The inverse: parse(print(s)) == s. Blank lines and lines that start with # are skipped.
/// Errors: Error(config) with line number, what was read and what was expected.
Schedule parse_schedule(std::string_view text);

}  // namespace trireme
