#include "runtime/schedule/memory_plan_pack.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>

#include "runtime/base/random.h"
#include "runtime/schedule/memory_plan_occupancy.h"
#include "runtime/schedule/memory_plan_orders.h"

namespace trireme::planning {
namespace {

// How long to search. Counted in placed items, not in seconds: equal problems must give equal plans.
constexpr std::size_t placements = 400'000, least_packings = 3;
// While no packing is tolerable; and while none is even bearable, of few items: real models have hundreds, placed fast.
// Of a small arena the bytes to be won are not worth that.
constexpr std::size_t placements_if_bad = 3'000'000, placements_if_worse = 12'000'000, few_items = 2000;
constexpr std::size_t placements_if_small = 900'000;
constexpr Bytes small_bytes = 1 * MiB;
constexpr int steps_per_round = 100;

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
    for (std::size_t round = 0; !over(); ++round) improve(starting_order(round));
    return std::move(best_);
  }

 private:
  bool over() const {
    const std::size_t spent = spent_ + problem_.items.size();  // with one more packing
    return best_.height <= goal_.good || spent > longest() || (spent > patience_ && best_.height <= goal_.tolerable);
  }
  std::size_t longest() const {
    if (goal_.good < small_bytes) return std::max(patience_, placements_if_small);
    const bool is_bad = problem_.items.size() < few_items && best_.height > goal_.bearable;
    return std::max(patience_, is_bad ? placements_if_worse : placements_if_bad);
  }
  std::size_t below(std::size_t bound) { return random_.below(drawn_++, bound); }

  /// Every item in turn at the lowest address that is free for its whole time.
  void pack_greedily(const Order& order) {
    spent_ += order.size();
    occupancy_.clear();
    now_.address.resize(order.size());
    now_.height = 0;
    for (const std::uint32_t i : order) {
      const Item& item = problem_.items[i];
      now_.address[i] = occupancy_.lowest_fit(item.when, item.size);
      for (const Interval& when : item.when) occupancy_.take(when, {now_.address[i], end_of(i)});
      now_.height = std::max(now_.height, end_of(i));
    }
    if (now_.height < best_.height) best_ = now_;
  }

  Bytes end_of(std::uint32_t item) const { return now_.address[item] + problem_.items[item].size; }

  void try_orders() {
    for (int number = 0; number < order_count && !over(); ++number) {
      pack_greedily(make_order(number, traits_));
      ranking_.emplace_back(now_.height, number);
    }
    std::sort(ranking_.begin(), ranking_.end());
  }

  // The best orders first; when all have had their turn, again with some items exchanged.
  Order starting_order(std::size_t round) {
    Order order = make_order(ranking_[round % ranking_.size()].second, traits_);
    if (round < ranking_.size()) return order;
    for (std::size_t k = 0; k < 1 + order.size() / 20; ++k)
      std::swap(order[below(order.size())], order[below(order.size())]);
    return order;
  }

  void improve(Order order) {
    for (int step = 0; step < steps_per_round && !over(); ++step) {
      pack_greedily(order);
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
  std::vector<std::pair<Bytes, int>> ranking_;  // height that an order reached, its number
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
