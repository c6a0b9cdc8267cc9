#include "runtime/schedule/schedule.h"

#include "runtime/base/error.h"
#include "runtime/schedule/enum_names.h"

namespace trireme {

const char* name(Role role) {
  switch (role) {
    case Role::parameters: return "parameters";
    case Role::gathered: return "gathered";
    case Role::gradients: return "gradients";
    case Role::optimizer: return "optimizer";
    case Role::activations: return "activations";
    case Role::workspace: return "workspace";
    case Role::communication: return "communication";
    case Role::data: return "data";
    case Role::token: return "token";
  }
  return "unknown";
}

const char* name(Content content) {
  switch (content) {
    case Content::other: return "other";
    case Content::master: return "master";
    case Content::state: return "state";
    case Content::exported: return "exported";
    case Content::accumulator: return "accumulator";
    case Content::group_sum: return "group_sum";
    case Content::constants: return "constants";
    case Content::counters: return "counters";
    case Content::values: return "values";
    case Content::tokens: return "tokens";
    case Content::sums: return "sums";
    case Content::verdict: return "verdict";
    case Content::choice: return "choice";
    case Content::finding: return "finding";
    case Content::own_hashes: return "own_hashes";
    case Content::replayed_hashes: return "replayed_hashes";
    case Content::replayed_sums: return "replayed_sums";
    case Content::received_hashes: return "received_hashes";
  }
  return "unknown";
}

const char* name(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::init: return "init";
    case ScheduleKind::load: return "load";
    case ScheduleKind::enter: return "enter";
    case ScheduleKind::step: return "step";
    case ScheduleKind::step_with_audit: return "step_with_audit";
    case ScheduleKind::diagnose: return "diagnose";
    case ScheduleKind::validate: return "validate";
    case ScheduleKind::sample: return "sample";
  }
  return "unknown";
}

bool is_step(ScheduleKind kind) { return kind == ScheduleKind::step || kind == ScheduleKind::step_with_audit; }

const char* name(Space space) {
  switch (space) {
    case Space::device: return "device";
    case Space::host: return "host";
    case Space::disk: return "disk";
  }
  return "unknown";
}

const char* name(Lifetime lifetime) {
  switch (lifetime) {
    case Lifetime::step: return "step";
    case Lifetime::carried: return "carried";
    case Lifetime::persistent: return "persistent";
  }
  return "unknown";
}

Role parse_role(std::string_view text) {
  if (const auto found = find_by_name<Role>(text, role_count)) return *found;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a role; expected for example gathered or activations", text));
}

Content parse_content(std::string_view text) {
  if (const auto found = find_by_name<Content>(text, content_count)) return *found;
  throw Error(ErrorKind::config,
              fmt::format("'{}' is no content of a buffer; expected for example master or sums", text));
}

ScheduleKind parse_schedule_kind(std::string_view text) {
  if (const auto found = find_by_name<ScheduleKind>(text, schedule_kind_count)) return *found;
  throw Error(ErrorKind::config,
              fmt::format("'{}' is not a schedule; expected init, load, enter, step, step_with_audit, "
                          "diagnose, validate or sample",
                          text));
}

Space parse_space(std::string_view text) {
  if (const auto found = find_by_name<Space>(text, space_count)) return *found;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a memory space; expected device, host or disk", text));
}

Lifetime parse_lifetime(std::string_view text) {
  if (const auto found = find_by_name<Lifetime>(text, lifetime_count)) return *found;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a lifetime; expected step, carried or persistent", text));
}

std::string describe(const Schedule& schedule, OpId op) {
  const Op& x = schedule.ops[static_cast<std::size_t>(op)];
  if (!x.unit) return fmt::format("{} (op {})", name(x.kind), op);
  return fmt::format("{} unit {} (op {})", name(x.kind), *x.unit, op);
}

}  // namespace trireme
