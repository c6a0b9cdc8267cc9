#include "runtime/schedule/op_kinds.h"

#include <algorithm>
#include <array>

#include "runtime/base/error.h"

namespace trireme {
namespace {

using Use = SlotRule::Use;

constexpr EnumSet<DType> number = {DType::bf16, DType::f32}, f32 = {DType::f32}, bytes = {DType::byte},
                         i32 = {DType::i32}, i64 = {DType::i64};
constexpr EnumSet<DType> any_type = {DType::bf16, DType::f32, DType::f64, DType::i32, DType::i64, DType::byte};
// What stage 0 gathers is a sum of gradients; below stage 3 the parameters are whole, with f32 compute the masters.
constexpr EnumSet<Role> flat = {Role::parameters, Role::gradients},
                        filled = {Role::gathered, Role::parameters, Role::gradients},
                        gathered = {Role::gathered, Role::parameters}, parameters = {Role::parameters},
                        gradients = {Role::gradients}, activations = {Role::activations}, optimizer = {Role::optimizer},
                        data = {Role::data}, scratch = {Role::workspace}, transport = {Role::communication};
constexpr EnumSet<Role> inspected = {Role::gathered, Role::activations, Role::gradients, Role::data};

constexpr SlotRule in(Slot slot, EnumSet<Role> roles, EnumSet<DType> types) { return {slot, Use::read, roles, types}; }
constexpr SlotRule out(Slot slot, EnumSet<Role> roles, EnumSet<DType> types) {
  return {slot, Use::write, roles, types};
}
constexpr SlotRule inout(Slot slot, EnumSet<Role> roles, EnumSet<DType> types) {
  return {slot, Use::update, roles, types};
}
// The first of several adds stores.
constexpr SlotRule sum(Slot slot, EnumSet<Role> roles, EnumSet<DType> types) {
  return {slot, Use::write_or_update, roles, types};
}
// Of the type in which the op computes, or which it sends.
constexpr SlotRule of_op_type(SlotRule rule) {
  rule.has_op_type = true;
  return rule;
}

constexpr SlotRule parameters_in = of_op_type(in(Slot::parameters, gathered, number));
constexpr SlotRule frozen_in = of_op_type(in(Slot::frozen, gathered, number)).optional();
constexpr SlotRule tied_in = of_op_type(in(Slot::tied, gathered, number)).optional();
constexpr SlotRule d_out_in = of_op_type(in(Slot::d_out, activations, number));
constexpr SlotRule x_in = of_op_type(in(Slot::x, activations, number));
constexpr SlotRule x_out = of_op_type(out(Slot::out, activations, number));
constexpr SlotRule d_x_out = of_op_type(out(Slot::d_x, activations, number));
constexpr SlotRule batch_in = in(Slot::batch, data, i32);
constexpr SlotRule constants_in = in(Slot::constants, data, bytes);
constexpr SlotRule sums_inout = inout(Slot::sums, data, bytes);
constexpr SlotRule gradient_out = out(Slot::gradient, gradients, number);
constexpr SlotRule workspace_out = out(Slot::workspace, scratch, bytes);

constexpr SlotRule master_out = out(Slot::master, parameters, f32),
                   states_out = out(Slot::states, optimizer, number).list(),
                   exported_out = out(Slot::exported, parameters, number).optional();

constexpr SlotRule init_unit[] = {exported_out, master_out, states_out};
constexpr SlotRule init_run[] = {out(Slot::constants, data, bytes), out(Slot::counters, data, bytes)};
constexpr OpForm init[] = {{"of a unit", init_unit}, {"of the run", init_run}};

constexpr SlotRule read_slots[] = {exported_out, master_out, states_out, out(Slot::staging, data, bytes)};
constexpr OpForm read[] = {{"", read_slots}};

constexpr SlotRule step_values_slots[] = {out(Slot::tokens, data, bytes), out(Slot::values, data, bytes),
                                          out(Slot::sums, data, bytes), out(Slot::batches, data, i32).list(),
                                          out(Slot::audit_batch, data, i32).optional()};
constexpr OpForm step_values[] = {{"", step_values_slots}};

constexpr SlotRule gather_slots[] = {of_op_type(in(Slot::slice, flat, number)),
                                     of_op_type(out(Slot::full, filled, number)).optional()};
constexpr OpForm gather[] = {{"", gather_slots}};

constexpr SlotRule release_slots[] = {in(Slot::exported, flat, number)};
constexpr OpForm release[] = {{"", release_slots}};

constexpr SlotRule reduce_slots[] = {of_op_type(in(Slot::gradient, gradients, number)).optional(),
                                     sum(Slot::accumulator, gradients, f32),
                                     of_op_type(out(Slot::staging, transport, number)).optional()};
constexpr OpForm reduce[] = {{"", reduce_slots}};

constexpr SlotRule forward_embedding[] = {parameters_in, frozen_in, batch_in, x_out, workspace_out};
constexpr SlotRule forward_block[] = {parameters_in, frozen_in,    x_in,  out(Slot::saved, activations, bytes),
                                      batch_in,      constants_in, x_out, workspace_out};
constexpr SlotRule forward_loss[] = {parameters_in, frozen_in,    tied_in,    x_in,
                                     batch_in,      constants_in, sums_inout, workspace_out};
constexpr SlotRule forward_choose[] = {parameters_in,
                                       frozen_in,
                                       tied_in,
                                       x_in,
                                       batch_in,
                                       constants_in,
                                       in(Slot::values, data, bytes),
                                       out(Slot::choice, data, i32),
                                       workspace_out};
constexpr OpForm forward[] = {{"of a block", forward_block},
                              {"of an embedding", forward_embedding},
                              {"of a head, the loss", forward_loss},
                              {"of a head, a choice", forward_choose}};

constexpr SlotRule recompute_slots[] = {
    parameters_in, frozen_in,        x_in,         out(Slot::saved, activations, bytes), batch_in,
    constants_in,  x_out.optional(), workspace_out};
constexpr OpForm recompute[] = {{"", recompute_slots}};

constexpr SlotRule backward_block[] = {gradient_out.optional(),
                                       parameters_in,
                                       frozen_in,
                                       d_out_in,
                                       x_in,
                                       in(Slot::saved, activations, bytes),
                                       batch_in,
                                       constants_in,
                                       d_x_out,
                                       workspace_out};
constexpr SlotRule backward_embedding[] = {gradient_out, d_out_in, batch_in, workspace_out};
constexpr OpForm backward[] = {{"of a block", backward_block}, {"of an embedding", backward_embedding}};

constexpr SlotRule forward_backward_slots[] = {gradient_out.optional(),
                                               parameters_in,
                                               frozen_in,
                                               tied_in,
                                               x_in,
                                               batch_in,
                                               constants_in,
                                               in(Slot::tokens, data, bytes),
                                               d_x_out,
                                               out(Slot::tied_gradient, gradients, number).optional(),
                                               sums_inout,
                                               workspace_out};
constexpr OpForm forward_backward[] = {{"", forward_backward_slots}};

constexpr SlotRule round_slots[] = {gradient_out, in(Slot::chain, gradients, f32)};
constexpr OpForm round[] = {{"", round_slots}};

// A group's sum that is rounded on the way is rounded in the workspace.
constexpr SlotRule accumulate_slots[] = {in(Slot::gradient, gradients, number), sum(Slot::accumulator, gradients, f32),
                                         out(Slot::workspace, scratch, number).optional()};
constexpr OpForm accumulate[] = {{"", accumulate_slots}};

constexpr SlotRule add_uses_slots[] = {in(Slot::other, gradients, f32), inout(Slot::accumulator, gradients, f32)};
constexpr OpForm add_uses[] = {{"", add_uses_slots}};

constexpr SlotRule square_sum_slots[] = {in(Slot::accumulator, gradients, f32), sums_inout};
constexpr OpForm square_sum[] = {{"", square_sum_slots}};

constexpr SlotRule all_reduce_slots[] = {sums_inout};
constexpr OpForm all_reduce[] = {{"", all_reduce_slots}};

constexpr SlotRule verdict_slots[] = {in(Slot::values, data, bytes), in(Slot::sums, data, bytes),
                                      inout(Slot::counters, data, bytes), out(Slot::verdict, data, bytes)};
constexpr OpForm verdict[] = {{"", verdict_slots}};

constexpr SlotRule check_finite_slots[] = {in(Slot::checked, inspected, any_type).list(),
                                           inout(Slot::finding, data, bytes)};
constexpr OpForm check_finite[] = {{"", check_finite_slots}};

constexpr SlotRule hash_slots[] = {in(Slot::gradient, gradients, number), sum(Slot::hashes, data, i64)};
constexpr OpForm hash[] = {{"", hash_slots}};

constexpr SlotRule update_slots[] = {exported_out, in(Slot::accumulator, gradients, f32),
                                     in(Slot::verdict, data, bytes), inout(Slot::master, parameters, f32),
                                     inout(Slot::states, optimizer, number).list()};
constexpr OpForm update[] = {{"", update_slots}};

constexpr SlotRule send_slots[] = {in(Slot::message, data, any_type)},
                   receive_slots[] = {out(Slot::message, data, any_type)};
constexpr OpForm send[] = {{"", send_slots}}, receive[] = {{"", receive_slots}};

constexpr EnumSet<StreamId> on_comm = {StreamId::comm}, on_compute = {StreamId::compute},
                            on_either = {StreamId::compute, StreamId::comm};
constexpr EnumSet<Group> alone = {Group::self}, of_data = {Group::data}, of_data_or_node = {Group::data, Group::node};

constexpr std::array<OpRule, op_kind_count> rules = {{
    {OpKind::init, init, on_compute, alone, CostClass::memory},
    {OpKind::read, read, on_compute, alone, CostClass::host},
    {OpKind::step_values, step_values, on_compute, alone, CostClass::host},
    {OpKind::gather, gather, on_comm, of_data_or_node, CostClass::link, true},
    {OpKind::release, release, on_comm, of_data_or_node, CostClass::none},
    {OpKind::reduce, reduce, on_comm, of_data, CostClass::link, true},
    {OpKind::forward, forward, on_compute, alone, CostClass::math},
    {OpKind::recompute, recompute, on_compute, alone, CostClass::math},
    {OpKind::backward, backward, on_compute, alone, CostClass::math},
    {OpKind::forward_backward, forward_backward, on_compute, alone, CostClass::math},
    {OpKind::round, round, on_compute, alone, CostClass::memory},
    {OpKind::accumulate, accumulate, on_either, alone, CostClass::memory},
    {OpKind::add_uses, add_uses, on_compute, alone, CostClass::memory},
    {OpKind::square_sum, square_sum, on_compute, alone, CostClass::memory},
    {OpKind::all_reduce, all_reduce, on_comm, of_data, CostClass::link, true},
    {OpKind::verdict, verdict, on_compute, alone, CostClass::none},
    {OpKind::check_finite, check_finite, on_compute, alone, CostClass::memory},
    {OpKind::hash, hash, on_compute, alone, CostClass::memory},
    {OpKind::update, update, on_compute, alone, CostClass::memory},
    {OpKind::send, send, on_comm, of_data, CostClass::link},
    {OpKind::receive, receive, on_comm, of_data, CostClass::link},
}};

constexpr bool stand_in_order() {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].kind != static_cast<OpKind>(i)) return false;
    for (const OpForm& form : rules[i].forms)
      for (std::size_t s = 1; s < form.slots.size(); ++s)
        if (!(form.slots[s - 1].slot < form.slots[s].slot)) return false;
  }
  return true;
}
static_assert(stand_in_order(), "one rule for each kind, in their order, and slots ascending");

const Buffer& buffer_of(const Schedule& schedule, const Operand& operand) {
  return schedule.buffers[static_cast<std::size_t>(operand.buffer)];
}

bool allows(Use use, Access access) {
  switch (use) {
    case Use::read: return access == Access::read;
    case Use::write: return access == Access::write;
    case Use::update: return access == Access::update;
    case Use::write_or_update: return access != Access::read;
  }
  return false;
}

const char* describe(Use use) {
  switch (use) {
    case Use::read: return "read";
    case Use::write: return "written";
    case Use::update: return "read and written";
    case Use::write_or_update: return "written, or read and written";
  }
  return "";
}

/// What is wrong with an op, held against one form.
class FormCheck {
 public:
  FormCheck(const Schedule& schedule, const Op& op, const OpForm& form) : schedule_(schedule), op_(op), form_(form) {
    for (const Operand& operand : op.operands)
      if (operand.slot != Slot::token) check(operand);
    for (const SlotRule& rule : form.slots)
      if (!rule.is_optional && !op.has(rule.slot))
        note(fmt::format("has nothing in slot {}{}", name(rule.slot), of_form()));
  }

  int faults() const { return faults_; }
  const std::optional<std::string>& first() const { return first_; }

 private:
  void note(std::string text) {
    ++faults_;
    if (!first_) first_ = std::move(text);
  }
  std::string of_form() const {
    return *form_.name ? fmt::format(" ({} {})", name(op_.kind), form_.name) : std::string();
  }

  void check(const Operand& operand) {
    const Buffer& buffer = buffer_of(schedule_, operand);
    const auto rule =
        std::find_if(form_.slots.begin(), form_.slots.end(), [&](const SlotRule& r) { return r.slot == operand.slot; });
    const auto wrong = [&](const std::string& what) {
      note(fmt::format("has {} in slot {}{}, {}", buffer.name, name(operand.slot), of_form(), what));
    };
    if (rule == form_.slots.end()) return wrong("which is none of its slots");
    if (!rule->is_list && op_.find(operand.slot) != &operand) return wrong("where only one buffer may stand");
    if (!allows(rule->use, operand.access)) return wrong(fmt::format("which must be {}", describe(rule->use)));
    if (!rule->roles.has(buffer.role)) return wrong(fmt::format("whose role must not be {}", name(buffer.role)));
    if (!rule->types.has(buffer.type)) return wrong(fmt::format("whose type must not be {}", name(buffer.type)));
    if (!rule->spaces.has(buffer.space)) return wrong(fmt::format("whose space must not be {}", name(buffer.space)));
    if (!rule->has_op_type) return;
    if (op_.wire && *op_.wire != buffer.type)
      return wrong(fmt::format("which is {}, but sends {}", name(buffer.type), name(*op_.wire)));
    if (typed_ && typed_->type != buffer.type)
      return wrong(fmt::format("which is {}, but {} is {}", name(buffer.type), typed_->name, name(typed_->type)));
    typed_ = &buffer;
  }

  const Schedule& schedule_;
  const Op& op_;
  const OpForm& form_;
  const Buffer* typed_ = nullptr;  // whose type the others must have
  std::optional<std::string> first_;
  int faults_ = 0;
};

std::optional<std::string> order_fault(const Schedule& schedule, const Op& op) {
  for (const Operand& operand : op.operands) {
    const bool is_token = buffer_of(schedule, operand).role == Role::token;
    if (is_token != (operand.slot == Slot::token))
      return fmt::format("has {} in slot {}: tokens, and tokens alone, stand there as tokens",
                         buffer_of(schedule, operand).name, name(operand.slot));
  }
  const auto later = std::adjacent_find(op.operands.begin(), op.operands.end(),
                                        [](const Operand& a, const Operand& b) { return stands_before(b, a); });
  if (later == op.operands.end()) return std::nullopt;
  return fmt::format("has slot {} before slot {}: operands stand in the order of slots", name(later->slot),
                     name(std::next(later)->slot));
}

}  // namespace

const char* name(CostClass cost) {
  switch (cost) {
    case CostClass::none: return "none";
    case CostClass::link: return "link";
    case CostClass::memory: return "memory";
    case CostClass::math: return "math";
    case CostClass::host: return "host";
  }
  return "unknown";
}

const OpRule& rule_of(OpKind kind) { return rules[static_cast<std::size_t>(kind)]; }

std::optional<std::string> operand_fault(const Schedule& schedule, const Op& op) {
  const OpRule& rule = rule_of(op.kind);
  if (!rule.streams.has(op.stream)) return fmt::format("must not stand on stream {}", name(op.stream));
  if (!rule.groups.has(op.group)) return fmt::format("must not be of group {}", name(op.group));
  if (auto fault = order_fault(schedule, op)) return fault;
  std::optional<std::string> nearest;
  int fewest = 0;
  for (const OpForm& form : rule.forms) {
    const FormCheck found(schedule, op, form);
    if (found.faults() == 0) return std::nullopt;
    if (nearest && found.faults() >= fewest) continue;
    nearest = found.first();
    fewest = found.faults();
  }
  return nearest;
}

}  // namespace trireme
