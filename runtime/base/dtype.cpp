#include "runtime/base/dtype.h"

#include "runtime/base/error.h"

namespace trireme {

const char* name(DType type) {
  switch (type) {
    case DType::bf16: return "bf16";
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::i32: return "i32";
    case DType::i64: return "i64";
    case DType::byte: return "byte";
  }
  return "byte";
}

DType parse_dtype(std::string_view text) {
  for (DType type : {DType::bf16, DType::f32, DType::f64, DType::i32, DType::i64, DType::byte})
    if (text == name(type)) return type;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a type; use bf16 or f32", text));
}

}  // namespace trireme
