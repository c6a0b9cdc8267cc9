#pragma once
// What ends a wait for other ranks besides those ranks: the deadline, an abort, a death.

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/status_page.h"

namespace trireme {

/// What all waits of one rank's end of a group have in common.
struct WaitLimits {
  int rank = 0;
  double deadline_s = 120;           // without any progress, of one wait
  StatusPage* page = nullptr;        // the node's; may be null
  std::atomic<bool> aborted{false};  // by this process

  bool stopped() const { return aborted || (page && page->aborted()); }
};

/// One wait, from the moment when it is known to last.
class WaitWatch {
 public:
  using Peers = std::function<std::vector<int>()>;

  /// `call` is for the message of an error. Both must outlive the watch.
  WaitWatch(const WaitLimits& limits, std::string_view call);

  /// Called between polls; `peers` names the ranks that are waited for, the first one first, and is asked seldom. Shows
  /// the wait on the node's page once it lasts.
  ///
  /// Errors  Error(comm) that names this rank, the call and the peers: the run was aborted, a rank of the node died
  ///         some seconds ago (the launcher acts first), or nothing moved for deadline_s. Then the rank at the end of
  ///         the chain of waits is blamed on the page.
  void look(const Peers& peers);
  /// Something came: the deadline counts from now.
  void moved() { last_progress_ = Clock::now(); }
  /// The wait is over.
  void end();

 private:
  using Clock = std::chrono::steady_clock;
  [[noreturn]] void give_up(const std::vector<int>& peers) const;
  void check_deaths(Clock::time_point now);

  const WaitLimits& limits_;
  std::string_view call_;
  Clock::time_point last_progress_, last_check_;
  std::optional<Clock::time_point> death_seen_;
  bool shown_ = false;
};

}  // namespace trireme
