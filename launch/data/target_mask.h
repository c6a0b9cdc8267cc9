#pragma once
// Which tokens of a token file count as targets: X.mask beside X.bin, a byte for each token, 0 or 1.

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "runtime/base/input_file.h"

namespace trireme {

/// What a masked target becomes: the ignore index of other libraries.
inline constexpr std::int32_t ignored_target = -100;

/// An open mask. Reading is safe from any thread.
class TargetMask {
 public:
  /// The mask beside the token file `path`, if there is one.
  /// Errors: Error(data) for a mask that cannot be read or has not one byte for each of `tokens`.
  static std::optional<TargetMask> beside(const std::string& path, std::int64_t tokens);

  /// targets[i] is token first + i of the file: those that do not count become ignored_target.
  void apply(std::int64_t first, std::span<std::int32_t> targets) const;

  /// xxh3 of the content, and how many tokens count. Reads the file once.
  /// Errors: Error(data) with path and place of a byte that is neither 0 nor 1.
  struct Summary {
    std::uint64_t hash = 0;
    std::int64_t counted = 0;
  };
  Summary summarize() const;

 private:
  explicit TargetMask(InputFile file) : file_(std::move(file)) {}

  InputFile file_;
};

}  // namespace trireme
