#include "runtime/schedule/plan/memory_plan_pack.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>

#include "runtime/base/random.h"
#include "runtime/schedule/plan/memory_plan_occupancy.h"
#include "runtime/schedule/plan/memory_plan_orders.h"
#include "runtime/schedule/plan/memory_plan_skyline.h"

namespace trireme::planning {
namespace {

// How long to search. Counted in placed items, not in seconds: equal problems must give equal plans.
constexpr std::size_t placements = 300'000, least_packings = 3;
// While no packing is tolerable, and while none is even bearable. Of many items one takes longer, and of a
// small arena the bytes to be won are worth less.
constexpr std::size_t placements_if_bad = 2'000'000, placements_if_worse = 4'000'000;
constexpr std::size_t placements_if_many = 1'000'000, many_items = 1000;
constexpr std::size_t placements_if_small = 900'000;
constexpr Bytes small_bytes = 1 * MiB;
constexpr std::size_t most_outlined = 4000;       // items
constexpr std::size_t steps_per_placement = 400;  // of an outline, in the time that it takes to place an item
constexpr int stale_steps = 10;                   // without a lower packing, in a round

/// Tries one order after the other and keeps the lowest packing.
class Search {
 public:
  Search(const PackProblem& problem, Goal goal)
      : problem_(problem),
        goal_(goal),
        occupancy_(problem.moments),
        traits_(find_traits(problem)),
        random_(0, "memory plan"),
        patience_(std::max(placements, least_packings * problem.items.size())) {
    best_.height = std::numeric_limits<Bytes>::max();
  }

  Packing run() {
    try_orders();
    for (std::size_t round = 0; !over(); ++round) improve(round);
    return std::move(best_);
  }

 private:
  /// How a packing comes about: the number of an order, and whether by outline.
  struct Start {
    Bytes height = 0;  // that it reached
    int order = 0;
    bool by_outline = false;

    friend auto operator<=>(const Start&, const Start&) = default;
  };

  bool over() const {
    const std::size_t spent = spent_ + problem_.items.size();  // with one more packing
    return best_.height <= goal_.good || spent > longest() || (spent > patience_ && best_.height <= goal_.tolerable);
  }
  std::size_t longest() const {
    std::size_t most = best_.height > goal_.bearable ? placements_if_worse : placements_if_bad;
    if (problem_.items.size() >= many_items) most = placements_if_many;
    if (goal_.good < small_bytes) most = placements_if_small;
    return std::max(patience_, most);
  }
  std::size_t below(std::size_t bound) { return random_.below(drawn_++, bound); }

  void place(const Order& order, bool by_outline) {
    spent_ += order.size();
    if (by_outline) {
      std::size_t steps = 0;
      pack_skyline(problem_, order, now_, steps);
      spent_ += steps / steps_per_placement;
    } else {
      place_greedily(order);
    }
    if (now_.height < best_.height) best_ = now_;
  }

  /// Every item in turn at the lowest address that is free for its whole time.
  void place_greedily(const Order& order) {
    occupancy_.clear();
    now_.address.resize(order.size());
    now_.height = 0;
    for (const std::uint32_t i : order) {
      const Item& item = problem_.items[i];
      now_.address[i] = occupancy_.lowest_fit(item.when, item.size);
      for (const Interval& when : item.when) occupancy_.take(when, {now_.address[i], end_of(i)});
      now_.height = std::max(now_.height, end_of(i));
    }
  }

  Bytes end_of(std::uint32_t item) const { return now_.address[item] + problem_.items[item].size; }

  // The greedy order that is best most often; then outlines; then the other orders.
  void try_orders() {
    try_order(0, false);
    for (const int number : {5, 3, 0, 1})
      if (problem_.items.size() <= most_outlined) try_order(number, true);
    for (int number = 1; number < order_count; ++number) try_order(number, false);
    std::sort(starts_.begin(), starts_.end());
  }
  void try_order(int number, bool by_outline) {
    if (over()) return;
    place(make_order(number, traits_), by_outline);
    starts_.push_back({now_.height, number, by_outline});
  }

  // The best starts first; when all have had their turn, again with some items exchanged.
  void improve(std::size_t round) {
    const Start& start = starts_[round % starts_.size()];
    Order order = make_order(start.order, traits_);
    if (round >= starts_.size())
      for (std::size_t k = 0; k < 1 + order.size() / 20; ++k)
        std::swap(order[below(order.size())], order[below(order.size())]);
    Bytes lowest = std::numeric_limits<Bytes>::max();
    for (int stale = 0; stale < stale_steps && !over(); ++stale) {
      place(order, start.by_outline);
      if (now_.height < lowest) {
        lowest = now_.height;
        stale = 0;
      }
      promote(order);
    }
  }

  /// Moves each item that sticks out of the best packing half of the way to the front.
  void promote(Order& order) {
    const Bytes limit = std::max(goal_.good, best_.height - 1);
    std::vector<std::pair<std::size_t, std::uint32_t>> places;  // twice the place in the order; item
    places.reserve(order.size());
    for (std::size_t at = 0; at < order.size(); ++at)
      places.emplace_back(end_of(order[at]) > limit ? at : 2 * at + 1, order[at]);
    std::stable_sort(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t at = 0; at < order.size(); ++at) order[at] = places[at].second;
  }

  const PackProblem& problem_;
  Goal goal_;
  Occupancy occupancy_;
  std::vector<Traits> traits_;
  Random random_;
  std::uint64_t drawn_ = 0;
  std::size_t patience_, spent_ = 0;  // placements
  Packing best_, now_;
  std::vector<Start> starts_;
};

}  // namespace

std::vector<Bytes> load(const PackProblem& problem) {
  std::vector<Bytes> sum(static_cast<std::size_t>(problem.moments) + 1);
  for (const Item& item : problem.items)
    for (const Interval& when : item.when) {
      sum[static_cast<std::size_t>(when.first)] += item.size;
      sum[static_cast<std::size_t>(when.last) + 1] -= item.size;
    }
  std::partial_sum(sum.begin(), sum.end(), sum.begin());
  sum.pop_back();
  return sum;
}

Packing pack(const PackProblem& problem, Goal goal) {
  if (problem.items.empty()) return {};
  return Search(problem, goal).run();
}

}  // namespace trireme::planning
