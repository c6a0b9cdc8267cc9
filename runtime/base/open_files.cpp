#include "runtime/base/open_files.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace trireme {

Descriptor::~Descriptor() { ::close(number_); }

OpenFiles& OpenFiles::of_process() {
  static OpenFiles files;
  return files;
}

OpenFiles::OpenFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
    places_ = static_cast<std::size_t>(std::clamp<rlim_t>(limit.rlim_cur / 4, 1, most));
}

OpenFiles::File OpenFiles::add() {
  const std::lock_guard lock(mutex_);
  return ++files_;
}

std::shared_ptr<const Descriptor> OpenFiles::find(File file) {
  const std::lock_guard lock(mutex_);
  for (Entry& entry : entries_)
    if (entry.file == file) {
      entry.used = ++uses_;
      return entry.descriptor;
    }
  return nullptr;
}

void OpenFiles::keep(File file, std::shared_ptr<const Descriptor> descriptor) {
  const std::lock_guard lock(mutex_);
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(places_);
  // Free places were never used. Who reads from the one that goes keeps it open until then.
  const auto oldest =
      std::min_element(entries_.begin(), end, [](const Entry& a, const Entry& b) { return a.used < b.used; });
  *oldest = {.file = file, .used = ++uses_, .descriptor = std::move(descriptor)};
}

bool OpenFiles::close_one() {
  const std::lock_guard lock(mutex_);
  for (Entry& entry : entries_)
    if (entry.descriptor.use_count() == 1) {
      entry = {};
      return true;
    }
  return false;
}

void OpenFiles::forget(File file) {
  const std::lock_guard lock(mutex_);
  for (Entry& entry : entries_)
    if (entry.file == file) entry = {};
}

}  // namespace trireme
