#include "runtime/base/error.h"

namespace trireme {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::config: return 2;
    case ErrorKind::plan: return 3;
    case ErrorKind::data: return 4;
    case ErrorKind::checkpoint: return 5;
    case ErrorKind::numeric: return 6;
    case ErrorKind::comm: return 7;
    case ErrorKind::device: return 8;
    case ErrorKind::bug: return 70;
  }
  return 70;
}

const char* name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::config: return "configuration";
    case ErrorKind::plan: return "does not fit";
    case ErrorKind::data: return "data";
    case ErrorKind::checkpoint: return "checkpoint";
    case ErrorKind::numeric: return "not a number";
    case ErrorKind::comm: return "communication";
    case ErrorKind::device: return "device";
    case ErrorKind::bug: return "a bug of ours";
  }
  return "a bug of ours";
}

}  // namespace trireme
