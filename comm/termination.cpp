#include "comm/termination.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace trireme {
namespace {

std::atomic<StatusPage*> page_of_process{nullptr};

// Only lock-free atomics, write(2) and other async-signal-safe calls.
void on_terminate(int signal_number) {
  const int saved = errno;
  if (StatusPage* page = page_of_process) {
    // Before the abort word is taken: who loses it ends at once, and has not died.
    const std::optional<int> dead = page->find_dead();
    page->raise_abort();
    if (page->win_message()) {
      StatusLine line;
      if (dead)
        write_death(line, *page, *dead);
      else
        line << "trireme: terminated by a signal\n";
      write_line(line);
    }
  }
  signal(signal_number, SIG_DFL);
  raise(signal_number);
  errno = saved;
}

}  // namespace

void write_death(StatusLine& line, const StatusPage& page, int dead) {
  line << "trireme: rank " << dead << " died at ";
  page.describe(line, dead);
  page.describe_others(line);
  line << "\n";
}

void write_line(const StatusLine& line) {
  std::string_view rest = line.text();
  while (!rest.empty()) {
    const ssize_t written = write(STDERR_FILENO, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) return;
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

TerminationNotice::TerminationNotice(StatusPage& page) {
  page_of_process = &page;
  struct sigaction action {};
  action.sa_handler = on_terminate;
  sigaction(SIGTERM, &action, nullptr);
}

TerminationNotice::~TerminationNotice() {
  signal(SIGTERM, SIG_DFL);
  page_of_process = nullptr;
}

}  // namespace trireme
