#pragma once

#include <string>

#include "launch/train/program_runner.h"

namespace trireme {

/// The last step of this rank as planned on paper (compute at `peak_flops`, bytes at 10 GB/s) and as measured.
/// A file that cannot be written is told on standard error and not left by half: it is for looking.
void write_trace(const std::string& path, ProgramRunner& runner, double peak_flops);

}  // namespace trireme
