#pragma once
// The end of a run: its results first, then its export, then what is for looking.

#include "launch/train/run_loop.h"
#include "launch/train/run_start.h"

namespace trireme {

/// Behind the last step, on all ranks. Errors: AgreedError(data) where the export or the results could not be written.
void end_run(const Run& run, RunStart& start, RunLoop& loop);

}  // namespace trireme
