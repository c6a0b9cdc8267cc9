#pragma once
// Which of the files that a process reads it holds open: a list of data files may be longer than `ulimit -n`.

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>

namespace trireme {

/// A descriptor, closed with its last user.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

/// The descriptors that were used last, by the number of their file: at most a quarter of what the process may open.
/// Any thread.
class OpenFiles {
 public:
  using File = std::uint64_t;

  static OpenFiles& of_process();
  /// A number that no other file has.
  File add();
  /// Its descriptor; null where it was closed meanwhile.
  std::shared_ptr<const Descriptor> find(File file);
  /// From now on open, in place of the one whose use is the longest ago.
  void keep(File file, std::shared_ptr<const Descriptor> descriptor);
  /// Closes one that nobody uses now, so that another can be opened; false where there is none.
  bool close_one();
  void forget(File file);

 private:
  static constexpr std::size_t most = 256;
  struct Entry {
    File file = 0;
    std::uint64_t used = 0;  // when, in uses
    std::shared_ptr<const Descriptor> descriptor;
  };
  OpenFiles();

  std::mutex mutex_;
  std::size_t places_ = most;
  std::uint64_t files_ = 0, uses_ = 0;
  std::array<Entry, most> entries_;
};

}  // namespace trireme
