#pragma once
// The layouts in which one trajectory is tested, from covering_layouts.txt.

#include <vector>

#include "runtime/kernels/cpu/isa.h"
#include "tests/support/local_run.h"

namespace trireme::test {

/// How ranks over MPI reach each other; ranks as threads always read in place.
enum class Transport { in_place, messages, pairs };

/// One way to lay out a run.
struct Layout {
  int ranks = 1, threads = 1, prefetch = 1;
  Recompute recompute = Recompute::none;
  cpu::Isa isa = cpu::Isa::scalar;
  Transport transport = Transport::in_place;
};

/// All rows of the file.
std::vector<Layout> covering_layouts();

/// Trains as the layout says, and under the checked device where `checked_seed` >= 0. Where this CPU lacks the
/// layout's instruction set it takes its best.
LocalResult train_laid_out(TrainerSettings settings, const Layout& layout, int steps, int checked_seed = -1,
                           const BatchSource& edit_batch = {});

}  // namespace trireme::test
