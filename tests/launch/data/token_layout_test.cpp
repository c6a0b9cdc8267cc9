#include "launch/data/token_layout.h"

#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "launch/data/token_file.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"

using namespace trireme;

namespace {

std::string write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

template <typename Integer>
std::string bytes_of(const std::vector<Integer>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Integer));
}

std::string header(std::int32_t magic, std::int32_t version, std::int32_t tokens) {
  std::vector<std::int32_t> words(256);
  words[0] = magic, words[1] = version, words[2] = tokens;
  return bytes_of(words);
}

// Small numbers are frequent, as in any tokenizer's output; all below `vocabulary`.
template <typename Integer>
std::vector<Integer> tokens(std::size_t count, std::uint64_t vocabulary) {
  const Random random(1, "tokens");
  std::vector<Integer> values;
  for (std::size_t i = 0; i < count; ++i)
    values.push_back(
        static_cast<Integer>(random.bits(i) % vocabulary * (random.bits(i + count) % vocabulary) / vocabulary));
  return values;
}

std::string refusal(const std::string& path) {
  try {
    TokenFile{path};
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.what();
  }
  return "read";
}

std::string swapped(std::string bytes, std::size_t width) {
  for (std::size_t at = 0; at + width <= bytes.size(); at += width)
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 bytes.begin() + static_cast<std::ptrdiff_t>(at + width));
  return bytes;
}

// The token files that the message's command makes, read one after the other.
std::vector<std::int32_t> converted(const std::string& message, const std::string& stem) {
  const std::string command = message.substr(message.find("python3"));
  REQUIRE(std::system(command.c_str()) == 0);
  const std::string path = stem + ".tokens.0000.bin";
  const TokenFile file(path);
  std::vector<std::int32_t> values(static_cast<std::size_t>(file.tokens()));
  file.read(0, values);
  std::remove(path.c_str());
  return values;
}

}  // namespace

TEST_CASE("read_token_layout: llm.c's headers are read, 16 and 32 bits wide") {
  const std::vector<std::int32_t> wide = {128000, 1, 127999, 70000, 0};
  for (const auto& [magic, version] : std::vector<std::pair<int, int>>{{20240801, 7}, {20240520, 2}}) {
    write("l.bin", header(magic, version, 5) + bytes_of(wide));
    std::vector<std::int32_t> read(5);
    const TokenFile file("l.bin");
    REQUIRE(file.tokens() == 5);
    file.read(0, read);
    CHECK(read == wide);
    CHECK(file.summarize().largest == 128000);
  }
  write("l.bin", header(20240520, 1, 3) + bytes_of<std::uint16_t>({65535, 0, 50256}));
  std::vector<std::int32_t> read(2);
  TokenFile("l.bin").read(1, read);
  CHECK(read == std::vector<std::int32_t>{0, 50256});
}

TEST_CASE("read_token_layout: raw tokens are named, with a command that makes token files of them") {
  const auto check = [](const std::string& bytes, const char* width, const char* writer,
                        const std::vector<std::int32_t>& expected) {
    const std::string message = refusal(write("it's raw.bin", bytes));
    CHECK_THAT(message,
               Catch::Contains("raw tokens without a header") && Catch::Contains(width) && Catch::Contains(writer));
    CHECK(converted(message, "it's raw") == expected);
    std::remove("it's raw.bin");
  };
  for (const std::size_t count : {100, 5000, 100000}) {  // shorter than a header, than a sample, longer
    const auto narrow = tokens<std::uint16_t>(count, 50257);
    check(bytes_of(narrow), "2 bytes each", "nanoGPT", {narrow.begin(), narrow.end()});
    const auto letters = tokens<std::uint16_t>(count, 65);  // its shakespeare_char
    check(bytes_of(letters), "2 bytes each", "nanoGPT", {letters.begin(), letters.end()});
    const auto wide = tokens<std::uint32_t>(count, 128256);
    check(bytes_of(wide), "4 bytes each", "Megatron-LM", {wide.begin(), wide.end()});
    const auto widest = tokens<std::int64_t>(count, 50257);
    check(bytes_of(widest), "8 bytes each", "torch", {widest.begin(), widest.end()});
  }
}

TEST_CASE("read_token_layout: Megatron-LM's index says how wide the tokens beside it are") {
  const auto index = [](char type) {
    return std::string("MMIDIDX\0\0\1\0\0\0\0\0\0\0", 17) + type + std::string(100, '\0');
  };
  write("m_text_document.bin", bytes_of(tokens<std::int32_t>(3000, 30)));
  write("m_text_document.idx", index(4));
  CHECK_THAT(refusal("m_text_document.bin"),
             Catch::Contains("4 bytes each") && Catch::Contains("m_text_document.idx says so"));
  write("m_text_document.bin", bytes_of(tokens<std::uint16_t>(3000, 65536)));
  write("m_text_document.idx", index(8));
  CHECK_THAT(refusal("m_text_document.bin"), Catch::Contains("2 bytes each") && Catch::Contains("Megatron-LM"));
  std::remove("m_text_document.idx");
}

TEST_CASE("read_token_layout: what is none of these is called what it is") {
  const std::string narrow = bytes_of(tokens<std::uint16_t>(5000, 50257)),
                    wide = bytes_of(tokens<std::uint32_t>(5000, 128256));
  // The highest byte first.
  CHECK_THAT(refusal(write("o.bin", swapped(header(20240520, 1, 5000), 4) + swapped(narrow, 2))),
             Catch::Contains("highest byte first"));
  CHECK_THAT(refusal(write("o.bin", swapped(header(20240801, 7, 5000) + wide, 4))),
             Catch::Contains("highest byte first"));
  // Cut short, and too long.
  CHECK_THAT(refusal(write("o.bin", header(20240801, 7, 5000) + wide.substr(0, 19990))),
             Catch::Contains("promises 5000 tokens (21024 bytes), the file has 21014 bytes") &&
                 Catch::Contains("cut short by 10 bytes"));
  CHECK_THAT(refusal(write("o.bin", header(20240520, 1, 5000) + narrow.substr(0, 2))), Catch::Contains("cut short"));
  CHECK_THAT(refusal(write("o.bin", header(20240520, 1, 5000) + narrow + "xy")), Catch::Contains("damaged"));
  // Versions: none there is, another's, the wrong width.
  CHECK_THAT(refusal(write("o.bin", header(20240801, 1, 5000) + wide)),
             Catch::Contains("version 1") && Catch::Contains("20240801 has 7"));
  CHECK_THAT(refusal(write("o.bin", header(20240520, 7, 5000) + wide)), Catch::Contains("version 7"));
  CHECK_THAT(refusal(write("o.bin", header(20240520, 1, 5000) + wide)), Catch::Contains("4 bytes a token"));
  CHECK_THAT(refusal(write("o.bin", header(20240520, 2, 5000) + narrow)), Catch::Contains("2 bytes a token"));
  // llm.c's other files.
  CHECK_THAT(refusal(write("o.bin", header(20240326, 3, 1024) + narrow)), Catch::Contains("weights of a GPT-2 model"));
  CHECK_THAT(refusal(write("o.bin", header(20240522, 1, 10) + narrow)), Catch::Contains("questions of an evaluation"));
  CHECK_THAT(refusal(write("o.bin", header(20240328, 2, 50257) + narrow)), Catch::Contains("a tokenizer"));
  // Text, and what no program writes as tokens.
  CHECK_THAT(refusal(write("o.bin", std::string(3000, 'a') + "\n")), Catch::Contains("seems to be text"));
  std::string noise = "\x11\x8b";
  for (std::uint64_t i = 0; noise.size() < 20000; ++i) noise += bytes_of<std::uint64_t>({Random(3, "noise").bits(i)});
  noise.resize(20000);
  CHECK_THAT(refusal(write("o.bin", noise)), Catch::Contains("no token file") && !Catch::Contains("raw tokens"));
  CHECK_THAT(refusal(write("o.bin", std::string(20000, '\0'))),
             Catch::Contains("no token file") && !Catch::Contains("raw tokens"));
}
