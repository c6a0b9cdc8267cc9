#include "runtime/schedule/schedule.h"

#include "runtime/base/error.h"

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

const char* name(Space space) {
  switch (space) {
    case Space::device: return "device";
    case Space::host: return "host";
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
  for (int i = 0; i < role_count; ++i)
    if (text == name(static_cast<Role>(i))) return static_cast<Role>(i);
  throw Error(ErrorKind::config, fmt::format("'{}' is not a role; expected for example gathered or activations", text));
}

Space parse_space(std::string_view text) {
  for (Space space : {Space::device, Space::host})
    if (text == name(space)) return space;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a memory space; expected device or host", text));
}

Lifetime parse_lifetime(std::string_view text) {
  for (Lifetime lifetime : {Lifetime::step, Lifetime::carried, Lifetime::persistent})
    if (text == name(lifetime)) return lifetime;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a lifetime; expected step, carried or persistent", text));
}

std::string describe(const Schedule& schedule, OpId op) {
  const Op& x = schedule.ops[static_cast<std::size_t>(op)];
  if (!x.unit) return fmt::format("{} (op {})", name(x.kind), op);
  return fmt::format("{} unit {} (op {})", name(x.kind), *x.unit, op);
}

}  // namespace trireme
