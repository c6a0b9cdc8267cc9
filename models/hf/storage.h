#pragma once
// Element types of Hugging Face files, and their exact way to f32 and back.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/units.h"

namespace trireme::hf {

enum class Storage { f32, bf16, f16 };

constexpr Bytes size_bytes(Storage type) {
  switch (type) {
    case Storage::f32: return 4;
    case Storage::bf16:
    case Storage::f16: return 2;
  }
  return 0;
}

/// f32, bf16, f16.
const char* name(Storage type);
/// Errors: Error(config) for a name that is none.
Storage parse_storage(std::string_view text);
/// F32, BF16, F16: as safetensors call them. Empty for their other types.
const char* safetensors_name(Storage type);
std::optional<Storage> find_storage(std::string_view safetensors_name);
/// float32, bfloat16, float16: as config.json calls them.
const char* torch_name(Storage type);

/// A matrix [rows, cols] of f32, and the same elements in a file's type, in either order of dimensions.
struct Exchange {
  float* values = nullptr;  // element (r, c) at r * value_stride + c
  Elems value_stride = 0;
  std::byte* stored = nullptr;  // element (r, c) at r * cols + c, or c * rows + r where transposed
  Storage type = Storage::f32;
  Elems rows = 0, cols = 0;
  bool transposed = false;
};

/// stored -> values. Exact: every value of the three types is one of f32; denormals and NaN keep their bits.
void widen(const Exchange& k);
/// values -> stored, to nearest even, denormals kept. What widen() gave comes back bit for bit.
void narrow(const Exchange& k);

}  // namespace trireme::hf
