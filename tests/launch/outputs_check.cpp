// Reads what a run writes for programs, for train_outputs.sh: outputs_check steps|trace|plan FILE [RANKS].
// Ends with code 1 and a line that says which fact does not hold.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using Json = nlohmann::ordered_json;
using Names = std::vector<std::string>;

void check(bool holds, const std::string& fact, const Json& where) {
  if (!holds) throw std::runtime_error(fmt::format("{}: {}", fact, where.dump().substr(0, 500)));
}

// The keys of `wanted` that `object` has, in its order.
Names known_keys(const Json& object, const Names& wanted) {
  Names names;
  for (const auto& [key, value] : object.items())
    if (std::find(wanted.begin(), wanted.end(), key) != wanted.end()) names.push_back(key);
  return names;
}

void check_hex(const Json& line, const std::string& key) {
  check(std::strtod(line.at(key + "_hex").get<std::string>().c_str(), nullptr) == line.at(key).get<double>(),
        key + " is not its hex float", line);
}

void check_steps(std::ifstream& file) {
  const Names wanted = {"step",    "loss", "grad_norm", "lr",           "tokens_per_s", "step_ms", "exposed_comm_ms",
                        "skew_ms", "mfu",  "loss_hex",  "grad_norm_hex"};
  int steps = 0, validations = 0;
  for (std::string text; std::getline(file, text);) {
    const Json line = Json::parse(text);
    if (line.contains("valid_loss")) {
      check(line.at("step") == 2 * ++validations - 1, "validations stand after steps 1 and 3", line);
      check_hex(line, "valid_loss");
      continue;
    }
    check(known_keys(line, wanted) == wanted, "a step has the keys of the design", line);
    check(line.at("step") == steps++, "steps count from 0", line);
    check_hex(line, "loss");
    check_hex(line, "grad_norm");
  }
  check(steps == 4 && validations == 2, "4 steps and 2 validations", {steps, validations});
}

void check_trace(std::ifstream& file) {
  const Json trace = Json::parse(file);
  const Json& events = trace.is_array() ? trace : trace.at("traceEvents");
  std::set<std::string> rows;
  std::map<int, int> lengths;
  for (const Json& event : events) {
    if (event.at("ph") == "X") ++lengths[event.at("pid").get<int>()];
    if (event.at("ph") == "M" && event.at("name") == "process_name")
      rows.insert(event.at("args").at("name").get<std::string>().substr(0, 11));
  }
  check(rows == std::set<std::string>{"rank 0 meas", "rank 0 plan"}, "a planned and a measured row", rows);
  check(lengths.size() == 2, "two rows of ops", lengths);
  for (const auto& [row, ops] : lengths) check(ops > 10, "every op of the step in every row", row);
}

void check_plan(std::ifstream& file, int ranks) {
  const Json plan = Json::parse(file);
  const Names keys = {"class",   "count", "peak_bytes",   "peak_schedule",
                      "peak_op", "roles", "states_bytes", "remainder_bytes"};
  const Names roles = {"parameters", "gathered",      "gradients", "optimizer",    "activations",
                       "workspace",  "communication", "data",      "fragmentation"};
  std::int64_t node = 0;
  int count = 0;
  for (const Json& rank : plan.at("ranks")) {
    check(known_keys(rank, keys) == keys, "a class of ranks has the keys of the design", rank);
    check(known_keys(rank.at("roles"), roles) == roles && rank.at("roles").size() == roles.size(),
          "the roles of the design", rank);
    std::int64_t sum = 0;
    for (const auto& [role, bytes] : rank.at("roles").items()) sum += bytes.get<std::int64_t>();
    check(sum == rank.at("peak_bytes"), "the roles sum to the arena", rank);
    count += rank.at("count").get<int>();
    node += rank.at("count").get<int>() * (sum + rank.at("remainder_bytes").get<std::int64_t>());
  }
  check(count == ranks, "every rank is in one class", plan);
  check(node == plan.at("host_bytes_per_node"), "a node needs what its ranks need", plan);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string what = argv[1];
  std::ifstream file(argv[2]);
  try {
    if (what == "steps")
      check_steps(file);
    else if (what == "trace")
      check_trace(file);
    else if (what == "plan" && argc > 3)
      check_plan(file, std::atoi(argv[3]));
    else
      return 2;
  } catch (const std::exception& error) {
    fmt::print("{}: {}\n", argv[2], error.what());
    return 1;
  }
}
