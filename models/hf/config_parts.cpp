#include "models/hf/config_parts.h"

#include <algorithm>

namespace trireme::hf {

void note_dropout(const Keys& keys, const char* key, double otherwise, std::string& list) {
  const double rate = keys.number(key, otherwise);
  if (rate < 0 || rate > 1) keys.refuse(key, *keys.find(key), "expected a rate from 0 to 1");
  if (rate != 0)
    list +=
        fmt::format("{}{} = {}{}", list.empty() ? "" : ", ", key, rate, keys.find(key) ? "" : " (as it is missing)");
}

void check_activation(const Keys& keys, const char* key, const char* otherwise,
                      std::initializer_list<const char*> computed) {
  const std::string name = keys.text(key, otherwise);
  if (std::find(computed.begin(), computed.end(), name) == computed.end())
    keys.refuse(key, name, fmt::format("{} are computed here", fmt::join(computed, ", ")));
}

double shortest(float value) { return std::stod(fmt::format("{}", value)); }

}  // namespace trireme::hf
