#include <catch2/catch.hpp>

#include <cstring>
#include <functional>
#include <optional>

#include "models/describe.h"
#include "models/hf/model_folder.h"
#include "models/hf/slice.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"
#include "tests/models/hf/test_folder.h"

using namespace trireme;
using namespace trireme::test;

namespace {

/// Numbers of one mutation.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed, "mutations") {}
  std::size_t below(std::size_t end) { return end == 0 ? 0 : static_cast<std::size_t>(random_.below(rolls_++, end)); }

 private:
  Random random_;
  std::uint64_t rolls_ = 0;
};

// Digits and quotes are where meaning is: half of the mutations of text begin at one.
std::size_t place(const std::string& text, Dice& dice) {
  std::size_t at = dice.below(text.size());
  if (dice.below(2) == 0)
    while (at < text.size() && std::string("0123456789\"[]{}:,").find(text[at]) == std::string::npos) ++at;
  return std::min(at, text.size() - 1);
}

std::string mutate(std::string text, Dice& dice) {
  const std::size_t at = place(text, dice), other = place(text, dice);
  const std::size_t length = 1 + dice.below(40);
  switch (dice.below(8)) {
    case 0: text[at] = static_cast<char>(text[at] ^ 1 << dice.below(8)); break;
    case 1: text.resize(at); break;
    case 2: text.erase(at, length); break;
    case 3: text.insert(other, text.substr(at, length)); break;
    case 4: std::swap(text[at], text[other]); break;
    case 5: text[at] = static_cast<char>('0' + dice.below(10)); break;
    case 6: text.insert(at, std::string(1 + dice.below(30), "09[{\"-"[dice.below(6)])); break;
    case 7: {
      // A line of the JSON, or a key, twice or gone.
      const std::size_t begin = text.rfind(',', at), end = text.find(',', at);
      if (begin == std::string::npos || end == std::string::npos) break;
      if (dice.below(2) == 0)
        text.erase(begin, end - begin);
      else
        text.insert(begin, text.substr(begin, end - begin));
      break;
    }
  }
  return text;
}

/// The masters of all units as bytes; none where the folder is refused.
std::optional<std::string> load(const std::string& path) {
  try {
    const hf::ModelFolder folder(path);
    if (parameter_count(folder.model) > 1'000'000) return std::nullopt;
    std::vector<std::byte> staging(512);
    const View view(staging.data(), DType::byte, 512);
    std::string all;
    const std::vector<UnitSpec> units = describe(folder.model, {}).units;
    for (std::size_t u = 0; u < units.size(); ++u) {
      const FlatLayout layout(units[u], 1);
      std::vector<float> flat(static_cast<std::size_t>(layout.full_elems()));
      hf::read_slice(folder.weights, hf::overlaps(folder.map[u], layout, 0),
                     View(flat.data(), DType::f32, layout.full_elems()), view);
      all.append(reinterpret_cast<const char*>(flat.data()), flat.size() * sizeof(float));
    }
    if (folder.model.tied) hf::check_tied_head(folder.weights, token_table_of(folder.map), 0, 1, view);
    return all;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug) throw;
    return std::nullopt;
  }
}

/// How many of `count` mutations of one file were refused. What is not refused must load the same weights:
/// `changes_values` where the mutation may lie in the tensors' bytes, or in a key that says how they are computed.
int refused(const std::string& file, int count, const std::function<std::string(std::string, Dice&)>& change,
            bool changes_values) {
  const ModelConfig model = folder_model("qwen2");
  const TemporaryFolder path("mutation_test.tmp");
  write_folder(path.path, model, hf::Storage::f32, 2);
  const std::string original = read_text(path.path + "/" + file);
  const std::optional<std::string> weights = load(path.path);
  REQUIRE(weights);
  int refusals = 0;
  for (int seed = 0; seed < count; ++seed) {
    Dice dice(static_cast<std::uint64_t>(seed));
    const std::string text = change(original, dice);
    INFO(file << " mutation " << seed);
    write_text(path.path + "/" + file, text);
    const std::optional<std::string> loaded = load(path.path);
    if (!loaded)
      ++refusals;
    else
      CHECK((changes_values || *loaded == *weights));
  }
  return refusals;
}

const std::string shard = "model-00001-of-00002.safetensors";

std::string mutate_header(const std::string& text, Dice& dice) {
  std::uint64_t length = 0;
  std::memcpy(&length, text.data(), 8);
  const std::string header = mutate(text.substr(8, length), dice), data = text.substr(8 + length);
  // Half with the length that fits the new header: those reach what is behind it.
  if (dice.below(2) == 0) return safetensors_text(header, data);
  return text.substr(0, 8) + header + data;
}

}  // namespace

// A swap of two names of one shape gives another model that is whole: only there may weights differ.
TEST_CASE("mutations: 200 damaged headers are refused or load whole tensors, and none crashes") {
  CHECK(refused(shard, 200, mutate_header, true) > 150);
}

TEST_CASE("mutations: a file cut anywhere is refused") {
  CHECK(refused(
            shard, 100, [](std::string text, Dice& dice) { return text.substr(0, dice.below(text.size())); }, false) ==
        100);
}

TEST_CASE("mutations: 200 damaged index files are refused or load the same weights") {
  CHECK(refused("model.safetensors.index.json", 200, mutate, false) > 100);
}

TEST_CASE("mutations: 200 damaged config.json are refused or load the same weights") {
  CHECK(refused("config.json", 200, mutate, false) > 80);
}
