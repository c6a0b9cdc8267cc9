#include "shard/schedule_writer.h"

#include <algorithm>
#include <utility>

namespace trireme {
namespace {

template <typename List>
std::int32_t find_or_add(std::vector<List>& lists, const List& list) {
  // The newest lists are asked first: neighbours in a program share theirs.
  const auto found = std::find(lists.rbegin(), lists.rend(), list);
  if (found != lists.rend()) return static_cast<std::int32_t>(lists.rend() - found - 1);
  lists.push_back(list);
  return static_cast<std::int32_t>(lists.size() - 1);
}

// A program is the largest thing on the heap while it is built: a list that doubles would hold room for as much again.
template <typename T>
void append(std::vector<T>& list, T item) {
  if (list.size() == list.capacity()) list.reserve(list.size() + std::max<std::size_t>(16, list.size() / 4));
  list.push_back(std::move(item));
}

}  // namespace

ScheduleWriter::ScheduleWriter(Schedule schedule, std::size_t expected_ops) : schedule_(std::move(schedule)) {
  expect(expected_ops);
}

BufferId ScheduleWriter::add(Buffer buffer) {
  append(schedule_.buffers, std::move(buffer));
  return static_cast<BufferId>(schedule_.buffers.size() - 1);
}

BufferId ScheduleWriter::add(std::string name, Role role, DType type, Elems elems, bool exported) {
  return add(
      Buffer{.name = std::move(name), .role = role, .type = type, .elems = elems, .exported = exported, .offset = {}});
}

BufferId ScheduleWriter::add_token(std::string name, Lifetime lifetime) {
  return add(Buffer{.name = std::move(name), .role = Role::token, .lifetime = lifetime, .offset = {}});
}

OpId ScheduleWriter::add(Op op) {
  op.operands.shrink_to_fit();
  append(schedule_.ops, std::move(op));
  return static_cast<OpId>(schedule_.ops.size() - 1);
}

std::int32_t ScheduleWriter::from_list(const std::vector<Contribution>& list) {
  return find_or_add(schedule_.from_lists, list);
}

std::int32_t ScheduleWriter::to_list(const std::vector<int>& list) { return find_or_add(schedule_.to_lists, list); }

}  // namespace trireme
