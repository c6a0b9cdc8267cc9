#pragma once
// What the ranks compare before step 0, over any communicator.

#include <algorithm>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "runtime/base/error.h"
#include "runtime/base/memory_refusal.h"

namespace trireme {

/// An error that every rank of the group throws with the same text, so that one of them may say it for all.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Checks that `text` is equal on all ranks.
///
/// Errors  AgreedError(config) that names `name`, the first rank that differs from rank 0, and the first line in which
///         they differ, of both.
/// Cost    one hash per rank; texts are sent only when they differ.
void agree(Communicator& communicator, std::string_view name, std::string_view text);

/// Where any rank brings an error, all ranks throw it: the one of the lowest such rank.
void agree_on_success(Communicator& communicator, const Error* mine);

/// What `task` throws, as an Error; none where it throws nothing.
template <typename Task>
std::optional<Error> error_of(const Task& task) {
  try {
    task();
  } catch (const std::exception& error) {
    return as_error(error);
  }
  return std::nullopt;
}

/// What `make` returns, on every rank; what it throws on one rank all ranks throw, as agree_on_success().
template <typename Make>
auto on_all_ranks(Communicator& communicator, const Make& make) {
  std::optional<decltype(make())> made;
  const std::optional<Error> error = error_of([&] { made.emplace(make()); });
  agree_on_success(communicator, error ? &*error : nullptr);
  return std::move(*made);
}

/// `text` of every rank, by rank.
std::vector<std::string> all_gather(Communicator& communicator, std::string_view text);

/// `own` of every rank, by rank: a record without pointers.
template <typename Record>
requires(std::is_trivially_copyable_v<Record> && !std::is_convertible_v<const Record&, std::string_view>)
    std::vector<Record> all_gather(Communicator& communicator, const Record& own) {
  std::vector<Record> all(static_cast<std::size_t>(communicator.size()), own);
  for (int rank = 0; rank < communicator.size(); ++rank)
    communicator.broadcast(std::as_writable_bytes(std::span(&all[static_cast<std::size_t>(rank)], 1)), rank);
  return all;
}

/// The list of every rank, of any length, by rank.
template <typename Record>
std::vector<std::vector<Record>> all_gather_lists(Communicator& communicator, std::span<const Record> own) {
  const std::vector<std::size_t> counts = all_gather(communicator, own.size());
  std::vector<std::vector<Record>> all;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    std::vector<Record>& list = all.emplace_back(counts[static_cast<std::size_t>(rank)]);
    if (rank == communicator.rank()) std::copy(own.begin(), own.end(), list.begin());
    if (!list.empty()) communicator.broadcast(std::as_writable_bytes(std::span(list)), rank);
  }
  return all;
}

}  // namespace trireme
