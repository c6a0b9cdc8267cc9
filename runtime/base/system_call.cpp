#include "runtime/base/system_call.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "runtime/base/memory_refusal.h"

namespace trireme {
namespace {

std::string limit_behind(int error) {
  rlimit limit{};
  switch (error) {
    case EMFILE: getrlimit(RLIMIT_NOFILE, &limit); return fmt::format(" (ulimit -n is {}; raise it)", limit.rlim_cur);
    case ENFILE: return " on this machine (beside ulimit -n: raise fs.file-max, or end other programs)";
    case EFBIG: return " (see ulimit -f)";
    case ENOMEM: {
      const std::string limits = memory_limits();
      return limits.empty() ? "" : fmt::format(" ({})", limits);
    }
    default: return "";
  }
}

}  // namespace

// A result of 0 or more leaves errno as an earlier failure set it.
SystemCall::SystemCall(std::int64_t result) : result_(result), error_(result < 0 ? errno : 0) {}

SystemCall SystemCall::returned(int error) {
  SystemCall call(0);
  call.error_ = error;
  return call;
}

bool SystemCall::lacks_descriptors() const { return error_ == EMFILE || error_ == ENFILE; }

bool SystemCall::lacks_space() const { return error_ == ENOSPC || error_ == EDQUOT; }

std::string SystemCall::place_advice() const {
  if (lacks_space()) return "; free space or choose another place";
  return lacks_descriptors() || error_ == EFBIG ? "" : "; choose another place";  // reason() tells which limit
}

std::string SystemCall::reason() const { return std::strerror(error_) + limit_behind(error_); }

}  // namespace trireme
