#include "runtime/schedule/memory_plan_pack.h"

#include <algorithm>
#include <cstdlib>
#include <cstdio>
#include <limits>
#include <numeric>
#include <tuple>

#include "runtime/schedule/memory_plan_occupancy.h"

namespace trireme::planning {
namespace {
using Order = std::vector<std::uint32_t>;

struct Traits { std::vector<Bytes> lifetime, contention; };

class Packer {
 public:
  Packer(const PackProblem& p, Bytes good) : p_(p), good_(good), occ_(p.moments) {
    best_.height = std::numeric_limits<Bytes>::max();
  }
  // returns height or nullopt if aborted beyond best
  Bytes run(const Order& order, bool abort) {
    occ_.clear();
    cur_.address.assign(p_.items.size(), 0);
    cur_.height = 0;
    for (std::size_t i = 0; i < p_.items.size(); ++i)
      if (p_.items[i].address) put(i, *p_.items[i].address);
    for (auto i : order) {
      put(i, occ_.lowest_fit(p_.items[i].when, p_.items[i].size));
      if (abort && cur_.height >= best_.height) { return cur_.height; }
    }
    if (cur_.height < best_.height) best_ = cur_;
    return cur_.height;
  }
  void put(std::size_t i, Bytes at) {
    cur_.address[i] = at;
    cur_.height = std::max(cur_.height, at + p_.items[i].size);
    for (auto w : p_.items[i].when) occ_.take(w, {at, at + p_.items[i].size});
  }
  bool done() const { return best_.height <= good_; }
  const PackProblem& p_;
  Bytes good_;
  Occupancy occ_;
  Packing best_, cur_;
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

Packing pack(const PackProblem& problem, Bytes good_enough) {
  Packer packer(problem, good_enough);
  const std::size_t n = problem.items.size();
  Order movable;
  std::vector<Bytes> lifetime(n), contention(n);
  const auto l = load(problem);
  for (std::uint32_t i = 0; i < n; ++i) {
    if (!problem.items[i].address) movable.push_back(i);
    for (auto w : problem.items[i].when) lifetime[i] += w.last - w.first + 1;
  }
  {  // sparse: max load over the interval
    std::vector<std::vector<Bytes>> table{l};
    for (std::size_t k = 1; (1u << k) <= l.size(); ++k) {
      table.emplace_back(l.size() - (1u << k) + 1);
      for (std::size_t i = 0; i < table[k].size(); ++i) table[k][i] = std::max(table[k - 1][i], table[k - 1][i + (1u << (k - 1))]);
    }
    for (std::uint32_t i = 0; i < n; ++i)
      for (auto w : problem.items[i].when) {
        const unsigned len = w.last - w.first + 1;
        const int k = 31 - __builtin_clz(len);
        contention[i] = std::max({contention[i], table[k][w.first], table[k][w.last + 1 - (1 << k)]});
      }
  }
  auto size = [&](std::uint32_t i) { return problem.items[i].size; };
  auto first = [&](std::uint32_t i) { return problem.items[i].when.front().first; };
  auto by = [&](auto key) {
    Order o = movable;
    std::stable_sort(o.begin(), o.end(), [&](auto a, auto b) { return key(a) > key(b); });
    return o;
  };
  std::vector<std::pair<const char*, Order>> orders;
  orders.push_back({"size", by([&](auto i) { return std::tuple(size(i), lifetime[i]); })});
  orders.push_back({"life", by([&](auto i) { return std::tuple(lifetime[i], size(i)); })});
  orders.push_back({"area", by([&](auto i) { return (double)size(i) * lifetime[i]; })});
  orders.push_back({"start", by([&](auto i) { return std::tuple(-first(i), lifetime[i]); })});
  orders.push_back({"end", by([&](auto i) { return std::tuple(problem.items[i].when.back().last, lifetime[i]); })});
  orders.push_back({"cont_size", by([&](auto i) { return std::tuple(contention[i], size(i), lifetime[i]); })});
  orders.push_back({"cont_life", by([&](auto i) { return std::tuple(contention[i], lifetime[i], size(i)); })});
  orders.push_back({"cont_area", by([&](auto i) { return std::tuple((double)contention[i], (double)size(i) * lifetime[i]); })});
  const bool debug = getenv("PACK_DEBUG");
  const int iters = getenv("PACK_ITERS") ? atoi(getenv("PACK_ITERS")) : 100;
  const double lb = *std::max_element(l.begin(), l.end());
  std::vector<std::pair<Bytes, std::size_t>> heights;
  for (auto& [name, order] : orders) {
    const Bytes h = packer.run(order, false);
    if (debug) (void)name, (void)h;
    heights.push_back({h, heights.size()});
    if (packer.done() && !debug) return packer.best_;
  }
  std::sort(heights.begin(), heights.end());
  const int mode = getenv("PACK_MODE") ? atoi(getenv("PACK_MODE")) : 0;
  const long budget = getenv("PACK_BUDGET") ? atol(getenv("PACK_BUDGET")) : 400000;
  long used = 0;
  std::uint64_t rng = 88172645463325252ull;
  auto rnd = [&](std::uint64_t bound) { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; return rng % bound; };
  for (int round = 0; used < budget && !packer.done(); ++round) {
    Order o = orders[heights[round % heights.size()].second].second;
    if (round >= (int)heights.size()) for (int q = 0; q < 1 + (int)n / 20; ++q) std::swap(o[rnd(o.size())], o[rnd(o.size())]);
    std::vector<double> pos(n);
    for (int it = 0; it < iters && !packer.done() && used < budget; ++it) {
      const Bytes limit = mode & 1 ? good_enough : std::max(good_enough, packer.best_.height - 256);
      packer.run(o, false); used += (long)o.size();
      Order out;
      for (auto i : o) if (packer.cur_.address[i] + size(i) > limit) out.push_back(i);
      if (out.empty()) continue;
      for (std::size_t j = 0; j < o.size(); ++j) pos[o[j]] = j + 0.5;
      if (mode & 2) { for (auto i : out) pos[i] = rnd(2) ? pos[i] / 2 : pos[i] * (double)rnd(1000) / 1000; }
      else if (mode & 4) { auto i = out[rnd(out.size())]; pos[i] = pos[i] * (double)rnd(1000) / 1000; }
      else for (auto i : out) pos[i] = pos[i] / 2;
      if (mode & 8) { auto i = o[rnd(o.size())]; pos[i] = rnd(o.size()); }
      std::stable_sort(o.begin(), o.end(), [&](auto x, auto y) { return pos[x] < pos[y]; });
    }
  }
  if (debug) printf(" -> best %.4f n %zu\n", packer.best_.height / lb, n);
  return packer.best_;
}
}  // namespace trireme::planning
