#include "launch/remainder.h"

#include <algorithm>

#include "shard/flat_layout.h"

namespace trireme {
namespace {

// Measured in smaps of runs of 1 to 8 ranks (Debian 12, Open MPI 4.1), and of a program that starts MPI and nothing else.
// Of the program: the streams' rings, stacks, the heap at rest; pages of code that the ranks of a node share.
constexpr Bytes program_bytes = 1280 * KiB, program_code_bytes = 3800 * KiB;
// Of MPI: its heap and data, a little for each rank of the node; pages of code that the launcher shares, too.
constexpr Bytes mpi_bytes = 3 * MiB, mpi_bytes_a_rank = 16 * KiB, mpi_code_bytes = 10800 * KiB;
// Pieces of messages in MPI's shared segment, where the kernel lets no process read another's memory; it grows no further.
constexpr Bytes message_bytes = 64 * KiB, message_bytes_a_peer = 200 * KiB, segment_bytes = 4 * MiB;
constexpr Bytes thread_bytes = 64 * KiB;  // touched pages of its stack, and what OpenMP keeps of it
constexpr Bytes bound_op_bytes = 192;     // an op as the executor binds it, and its times

// What malloc takes for a block of `bytes`.
Bytes heap_bytes(Bytes bytes) { return bytes == 0 ? 0 : std::max<Bytes>(32, align_up(bytes + 8, 16)); }

template <typename T>
Bytes heap_bytes(const std::vector<T>& list) {
  return heap_bytes(static_cast<Bytes>(list.capacity() * sizeof(T)));
}

template <typename T>
Bytes heap_bytes(const std::vector<std::vector<T>>& lists) {
  Bytes bytes = heap_bytes(static_cast<Bytes>(lists.capacity() * sizeof(std::vector<T>)));
  for (const std::vector<T>& list : lists) bytes += heap_bytes(list);
  return bytes;
}

// What the executor keeps of a schedule: per op its binding, its events again, and its times.
Bytes binding_bytes(const Schedule& schedule) {
  Bytes bytes = 0;
  for (const Op& op : schedule.ops) bytes += bound_op_bytes + heap_bytes(op.waits);
  return bytes;
}

// A transport by messages has staging for what it receives.
bool receives_messages(const RunPrograms& run) {
  for (const Schedule& schedule : run.schedules)
    for (const Buffer& buffer : schedule.buffers)
      if (buffer.role == Role::communication) return true;
  return false;
}

// One hash for each block of each tensor; those of m and v are together on every rank, once as its own.
Bytes hash_bytes(const ModelSpec& model, int ranks) {
  constexpr int buffers = 2;
  Elems blocks = 0;
  for (const UnitSpec& unit : model.units)
    for (const TensorSpec& tensor : unit.tensors) blocks += ceil_div(tensor.elems(), block_elems);
  const Bytes all = buffers * blocks * static_cast<Bytes>(sizeof(std::uint64_t));
  return all + 3 * ceil_div(all, ranks);
}

}  // namespace

Bytes heap_bytes(const Schedule& schedule) {
  constexpr std::size_t longest_inline_name = 15;
  Bytes bytes = heap_bytes(schedule.buffers) + heap_bytes(schedule.ops) + heap_bytes(schedule.boundary_events) +
                heap_bytes(schedule.from_lists) + heap_bytes(schedule.to_lists);
  for (const Buffer& buffer : schedule.buffers)
    if (buffer.name.size() > longest_inline_name) bytes += heap_bytes(static_cast<Bytes>(buffer.name.size()) + 1);
  for (const Op& op : schedule.ops) bytes += heap_bytes(op.reads) + heap_bytes(op.writes) + heap_bytes(op.waits);
  return bytes;
}

std::array<Remainder::Part, 6> Remainder::parts() const {
  return {{{"process", process}, {"mpi", mpi}, {"messages", messages}, {"programs", programs}, {"threads", threads},
           {"hashes", hashes}}};
}

Bytes Remainder::total() const {
  Bytes sum = 0;
  for (const Part& part : parts()) sum += part.bytes;
  return sum;
}

Remainder remainder_of(const RankPrograms& programs, int ranks_on_node, int threads) {
  const int ranks = programs.spec.ranks();
  const Bytes buffers = std::min(segment_bytes, message_bytes + (ranks_on_node - 1) * message_bytes_a_peer);
  Remainder remainder{.process = program_bytes + program_code_bytes / ranks_on_node,
                      .mpi = mpi_bytes + ranks_on_node * mpi_bytes_a_rank + mpi_code_bytes / (ranks_on_node + 1),
                      .messages = receives_messages(programs.run) ? buffers : 0,
                      .threads = (threads - 1) * thread_bytes,
                      .hashes = hash_bytes(programs.model, ranks)};
  for (const Schedule& schedule : programs.run.schedules) remainder.programs += heap_bytes(schedule) + binding_bytes(schedule);
  return remainder;
}

}  // namespace trireme
