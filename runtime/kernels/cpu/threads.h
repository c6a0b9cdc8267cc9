#pragma once
// Threads of one rank. A kernel cuts its work at fixed block edges, so bits never depend on the thread count.

#include <xmmintrin.h>

#include <algorithm>

#include "runtime/base/units.h"

namespace trireme::cpu {

/// Threads that a kernel called from this thread may use, this one included; 1 until set. Per calling thread:
/// the compute stream sets it once at its start.
int kernel_threads();
void set_kernel_threads(int threads);
/// Number of the calling OpenMP thread within its team.
int omp_thread();

/// Flush-to-zero and denormals-are-zero, in the calling thread: vdpbf16ps always works so, hence all our arithmetic
/// does (design 4.5). Every thread that runs kernels calls this before its first one.
inline void set_float_mode() { _mm_setcsr(_mm_getcsr() | 0x8040u); }

/// Calls body(first, last, thread) for the blocks [first, last) of [0, count) cut at multiples of `block`, spread
/// over kernel_threads() threads; thread < kernel_threads(). With one thread no OpenMP call is made.
/// A body may not throw. Blocks must not depend on each other.
template <typename Body>
void for_each_block(Elems count, Elems block, Body&& body) {
  const Elems blocks = ceil_div(count, block);
  const int threads = static_cast<int>(std::min<Elems>(kernel_threads(), blocks));
  const auto run = [&](Elems b, int thread) { body(b * block, std::min(count, (b + 1) * block), thread); };
  if (threads <= 1) {
    for (Elems b = 0; b < blocks; ++b) run(b, 0);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    set_float_mode();
    const int thread = omp_thread();
#pragma omp for schedule(static)
    for (Elems b = 0; b < blocks; ++b) run(b, thread);
  }
}

}  // namespace trireme::cpu
