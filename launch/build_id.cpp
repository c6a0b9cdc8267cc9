#include "launch/build_id.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "runtime/base/input_file.h"

namespace trireme {

std::string build_id() {
  const InputFile program("/proc/self/exe");
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), XXH3_freeState);
  XXH3_64bits_reset(state.get());
  std::vector<char> piece(static_cast<std::size_t>(256 * KiB));
  for (Bytes at = 0; at < program.size_bytes(); at += static_cast<Bytes>(piece.size())) {
    const Bytes bytes = std::min(program.size_bytes() - at, static_cast<Bytes>(piece.size()));
    program.read(at, piece.data(), bytes);
    XXH3_64bits_update(state.get(), piece.data(), static_cast<std::size_t>(bytes));
  }
  return fmt::format("{:016x}", XXH3_64bits_digest(state.get()));
}

}  // namespace trireme
