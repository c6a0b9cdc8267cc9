#include "runtime/kernels/cpu/threads.h"

#include <omp.h>

namespace trireme::cpu {
namespace {
thread_local int threads_of_this_thread = 1;
}

int kernel_threads() { return threads_of_this_thread; }
void set_kernel_threads(int threads) { threads_of_this_thread = threads; }
int omp_thread() { return omp_get_thread_num(); }

}  // namespace trireme::cpu
