#include "launch/doctor.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <cstdlib>

#include "launch/memory_limit.h"
#include "launch/settings.h"
#include "runtime/base/units.h"
#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/register_peak.h"

namespace trireme {
namespace {

std::string line(bool ok, const std::string& fact, const std::string& advice) {
  return fmt::format("{:<5} {}{}\n", ok ? "ok" : "look", fact, ok ? "" : "; " + advice);
}

std::string disk_line(const char* path, Bytes wanted, const char* advice) {
  struct statvfs disk {};
  if (::statvfs(path, &disk) != 0) return line(false, fmt::format("{}: not there", path), advice);
  const auto free_bytes = static_cast<Bytes>(disk.f_bavail) * static_cast<Bytes>(disk.f_frsize);
  return line(free_bytes >= wanted, fmt::format("{}: {} free", path, format_bytes(free_bytes)), advice);
}

}  // namespace

std::string doctor_report(const std::string& mpi, int ranks_on_node) {
  std::string report = line(true, fmt::format("MPI: {}", mpi), "");
  const int cpus = usable_cpus();
  report += line(cpus >= ranks_on_node, fmt::format("CPUs that this rank may use: {}, ranks on this node: {}", cpus, ranks_on_node),
                 "start mpirun with --bind-to none, or fewer ranks");
  const cpu::Isa isa = cpu::detect_isa();
  const auto rate = [](DType type, ProductOrder order) { return cpu::register_peak_flops(type, order) / 1e9; };
  report += line(isa != cpu::Isa::scalar,
                 fmt::format("instruction set: {}, {:.0f} GF/s bf16 (products = tiles: {:.0f}) and {:.0f} GF/s f32 a thread",
                             cpu::name(isa), rate(DType::bf16, ProductOrder::chain), rate(DType::bf16, ProductOrder::tiles),
                             rate(DType::f32, ProductOrder::chain)),
                 "no vector instructions: training will be slow");
  report += line(available_memory_bytes() > GiB, fmt::format("memory left (and within the cgroup): {}", format_bytes(available_memory_bytes())),
                 "free memory before a run");
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  report += line(files.rlim_cur >= 1024, fmt::format("open files: {}", files.rlim_cur), "raise it with ulimit -n 4096");
  report += disk_line("/dev/shm", 64 * MiB, "MPI keeps its shared memory there; enlarge it");
  report += disk_line(".", GiB, "logs and checkpoints need space");
  const char* wait = std::getenv("OMP_WAIT_POLICY");
  report += line(wait != nullptr, fmt::format("OMP_WAIT_POLICY: {}", wait ? wait : "not set"),
                 "set it to passive where threads share cores");
  return report;
}

}  // namespace trireme
