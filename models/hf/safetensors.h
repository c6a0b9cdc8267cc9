#pragma once
// One .safetensors file: which tensors it holds, and their bytes.

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/input_file.h"
#include "runtime/base/units.h"

namespace trireme::hf {

/// A tensor of a file.
struct StoredTensor {
  std::string name;
  std::string type;            // as the file says it: F32, BF16, I64, ...
  std::vector<Elems> shape;    // none: one element
  Bytes begin = 0, bytes = 0;  // in the file
};

/// "[3, 4]".
std::string shape_text(const std::vector<Elems>& shape);

/// A file whose header was found whole: 8 bytes of length, JSON, then the tensors' bytes without a gap. Reads with
/// pread.
class SafetensorsFile {
 public:
  /// Errors  Error(data) with the path, the tensor, what is wrong and what to do: a header longer than the file or 100
  /// MB;
  ///         no JSON; an unknown type or key; a shape whose product overflows or is not what the offsets say; offsets
  ///         outside the file; tensors that overlap, or bytes that belong to none.
  /// Source  github.com/huggingface/safetensors, README, "Format".
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  Bytes size_bytes() const { return file_.size_bytes(); }
  /// In the order of their bytes.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// xxh3 of the header.
  std::uint64_t header_hash() const { return header_hash_; }
  /// Exactly `bytes` from `offset` of the file on, from any thread. Errors: Error(data) when the file got shorter.
  void read(Bytes offset, void* out, Bytes bytes) const { file_.read(offset, out, bytes); }

 private:
  InputFile file_;
  std::vector<StoredTensor> tensors_;
  std::uint64_t header_hash_ = 0;
};

}  // namespace trireme::hf
