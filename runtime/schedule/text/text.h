#pragma once
// The text form of a schedule: what `trireme schedule` prints, and what tests write by hand.

#include <string>
#include <string_view>

#include "runtime/schedule/schedule.h"

namespace trireme {

/// A table of buffers (buffer role content space lifetime type elems exported offset first last), tables of boundary
/// events and of lists of ranks, then a table of ops (op stream kind unit segment mb group reads writes takes gives
/// waits records range wire bytes from to peer). `reads` and `writes` are slot=buffer, an updated one in both; an op
/// takes the tokens that it comes after and gives those that others take. `content` has the unit behind a colon, of
/// several states their number, too: sums, master:3, state:3:1. `first` and `last` are op numbers, derived.
std::string print(const Schedule& schedule);

/// The inverse: parse(print(s)) == s. Blank lines and lines that start with # are skipped.
/// Errors: Error(config) with line number, what was read and what was expected.
Schedule parse_schedule(std::string_view text);

}  // namespace trireme
