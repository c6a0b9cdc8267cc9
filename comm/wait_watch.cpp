#include "comm/wait_watch.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace trireme {
namespace {

constexpr auto node_check_interval = std::chrono::milliseconds(200);
// The launcher is given this long to act on a death, so that the exit code is its own, before we do.
constexpr auto death_grace = std::chrono::seconds(3);

std::string list_of(std::vector<int> peers) {
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  constexpr std::size_t shown = 8;
  std::string text = peers.size() == 1 ? "rank" : "ranks";
  for (std::size_t i = 0; i < std::min(peers.size(), shown); ++i) text += fmt::format("{} {}", i ? "," : "", peers[i]);
  return peers.size() > shown ? text + fmt::format(" and {} more", peers.size() - shown) : text;
}

}  // namespace

WaitWatch::WaitWatch(const WaitLimits& limits, std::string_view call)
    : limits_(limits), call_(call), last_progress_(Clock::now()), last_check_(last_progress_) {}

void WaitWatch::look(const Peers& peers) {
  require(!limits_.stopped(), ErrorKind::comm, "rank {} gave up {} because the run was aborted", limits_.rank, call_);
  const Clock::time_point now = Clock::now();
  if (now - last_progress_ > std::chrono::duration<double>(limits_.deadline_s)) give_up(peers());
  if (!limits_.page || now - last_check_ < node_check_interval) return;
  last_check_ = now;
  const std::vector<int> awaited = peers();
  if (!awaited.empty()) limits_.page->set_waiting_for(awaited.front());
  shown_ = true;
  check_deaths(now);
}

void WaitWatch::check_deaths(Clock::time_point now) {
  const std::optional<int> dead = limits_.page->find_dead();
  if (!dead) return;
  if (!death_seen_) death_seen_ = now;
  require(now - *death_seen_ < death_grace, ErrorKind::comm, "rank {} died while rank {} was in {}", *dead,
          limits_.rank, call_);
}

void WaitWatch::give_up(const std::vector<int>& peers) const {
  if (StatusPage* page = limits_.page) {
    // First of all, so that a rank that waits for us keeps quiet.
    page->raise_abort();
    for (int peer : peers) {
      const std::optional<int> stalled = page->end_of_waits(peer);
      if (!stalled || *stalled == limits_.rank) continue;
      page->blame(*stalled);
      break;
    }
  }
  throw Error(ErrorKind::comm,
              fmt::format("rank {} waited {} s in {} for {}", limits_.rank, limits_.deadline_s, call_, list_of(peers)));
}

void WaitWatch::end() {
  if (shown_) limits_.page->set_waiting_for(std::nullopt);
}

}  // namespace trireme
