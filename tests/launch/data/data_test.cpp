#include "launch/data/data.h"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <set>
#include <string>

#include "runtime/base/error.h"
#include "tests/support/process_limit.h"

using namespace trireme;

namespace {

std::string write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string letters(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += static_cast<char>('a' + i % 26);
  return text;
}

std::string bytes_of(const std::vector<std::int32_t>& header, const std::string& body) {
  std::vector<std::int32_t> whole = header;
  whole.resize(256);
  return std::string(reinterpret_cast<const char*>(whole.data()), 1024) + body;
}

std::vector<std::int32_t> range(std::int64_t first, std::int64_t count) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = first; i < first + count; ++i) tokens.push_back('a' + static_cast<std::int32_t>(i % 26));
  return tokens;
}

struct OwnedBatch {
  explicit OwnedBatch(Elems n)
      : memory(static_cast<std::size_t>(Batch::fields * n)),
        batch(View(memory.data(), DType::i32, Batch::fields * n)) {}
  std::vector<std::int32_t> memory;
  Batch batch;
};

std::vector<std::int32_t> values(const View& view) {
  return {view.as<std::int32_t>(), view.as<std::int32_t>() + view.elems()};
}

}  // namespace

TEST_CASE("TokenStream: sequence i is tokens [i T, i T + T], over the borders of files") {
  const std::string all = letters(101);
  const std::vector<std::string> paths = {write("d1.txt", all.substr(0, 37)), write("d2.txt", all.substr(37, 1)),
                                          write("d3.txt", all.substr(38))};
  const TokenStream stream(paths, 10, 256);
  REQUIRE(stream.sequences() == 10);
  std::vector<std::int32_t> tokens(10), targets(10);
  for (std::int64_t i = 0; i < 10; ++i) {
    stream.read(i, tokens, targets);
    CHECK(tokens == range(10 * i, 10));
    CHECK(targets == range(10 * i + 1, 10));
  }
}

TEST_CASE("fill_training: microbatch j of step s, sequential, wraps into the next epoch") {
  const TokenStream stream({write("d1.txt", letters(71))}, 10, 256);  // 7 sequences
  OwnedBatch own(20);
  fill_training(stream, {.global_batch = 6, .micro_batch = 2}, 3, 1, own.batch);  // sequences 20 and 21
  std::vector<std::int32_t> expected = range(60, 10);
  const std::vector<std::int32_t> second = range(0, 10);
  expected.insert(expected.end(), second.begin(), second.end());
  CHECK(values(own.batch.tokens) == expected);
}

TEST_CASE("fill_validation: places behind the last sequence have weight 0") {
  const TokenStream stream({write("d1.txt", letters(31))}, 10, 256);  // 3 sequences
  OwnedBatch own(20);
  fill_validation(stream, 2, 1, own.batch);
  for (int i = 0; i < 20; ++i) CHECK(own.batch.weights.as<float>()[i] == (i < 10 ? 1.0f : 0.0f));
  fill_validation(stream, 2, 7, own.batch);
  for (int i = 0; i < 20; ++i) CHECK(own.batch.weights.as<float>()[i] == 0.0f);
}

TEST_CASE("find_documents: a document ends with its end token, over the ends of files and in every epoch") {
  // 'c' ends a document; files end within documents, and with one.
  const std::string all = "abcdefcccabccabdefabccdefab";  // 5 sequences of 5 and 2 tokens more
  const std::vector<std::string> paths = {write("d1.txt", all.substr(0, 5)), write("d2.txt", all.substr(5, 6)),
                                          write("d3.txt", all.substr(11))};
  const TokenStream stream(paths, 5, 256, 'c');
  REQUIRE(stream.sequences() == 5);
  const std::vector<std::vector<std::int32_t>> expected = {{0, 0, 0, 3, 3},   // abcde
                                                           {0, 0, 2, 3, 4},   // fccca
                                                           {0, 0, 2, 3, 3},   // bccab
                                                           {0, 0, 0, 0, 0},   // defab
                                                           {0, 1, 2, 2, 2}};  // ccdef
  for (std::int64_t epoch = 0; epoch < 3; ++epoch)
    for (int i = 0; i < 5; ++i) {
      OwnedBatch own(5);
      fill_training(stream, {.global_batch = 1, .micro_batch = 1}, epoch * 5 + i, 0, own.batch);
      CHECK(values(own.batch.document_starts) == expected[static_cast<std::size_t>(i)]);
      // The target of an end token is the first token of the next document, and counts.
      CHECK(own.batch.valid_tokens() == 5);
    }
  OwnedBatch own(10);
  fill_validation(stream, 2, 2, own.batch);  // sequence 4, and sequence 0 in the place behind the last
  CHECK(values(own.batch.document_starts) == std::vector<std::int32_t>{0, 1, 2, 2, 2, 0, 0, 0, 3, 3});
  CHECK(own.batch.valid_tokens() == 5);
  std::fill(own.memory.begin(), own.memory.end(), 9);
  fill_training(TokenStream(paths, 5, 256), {.global_batch = 2, .micro_batch = 2}, 0, 0, own.batch);
  CHECK(values(own.batch.document_starts) == std::vector<std::int32_t>(10));
}

TEST_CASE("TokenStream: the summary counts ends of documents by file and together, and none at all is an error") {
  const auto refused = [](const std::vector<std::string>& paths, int end) {
    try {
      TokenStream(paths, 5, 60000, end);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::data);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const std::vector<std::string> paths = {write("d1.txt", "abcabcabc"), write("d2.txt", "defdefdef"),
                                          write("d3.txt", "ccc")};
  const std::string summary = TokenStream(paths, 5, 256, 'c').summary();
  CHECK_THAT(summary, Catch::Contains("d1.txt: 9 tokens") && Catch::Contains(", 3 documents end\nd2.txt"));
  CHECK_THAT(summary, Catch::Contains(", 0 documents end\nd3.txt") &&
                          Catch::Contains(", 3 documents end\ntogether 6 documents\n"));
  CHECK_THAT(TokenStream({"d1.txt"}, 5, 256, 'c').summary(),
             Catch::Contains("3 documents end") && !Catch::Contains("together"));
  CHECK_THAT(TokenStream(paths, 5, 256).summary(), !Catch::Contains("documents"));
  // An id of another tokenizer, one that only another file has, 0 in text, and in token files of 16 and of 32 bits.
  CHECK_THAT(refused(paths, 50256),
             Catch::Contains("data.end_of_document = 50256 never occurs in d1.txt, d2.txt, d3.txt"));
  CHECK_THAT(refused({"d2.txt"}, 'c'),
             Catch::Contains("= 99 never occurs in d2.txt") && Catch::Contains("leave data.documents out"));
  CHECK_THAT(refused(paths, 0), Catch::Contains("= 0 never occurs"));
  const std::vector<std::int32_t> wide = {7, 50256, 1, 2, 3, 4, 50256, 50257};
  const std::string bytes(reinterpret_cast<const char*>(wide.data()), 32);
  write("w.bin", bytes_of({token_file_magic, 2, 8}, bytes));
  CHECK_THAT(TokenStream({"w.bin"}, 5, 60000, 50256).summary(), Catch::Contains("2 documents end"));
  CHECK_THAT(refused({"w.bin"}, 0), Catch::Contains("= 0 never occurs in w.bin"));
  write_token_file("n.bin", paths);
  CHECK_THAT(TokenStream({"n.bin"}, 5, 256, 'c').summary(), Catch::Contains("6 documents end"));
  CHECK_THAT(refused({"n.bin"}, 2), Catch::Contains("= 2 never occurs in n.bin"));
}

TEST_CASE("TokenStream: ends of documents are counted over the borders of reads") {
  std::string text = letters(600000);
  std::fill(text.begin(), text.end(), 'x');
  for (const std::size_t at : {0, 65534, 65535, 65536, 131071, 131072, 599999}) text[at] = 'e';
  CHECK_THAT(TokenStream({write("d1.txt", text)}, 5, 256, 'e').summary(), Catch::Contains("7 documents end"));
}

TEST_CASE("TokenStream: the three bytes of a byte order mark are tokens, which the summary says") {
  CHECK_THAT(
      TokenStream({write("d1.txt", "\xef\xbb\xbfsome text")}, 5, 256).summary(),
      Catch::Contains("12 tokens") && Catch::Contains("starts with a UTF-8 byte order mark, which becomes 3 tokens"));
  for (const char* text : {"some text", "\xef\xbbsome text", "s\xef\xbb\xbfsome text"})
    CHECK_THAT(TokenStream({write("d1.txt", text)}, 5, 256).summary(), !Catch::Contains("mark"));
  write_token_file("d.bin", std::vector<std::string>{write("d1.txt", "\xef\xbb\xbfsome text")});
  CHECK_THAT(TokenStream({"d.bin"}, 5, 256).summary(), !Catch::Contains("mark"));
}

TEST_CASE("Permutation: every epoch is a bijection, and epochs differ") {
  for (std::int64_t size : {1, 2, 3, 7, 64, 65, 1000}) {
    std::set<std::int64_t> seen;
    for (std::int64_t i = 0; i < size; ++i) seen.insert(Permutation(5, 0, size)(i));
    CHECK(static_cast<std::int64_t>(seen.size()) == size);
    CHECK(*seen.rbegin() == size - 1);
  }
  int moved = 0;
  for (std::int64_t i = 0; i < 1000; ++i) moved += Permutation(5, 0, 1000)(i) != Permutation(5, 1, 1000)(i);
  CHECK(moved > 900);
}

TEST_CASE("write_token_file: what was tokenized reads back, as 16 and as 32 bits") {
  const std::vector<std::string> texts = {write("d1.txt", letters(1000)), write("d2.txt", "xyz")};
  write_token_file("d.bin", texts);
  const TokenFile file("d.bin");
  REQUIRE(file.tokens() == 1003);
  std::vector<std::int32_t> tokens(1003);
  file.read(0, tokens);
  CHECK(std::vector<std::int32_t>(tokens.begin(), tokens.begin() + 1000) == range(0, 1000));
  CHECK(tokens[1000] == 'x');
  const std::vector<std::int32_t> wide = {70000, 1, 2};
  write("w.bin", bytes_of({token_file_magic, 2, 3}, std::string(reinterpret_cast<const char*>(wide.data()), 12)));
  std::vector<std::int32_t> read(3);
  TokenFile("w.bin").read(0, read);
  CHECK(read == wide);
}

TEST_CASE("TokenFile: damaged, empty and missing files are refused by name") {
  const auto message = [](const std::string& path) {
    try {
      TokenStream({path}, 10, 256);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::data);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  CHECK_THAT(message("gone.txt"), Catch::Contains("gone.txt") && Catch::Contains("No such file"));
  CHECK_THAT(message(write("e.txt", "")), Catch::Contains("empty"));
  CHECK_THAT(message(write("s.txt", "0123456789")), Catch::Contains("too few"));
  CHECK_THAT(message("/tmp"), Catch::Contains("not a file"));
  CHECK_THAT(message(write("b.bin", "short")), Catch::Contains("header"));
  CHECK_THAT(message(write("b.bin", bytes_of({1, 1, 4}, "12345678"))), Catch::Contains("no token file"));
  CHECK_THAT(message(write("b.bin", bytes_of({token_file_magic, 9, 4}, "12345678"))), Catch::Contains("version 9"));
  CHECK_THAT(message(write("b.bin", bytes_of({token_file_magic, 1, 5}, "12345678"))),
             Catch::Contains("promises 5 tokens"));
  CHECK_THAT(message(write("b.bin", bytes_of({token_file_magic, 1, 4}, "123456789"))),
             Catch::Contains("promises 4 tokens"));
  CHECK_THAT(message(write("b.bin", bytes_of({token_file_magic, 1, 20}, std::string(40, '\x7f')))),
             Catch::Contains("outside model.vocab"));
}

TEST_CASE("TokenStream: a mask beside a token file takes targets out, over the borders of files and of reads") {
  constexpr int first_tokens = 5000, tokens = 9001, sequence = 1500;
  write_token_file("m1.bin", std::vector<std::string>{write("d1.txt", letters(first_tokens))});
  write_token_file("m3.bin", std::vector<std::string>{write("d2.txt", letters(tokens - first_tokens - 1000))});
  const std::vector<std::string> paths = {"m1.bin", write("m2.txt", letters(1000)), "m3.bin"};
  std::string whole(tokens, '\1');
  for (std::size_t i = 0; i < whole.size(); ++i)
    if (i % 3 == 0 || (i > 4000 && i < 4100)) whole[i] = '\0';
  write("m1.mask", whole.substr(0, first_tokens));
  write("m2.mask", "text has no mask");
  write("m3.mask", whole.substr(first_tokens + 1000));
  std::fill(whole.begin() + first_tokens, whole.begin() + first_tokens + 1000, '\1');
  const TokenStream stream(paths, sequence, 256);
  REQUIRE(stream.sequences() == 6);
  for (std::int64_t i = 0; i < stream.sequences(); ++i) {
    std::vector<std::int32_t> read(sequence), targets(sequence);
    stream.read(i, read, targets);
    for (int n = 0; n < sequence; ++n) {
      const std::int64_t place = i * sequence + n + 1;
      const std::int64_t in_file = place < first_tokens          ? place
                                   : place < first_tokens + 1000 ? place - first_tokens
                                                                 : place - first_tokens - 1000;
      REQUIRE(targets[static_cast<std::size_t>(n)] ==
              (whole[static_cast<std::size_t>(place)] ? 'a' + in_file % 26 : ignored_target));
      if (n + 1 < sequence) REQUIRE(read[static_cast<std::size_t>(n) + 1] == 'a' + in_file % 26);
    }
  }
  // Ranks compare the summary.
  CHECK_THAT(stream.summary(), Catch::Contains("m1.bin: 5000 tokens") && Catch::Contains("mask: 3267 count, xxh3 "));
  const std::string before = stream.summary();
  whole[7] = '\0', whole[8] = '\1', whole[6] = '\1', whole[9] = '\0';
  write("m1.mask", whole.substr(0, first_tokens));
  CHECK(TokenStream(paths, sequence, 256).summary() != before);
  for (const char* name : {"m1.mask", "m2.mask", "m3.mask"}) std::remove(name);
  CHECK_THAT(TokenStream(paths, sequence, 256).summary(), !Catch::Contains("mask"));
}

TEST_CASE("TargetMask: what is no mask of the file is refused by name") {
  write_token_file("m.bin", std::vector<std::string>{write("d1.txt", letters(20))});
  const auto refused = [] {
    try {
      TokenStream({"m.bin"}, 10, 256);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::data);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  write("m.mask", std::string(19, '\1'));
  CHECK_THAT(refused(), Catch::Contains("m.mask: 19 bytes for the 20 tokens of m.bin"));
  write("m.mask", std::string(21, '\1'));
  CHECK_THAT(refused(), Catch::Contains("m.mask: 21 bytes"));
  write("m.mask", "");
  CHECK_THAT(refused(), Catch::Contains("m.mask: 0 bytes"));
  write("m.mask", std::string(17, '\1') + "\2" + std::string(2, '\0'));
  CHECK_THAT(refused(), Catch::Contains("m.mask: byte 17 is 2"));
  write("m.mask", std::string(20, '1'));
  CHECK_THAT(refused(), Catch::Contains("m.mask: byte 0 is 49"));
  std::remove("m.mask");
  REQUIRE(symlink("nowhere", "m.mask") == 0);
  CHECK_THAT(refused(), Catch::Contains("m.mask: a link to nowhere, where nothing is"));
  std::remove("m.mask");
  CHECK(refused() == "no error");
}

TEST_CASE("write_token_file: where nothing can be written nothing is left") {
  CHECK_THROWS_WITH(write_token_file("/nowhere/x.bin", std::vector<std::string>{write("d1.txt", "abc")}),
                    Catch::Contains("/nowhere/x.bin"));
  // Names under which the result, or what is read, would be taken for something else.
  CHECK_THROWS_WITH(write_token_file("d.tokens", std::vector<std::string>{"d1.txt"}), Catch::Contains("end in .bin"));
  CHECK_THROWS_WITH(write_token_file("e.bin", std::vector<std::string>{"d.bin"}), Catch::Contains("reads text"));
  // A device that is always full.
  CHECK_THROWS_AS(write_token_file("/dev/full/x.bin", std::vector<std::string>{"d1.txt"}), Error);
}

TEST_CASE("write_token_file: the message says why, whatever errno was before") {
  const std::vector<std::string> texts = {write("d1.txt", letters(2'000'000))};
  const auto refused = [&](const std::string& path) {
    errno = 0;
    try {
      write_token_file(path, texts);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::data);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  // A folder in the place of the file.
  REQUIRE((mkdir("folder.bin", 0755) == 0 || errno == EEXIST));
  CHECK_THAT(refused("folder.bin"), Catch::Contains("cannot be renamed into place: Is a directory"));
  CHECK_THAT(refused("gone/x.bin"), Catch::Contains("cannot be created: No such file or directory"));
  CHECK_THAT(refused("d1.txt/x.bin"), Catch::Contains("cannot be created: Not a directory"));
  // A full disk, and a limit on the length of files.
  std::remove("full.bin.part");
  REQUIRE(symlink("/dev/full", "full.bin.part") == 0);
  CHECK_THAT(refused("full.bin"), Catch::Contains("cannot be written: No space left on device"));
  std::signal(SIGXFSZ, SIG_IGN);
  const auto too_long = [&] {
    const ProcessLimit short_files(RLIMIT_FSIZE, 1'000'000);
    return refused("long.bin");
  };
  CHECK_THAT(too_long(), Catch::Contains("cannot be written: File too large") && Catch::Contains("ulimit -f"));
  for (const char* left : {"folder.bin.part", "full.bin.part", "full.bin", "long.bin.part", "long.bin"})
    CHECK(access(left, F_OK) != 0);
}

TEST_CASE("TokenStream: more files and masks than may be open, in any order") {
  std::vector<std::string> paths;
  for (int i = 0; i < 300; ++i) {
    const std::string stem = "many" + std::to_string(i);
    const std::vector<std::uint16_t> tokens(7, static_cast<std::uint16_t>(i % 200));
    paths.push_back(write(stem + ".bin", bytes_of({token_file_magic, 1, 7},
                                                  std::string(reinterpret_cast<const char*>(tokens.data()), 14))));
    write(stem + ".mask", std::string(7, i % 2 == 0 ? '\1' : '\0'));
  }
  const ProcessLimit few(RLIMIT_NOFILE, 64);
  const TokenStream stream(paths, 7, 256);
  REQUIRE(stream.sequences() == 299);
  std::vector<std::int32_t> tokens(7), targets(7);
  for (int i = 0; i < 299; ++i) {
    const int index = i * 101 % 299;
    stream.read(index, tokens, targets);
    REQUIRE(tokens == std::vector<std::int32_t>(7, index % 200));
    REQUIRE(targets[0] == (index % 2 == 0 ? index % 200 : ignored_target));
    REQUIRE(targets[6] == (index % 2 == 1 ? (index + 1) % 200 : ignored_target));
  }
  for (const std::string& path : paths)
    std::remove(path.c_str()), std::remove((path.substr(0, path.size() - 4) + ".mask").c_str());
}
