#include "launch/train/step_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "launch/launcher_output.h"
#include "runtime/base/log.h"

namespace trireme {
namespace {

// JSON has no NaN; a loss that is none is null.
nlohmann::ordered_json number(double x) {
  return std::isfinite(x) ? nlohmann::ordered_json(x) : nlohmann::ordered_json();
}

// mpirun gives every rank a terminal of its own: what counts is where mpirun itself writes to.
bool writes_to_terminal() {
  if (::isatty(STDOUT_FILENO) != 1) return false;
  if (!std::getenv("OMPI_COMM_WORLD_SIZE")) return true;
  char target[256] = {};
  const std::string link = fmt::format("/proc/{}/fd/1", ::getppid());
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target - 1);
  return length > 0 && (std::strncmp(target, "/dev/pts/", 9) == 0 || std::strncmp(target, "/dev/tty", 8) == 0);
}

}  // namespace

std::string print_step(const StepLine& line) {
  return fmt::format(
      "step={} loss={:.6f} grad_norm={:.4f} lr={:.3e} tokens_per_s={:.0f} step_ms={:.1f} exposed_comm_ms={:.2f} "
      "skew_ms={:.2f} mfu={:.3f}",
      line.step, line.loss, line.grad_norm, line.lr, line.tokens_per_s, line.step_ms, line.exposed_comm_ms,
      line.skew_ms, line.mfu);
}

std::string print_step_json(const StepLine& line) {
  const nlohmann::ordered_json json = {{"step", line.step},
                                       {"loss", number(line.loss)},
                                       {"grad_norm", number(line.grad_norm)},
                                       {"lr", line.lr},
                                       {"tokens_per_s", line.tokens_per_s},
                                       {"step_ms", line.step_ms},
                                       {"exposed_comm_ms", line.exposed_comm_ms},
                                       {"skew_ms", line.skew_ms},
                                       {"mfu", line.mfu},
                                       {"loss_hex", fmt::format("{:a}", line.loss)},
                                       {"grad_norm_hex", fmt::format("{:a}", line.grad_norm)}};
  return json.dump();
}

StepLog::StepLog(const std::string& path, int every, std::int64_t steps)
    : every_(every), steps_(steps), terminal_(writes_to_terminal()) {
  if (!path.empty()) file_.emplace(path);
}

void StepLog::step(const StepLine& line) {
  spent_ms_ += line.step_ms;
  ++seen_;
  if (file_) file_->add(print_step_json(line));
  const bool is_due = line.step % every_ == 0 || line.step + 1 == steps_;
  if (terminal_) std::fputs("\r\033[K", stdout);
  if (is_due) say_unless_closed(print_step(line));
  if (terminal_) progress(line);
}

void StepLog::validation(std::int64_t step, double loss) {
  if (terminal_) std::fputs("\r\033[K", stdout);
  say_unless_closed(fmt::format("step={} valid_loss={:.6f}", step, loss));
  const nlohmann::ordered_json json = {
      {"step", step}, {"valid_loss", number(loss)}, {"valid_loss_hex", fmt::format("{:a}", loss)}};
  if (file_) file_->add(json.dump());
}

void StepLog::say_unless_closed(const std::string& line) {
  if (is_closed_) return;
  is_closed_ = launcher_pipe_is_closed();
  if (!is_closed_) return say(line);
  warn("nobody reads standard output of mpirun any more; the run goes on, and the lines of its steps are lost");
}

// One line that overwrites itself, with the time that is left at the pace so far.
void StepLog::progress(const StepLine& line) {
  const double left_s = spent_ms_ / static_cast<double>(seen_) * static_cast<double>(steps_ - line.step - 1) / 1000;
  const std::string text = fmt::format("{}/{} steps, {:.0f}:{:02.0f} left", line.step + 1, steps_,
                                       std::floor(left_s / 60), std::fmod(left_s, 60.0));
  std::fputs(text.c_str(), stdout);
  if (line.step + 1 == steps_) std::fputs("\n", stdout);
  std::fflush(stdout);
}

}  // namespace trireme
