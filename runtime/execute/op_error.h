#pragma once
// Whether it was an op that failed: whoever tells of an error knows it from the error, not from what ran beside it.

#include "runtime/base/error.h"

namespace trireme {

/// An error that an op threw, as against one of the host thread: files it writes, texts it makes, what it agrees on.
class OpError : public Error {
 public:
  using Error::Error;
  explicit OpError(const Error& error) : Error(error) {}
};

}  // namespace trireme
