#include "runtime/schedule/plan/memory_plan_orders.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>

#include "runtime/base/error.h"

namespace trireme::planning {
namespace {

/// The maximum of any range of a fixed list.
class RangeMaximum {
 public:
  explicit RangeMaximum(const std::vector<Bytes>& values) : leaves_(values.size()), tree_(2 * values.size()) {
    std::copy(values.begin(), values.end(), tree_.begin() + static_cast<std::ptrdiff_t>(leaves_));
    for (std::size_t node = leaves_; node-- > 1;) tree_[node] = std::max(tree_[2 * node], tree_[2 * node + 1]);
  }

  Bytes of(Interval when) const {
    Bytes most = 0;
    std::size_t low = leaves_ + static_cast<std::size_t>(when.first);
    std::size_t high = leaves_ + static_cast<std::size_t>(when.last) + 1;
    for (; low < high; low /= 2, high /= 2) {
      if (low % 2 == 1) most = std::max(most, tree_[low++]);
      if (high % 2 == 1) most = std::max(most, tree_[--high]);
    }
    return most;
  }

 private:
  std::size_t leaves_;
  std::vector<Bytes> tree_;
};

// Descending by key; equal keys in order of items.
template <typename Key>
Order descending(const std::vector<Traits>& traits, Key&& key) {
  Order order(traits.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return key(traits[a]) > key(traits[b]); });
  return order;
}

double area(const Traits& t) { return static_cast<double>(t.size) * t.lifetime; }

}  // namespace

std::vector<Traits> find_traits(const PackProblem& problem) {
  const RangeMaximum loads(load(problem));
  std::vector<Traits> traits;
  traits.reserve(problem.items.size());
  for (const Item& item : problem.items) {
    Traits& found = traits.emplace_back(Traits{.size = item.size});
    if (item.when.empty()) continue;
    found.first = item.when.front().first;
    found.last = item.when.back().last;
    for (const Interval& when : item.when) {
      found.lifetime += when.last - when.first + 1;
      found.load = std::max(found.load, loads.of(when));
    }
  }
  return traits;
}

Order make_order(int number, const std::vector<Traits>& traits) {
  switch (number) {
    case 0: return descending(traits, [](const Traits& t) { return std::tuple(t.load, t.lifetime, t.size); });
    case 1: return descending(traits, [](const Traits& t) { return std::tuple(t.size, t.lifetime); });
    case 2: return descending(traits, [](const Traits& t) { return std::tuple(t.load, t.size, t.lifetime); });
    case 3: return descending(traits, area);
    case 4: return descending(traits, [](const Traits& t) { return std::tuple(t.load, area(t)); });
    case 5: return descending(traits, [](const Traits& t) { return std::tuple(t.lifetime, t.size); });
    case 6: return descending(traits, [](const Traits& t) { return std::tuple(-t.first, t.lifetime); });
    case 7: return descending(traits, [](const Traits& t) { return std::tuple(t.last, t.lifetime); });
    default: break;
  }
  throw Error(ErrorKind::bug, "no such order of items");
}

}  // namespace trireme::planning
