#pragma once
// What the ranks of a node show each other: who they are, what they do, and the abort word.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "runtime/schedule/schedule.h"

namespace trireme {

/// One line of text without malloc, so that a signal handler may write it. What does not fit is cut.
class StatusLine {
 public:
  StatusLine& operator<<(std::string_view text);
  StatusLine& operator<<(std::int64_t number);
  std::string_view text() const { return {text_, length_}; }

 private:
  static constexpr std::size_t capacity_bytes = 2000;
  char text_[capacity_bytes];
  std::size_t length_ = 0;
};

/// The node's page in shared memory, as one rank sees it.
///
/// Threads  every call but the constructor is lock-free and may come from any thread; those marked (signal) from a
///          signal handler too. What a peer reads may be one op old, never torn within a number.
/// Memory   bytes(node_size) bytes that all ranks of the node map, which outlive the page.
class StatusPage {
 public:
  static Bytes bytes(int node_size);
  /// Called by one rank of the node, before any page is made on the memory.
  static void initialise(std::byte* memory, int node_size);

  /// Shows this process as rank `rank` of `size`, the `node_rank`th of `node_size` on this node.
  StatusPage(std::byte* memory, int node_rank, int node_size, int rank, int size);
  /// Once all ranks of the node have made their page: which of them can be seen from here, by process number?
  void look_around();

  void set_step(std::int64_t step);
  void begin(StreamId stream, ScheduleKind schedule, OpId op, OpKind kind, std::optional<std::int32_t> unit);
  void end(StreamId stream);
  /// The rank that this one waits for in a collective; none when it stopped waiting.
  void set_waiting_for(std::optional<int> rank);
  /// From now on this rank may go away without having died.
  void set_finished();

  /// Tells every rank of the node to stop; the first to do so owns the abort word.
  void raise_abort();    // (signal)
  bool aborted() const;  // (signal)
  /// Once per node, and only on the rank that owns the abort word: that one prints.
  bool win_message();  // (signal)
  /// The same for a rank that has waited for the owner's message: once per node, and only where the owner said nothing.
  bool inherit_message();

  /// A rank of this node whose process has gone without saying so; ranks are numbered as in the world.
  std::optional<int> find_dead() const;  // (signal)
  /// The rank at the end of the chain of waits that starts at `rank`; none where it leaves the node.
  std::optional<int> end_of_waits(int rank) const;
  /// Notes, for this process's own message, which rank its wait gave up on.
  void blame(int rank) { blamed_ = rank; }
  std::optional<int> blamed() const;
  /// "step 3, op 41 backward unit 4".
  void describe(StatusLine& line, int rank) const;  // (signal)
  /// "at step 3", or "before its first step": of this rank's host thread, whatever its streams do.
  void describe_step(StatusLine& line) const;
  /// Whether an op of this rank is under way.
  bool runs_op() const;
  /// "; 3 ranks stopped", or nothing where the run has one rank.
  void describe_others(StatusLine& line) const;  // (signal)

  int rank() const { return rank_; }
  int size() const { return size_; }

 private:
  struct Memory;
  struct Entry;
  const Entry* find(int rank) const;
  Entry& own() const;
  static StreamId stream_to_name(const Entry& entry);  // (signal)

  Memory* memory_;
  int node_rank_, node_size_, rank_, size_;
  std::atomic<int> blamed_{-1};
};

}  // namespace trireme
