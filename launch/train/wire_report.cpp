#include "launch/train/wire_report.h"

#include <fmt/format.h>

namespace trireme {

std::string print_wire(std::span<const RankWire> ranks) {
  Bytes gathers = 0, reduces = 0, elsewhere = 0;
  Traffic planned, measured;
  for (const RankWire& rank : ranks) {
    gathers += rank.step.gathers.total();
    reduces += rank.step.reduces.total();
    elsewhere += rank.step.elsewhere();
    planned += rank.planned;
    measured += rank.measured;
  }
  std::string text = fmt::format(
      "wire of a step: gathers {} bytes, reduces {} bytes, of both {} bytes by messages\n"
      "wire of the run: planned {} bytes in place and {} by messages, measured {} and {}",
      gathers, reduces, elsewhere, planned.in_place, planned.messages, measured.in_place, measured.messages);
  if (planned != measured) text += "\nwarning: ranks took other bytes from each other than planned";
  return text;
}

}  // namespace trireme
