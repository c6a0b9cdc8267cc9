#pragma once
// The same kernel on every instruction set this CPU has, and on 1, 2 and 4 threads.

#include <initializer_list>
#include <string>
#include <vector>

#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/threads.h"
#include "tests/runtime/kernels/guarded_tensor.h"

#include <catch2/catch.hpp>

namespace trireme {

/// Calls run() on 1, 2 and 4 threads on the fastest instruction set, and on 2 on each slower one (plain code alone
/// takes longer than all others); each time with `outputs` as they were before the first; requires equal bytes after
/// each, intact guards, and leaves the outputs of the last. Elements of an output need no value before.
template <typename Run>
void run_every_way(std::initializer_list<GuardedTensor*> outputs, Run run) {
  cpu::set_float_mode();
  std::vector<GuardedTensor> before, first;
  for (const GuardedTensor* output : outputs) before.push_back(*output);
  for (cpu::Isa isa : cpu::all_isas) {
    if (isa < cpu::detect_isa()) continue;
    cpu::select_isa(isa);
    for (int threads : isa == cpu::detect_isa() ? std::vector{1, 2, 4} : std::vector{2}) {
      std::size_t i = 0;
      for (GuardedTensor* output : outputs) *output = before[i++];
      cpu::set_kernel_threads(threads);
      run();
      if (first.empty())
        for (const GuardedTensor* output : outputs) first.push_back(*output);
      i = 0;
      for (const GuardedTensor* output : outputs) {
        INFO("output " << i << " on " << cpu::name(isa) << ", " << threads << " threads");
        REQUIRE(output->bytes() == first[i].bytes());
        REQUIRE(output->guards_intact());
        ++i;
      }
    }
  }
  cpu::select_isa(cpu::detect_isa());
  cpu::set_kernel_threads(1);
}

}  // namespace trireme
