#pragma once
// The message of a run that is stopped from outside: launchers send SIGTERM to those who survive a rank's death.

#include "comm/status_page.h"

namespace trireme {

/// While it lives, SIGTERM prints one line per node before it ends the process: the rank that died with its last op, or
/// "terminated by a signal". One at a time; the page must outlive it.
class TerminationNotice {
 public:
  explicit TerminationNotice(StatusPage& page);
  ~TerminationNotice();
  TerminationNotice(const TerminationNotice&) = delete;
  TerminationNotice& operator=(const TerminationNotice&) = delete;
};

/// "trireme: rank 1 died at step 3, op 41 backward unit 4; 3 ranks stopped\n". Callable from a signal handler.
void write_death(StatusLine& line, const StatusPage& page, int dead);
/// To standard error in one piece. Callable from a signal handler.
void write_line(const StatusLine& line);

}  // namespace trireme
