#pragma once
// What every transport must do, as programs that all ranks run together. A case throws where it does not hold.

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "comm/communicator.h"

namespace trireme::test {

struct ConformanceCase {
  const char* fact;
  std::function<void(Communicator&, std::uint64_t seed)> run;
  int ranks_from = 1;  // the smallest group that can do it
};
std::span<const ConformanceCase> conformance_cases();

/// Calls that wait for rank `absent`, which makes none; each ends with Error(comm) by the deadline.
struct WaitingCall {
  const char* name;
  std::function<void(Communicator&, int absent)> run;
};
std::span<const WaitingCall> waiting_calls();

/// Calls in which rank `odd` is at another one than the others; each ends with Error(comm) on every rank.
struct DisagreeingCall {
  const char* name;
  std::function<void(Communicator&, int odd)> run;
};
std::span<const DisagreeingCall> disagreeing_calls();

/// Deadlines for what must end by one, each tried where the one before was too short for this machine: ranks that are
/// not at their call within the deadline, because others have the cores, are what the next one is for.
inline constexpr double growing_deadlines_s[] = {0.2, 2, 20};
/// How much later than its deadline a wait may end: nothing but a wait that does not know its deadline is that late.
inline constexpr double late_s = 60;

/// Errors: Error(data) with `what`. (Assertions of the test framework belong to one thread.)
void check(bool holds, const std::string& what);

}  // namespace trireme::test
