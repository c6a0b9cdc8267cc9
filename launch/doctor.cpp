#include "launch/doctor.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <cstdlib>

#include "comm/node/shared_file.h"
#include "launch/config/settings.h"
#include "launch/plan/memory_limit.h"
#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/device/cpu/arena.h"
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

// Why no other process could map this one's memory, tried on itself; empty where one could.
std::string mapping_refusal() {
  try {
    const cpu::Arena memory(4 * KiB, Pages::shared);
    const SharedMapping mapping(name_file(memory.file()), FileAccess::read);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string mapping_line(const DoctorRanks& ranks) {
  const char* advice = "ranks of a node exchange messages, which is slower; start them as one user, in one container";
  if (ranks.on_node == 1) {
    const std::string refusal = mapping_refusal();
    const std::string found = refusal.empty() ? "memory of this rank can be mapped" : refusal;
    return line(refusal.empty(), fmt::format("shared mapping: {}", found), advice);
  }
  const bool all_share = ranks.sharing == ranks.on_node;
  return line(
      all_share,
      fmt::format("shared mapping: {} of {} ranks on this node read each other's memory", ranks.sharing, ranks.on_node),
      advice);
}

}  // namespace

std::string doctor_report(const DoctorRanks& ranks) {
  std::string report = line(true, fmt::format("MPI: {}", ranks.mpi), "");
  const int cpus = usable_cpus();
  report += line(cpus >= ranks.on_node,
                 fmt::format("CPUs that this rank may use: {}, ranks on this node: {}", cpus, ranks.on_node),
                 "start mpirun with --bind-to none, or fewer ranks");
  report += mapping_line(ranks);
  const cpu::Isa isa = cpu::detect_isa();
  const auto rate = [](DType type, ProductOrder order) { return cpu::register_peak_flops(type, order) / 1e9; };
  report +=
      line(isa != cpu::Isa::scalar,
           fmt::format("instruction set: {}, {:.0f} GF/s bf16 (products = tiles: {:.0f}) and {:.0f} GF/s f32 a thread",
                       cpu::name(isa), rate(DType::bf16, ProductOrder::chain), rate(DType::bf16, ProductOrder::tiles),
                       rate(DType::f32, ProductOrder::chain)),
           "no vector instructions: training will be slow");
  report += line(available_memory_bytes() > GiB,
                 fmt::format("memory left (and within the cgroup): {}", format_bytes(available_memory_bytes())),
                 "free memory before a run");
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  report += line(files.rlim_cur >= 1024, fmt::format("open files: {}", files.rlim_cur), "raise it with ulimit -n 4096");
  report += disk_line("/dev/shm", 64 * MiB, "MPI keeps its shared memory there; enlarge it");
  report += disk_line(".", GiB, "logs need space");
  const char* wait = std::getenv("OMP_WAIT_POLICY");
  report +=
      line(wait != nullptr, fmt::format("OMP_WAIT_POLICY: {}", wait ? wait : "not set"),
           "set it to passive where threads share cores, and GOMP_SPINCOUNT=1000000 where a rank has several threads");
  return report;
}

}  // namespace trireme
