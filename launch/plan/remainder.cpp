#include "launch/plan/remainder.h"

#include <algorithm>

#include "runtime/execute/executor.h"
#include "shard/flat_layout.h"

namespace trireme {
namespace {

// Measured in smaps of runs of 1 to 8 ranks (Debian 12, Open MPI 4.1), and of a program that starts MPI and nothing
// else. Of the program: the streams' rings; stacks, the heap at rest; pages of code that the ranks of a node share.
constexpr Bytes streams_bytes = 768 * KiB, program_bytes = 512 * KiB, program_code_bytes = 3800 * KiB;
// Of MPI: its heap and data, a little for each rank of the node; pages of code that the launcher shares, too.
constexpr Bytes mpi_bytes = 3 * MiB, mpi_bytes_a_rank = 16 * KiB, mpi_code_bytes = 10800 * KiB;
// Pieces of messages in MPI's shared segment, where the kernel lets no process read another's memory; it grows no
// further.
constexpr Bytes message_bytes = 64 * KiB, message_bytes_a_peer = 200 * KiB, segment_bytes = 4 * MiB;
constexpr Bytes thread_bytes = 64 * KiB;  // touched pages of its stack, and what OpenMP keeps of it

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

Bytes heap_bytes(const std::string& text) {
  constexpr std::size_t longest_inline = 15;
  return text.size() <= longest_inline ? 0 : heap_bytes(static_cast<Bytes>(text.size()) + 1);
}

// Of the model, with the layout of every unit.
Bytes heap_bytes(const ModelSpec& model) {
  Bytes bytes = heap_bytes(model.units) + static_cast<Bytes>(model.units.size() * sizeof(FlatLayout));
  for (const UnitSpec& unit : model.units) {
    bytes += heap_bytes(unit.name) + heap_bytes(unit.tensors) + heap_bytes(unit.segments);
    bytes += 2 * heap_bytes(static_cast<Bytes>(unit.tensors.size() * sizeof(Elems)));
    for (const TensorSpec& tensor : unit.tensors) bytes += heap_bytes(tensor.name);
  }
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
  Bytes bytes = heap_bytes(schedule.buffers) + heap_bytes(schedule.ops) + heap_bytes(schedule.boundary_events) +
                heap_bytes(schedule.from_lists) + heap_bytes(schedule.to_lists);
  for (const Buffer& buffer : schedule.buffers) bytes += heap_bytes(buffer.name);
  for (const Op& op : schedule.ops) bytes += heap_bytes(op.operands) + heap_bytes(op.waits);
  return bytes;
}

std::array<Remainder::Part, 8> Remainder::parts() const {
  return {{{"process", process},
           {"mpi", mpi},
           {"messages", messages},
           {"programs", programs},
           {"streams", streams},
           {"threads", threads},
           {"hashes", hashes},
           {"building", building}}};
}

Remainder Remainder::after_building(Bytes building_bytes, Bytes arena_bytes) const {
  Remainder after = *this;
  after.building = std::max<Bytes>(0, process + mpi + building_bytes - (total() - building) - arena_bytes);
  return after;
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
                      .programs = heap_bytes(programs.model),
                      .streams = streams_bytes,
                      .threads = (threads - 1) * thread_bytes,
                      .hashes = hash_bytes(programs.model, ranks)};
  for (const Schedule& schedule : programs.run.schedules)
    remainder.programs += heap_bytes(schedule) + Executor::bound_bytes(schedule);
  return remainder;
}

}  // namespace trireme
