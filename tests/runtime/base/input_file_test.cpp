#include "runtime/base/input_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/error.h"
#include "tests/support/process_limit.h"

using namespace trireme;

namespace {

/// Files 0, 1, ... of four digits each, in a folder that goes with it.
class NumberedFiles {
 public:
  explicit NumberedFiles(int count) : folder_("numbered_files") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    for (int i = 0; i < count; ++i) write(i, digits(i));
  }
  ~NumberedFiles() { std::filesystem::remove_all(folder_); }
  std::string path(int i) const { return folder_ + "/" + std::to_string(i); }
  void write(int i, const std::string& text) const { std::ofstream(path(i), std::ios::binary) << text; }
  static std::string digits(int i) { return std::to_string(1000 + i); }

 private:
  std::string folder_;
};

std::string read_all(const InputFile& file) {
  std::string text(static_cast<std::size_t>(file.size_bytes()), '\0');
  file.read(0, text.data(), file.size_bytes());
  return text;
}

int open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<int>(std::distance(begin(files), end(files)));
}

std::string refusal(const InputFile& file) {
  try {
    read_all(file);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.what();
  }
  return "";
}

// So many others are read that this one is closed.
void read_others(const std::vector<InputFile>& files) {
  for (std::size_t i = 1; i < files.size(); ++i) read_all(files[i]);
}

}  // namespace

TEST_CASE("InputFile: any number of files may be named, few are open") {
  const NumberedFiles numbered(1030);
  const int before = open_files();
  std::vector<InputFile> files;
  for (int i = 0; i < 1030; ++i) files.emplace_back(numbered.path(i));
  CHECK(open_files() <= before + 256);
  for (int i = 0; i < 1030; ++i)
    REQUIRE(read_all(files[static_cast<std::size_t>(i * 7 % 1030)]) == NumberedFiles::digits(i * 7 % 1030));
  CHECK(open_files() <= before + 256);
  files.clear();
  CHECK(open_files() == before);
}

TEST_CASE("InputFile: threads that read more files than are open read what is there") {
  const NumberedFiles numbered(600);
  std::vector<InputFile> files;
  for (int i = 0; i < 600; ++i) files.emplace_back(numbered.path(i));
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 4; ++t)
    readers.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const int file = (i * (t * 2 + 1) + t * 100) % 600;
        wrong += read_all(files[static_cast<std::size_t>(file)]) != NumberedFiles::digits(file);
      }
    });
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
}

TEST_CASE("InputFile: a file that was replaced or changed since it was looked at is refused when it is opened again") {
  const NumberedFiles numbered(300);
  std::vector<InputFile> files;
  for (int i = 0; i < 300; ++i) files.emplace_back(numbered.path(i));
  const std::string path = numbered.path(0);
  const auto written = std::filesystem::last_write_time(path);
  SECTION("touched only by reading") {
    read_others(files);
    CHECK(refusal(files[0]).empty());
  }
  SECTION("replaced by one of the same length and time") {
    numbered.write(300, "9999");
    std::filesystem::rename(numbered.path(300), path);
    std::filesystem::last_write_time(path, written);
    read_others(files);
    CHECK_THAT(refusal(files[0]), Catch::Contains(path) && Catch::Contains("replaced or changed"));
  }
  SECTION("written to") {
    numbered.write(0, "9999");
    std::filesystem::last_write_time(path, written + std::chrono::seconds(1));
    read_others(files);
    CHECK_THAT(refusal(files[0]), Catch::Contains("replaced or changed"));
  }
  SECTION("longer") {
    std::ofstream(path, std::ios::app) << "more";
    std::filesystem::last_write_time(path, written);
    read_others(files);
    CHECK_THAT(refusal(files[0]), Catch::Contains("replaced or changed"));
  }
  SECTION("gone") {
    std::filesystem::remove(path);
    read_others(files);
    CHECK_THAT(refusal(files[0]), Catch::Contains(path + ": No such file"));
  }
}

TEST_CASE("InputFile: where no file may be opened, others that are only kept are closed; then ulimit -n is named") {
  const NumberedFiles numbered(30);
  std::vector<InputFile> files;
  for (int i = 0; i < 20; ++i) files.emplace_back(numbered.path(i));
  std::vector<int> fillers;
  const ProcessLimit few(RLIMIT_NOFILE, 64);
  for (int file; (file = ::open("/dev/null", O_RDONLY)) >= 0;) fillers.push_back(file);
  for (int i = 20; i < 30; ++i) {
    files.emplace_back(numbered.path(i));
    CHECK(read_all(files.back()) == NumberedFiles::digits(i));
  }
  CHECK(read_all(files[0]) == NumberedFiles::digits(0));
  // Others take all that is given back.
  files.clear();
  for (int file; (file = ::open("/dev/null", O_RDONLY)) >= 0;) fillers.push_back(file);
  std::string message;
  try {
    InputFile{numbered.path(0)};
  } catch (const Error& error) {
    message = error.what();
  }
  for (const int file : fillers) ::close(file);
  CHECK_THAT(message, Catch::Contains(numbered.path(0) + ": Too many open files") &&
                          Catch::Contains("ulimit -n is 64; raise it"));
}
