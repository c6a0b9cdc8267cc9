#include "runtime/schedule/text/text_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "runtime/schedule/text/text_lists.h"

namespace trireme {
namespace {

/// The lines of a text that say something, each with single blanks.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  std::optional<std::string> next() {
    while (!rest_.empty()) {
      const std::size_t end = std::min(rest_.find('\n'), rest_.size());
      const std::vector<std::string_view> fields = text::split_blanks(rest_.substr(0, end));
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      ++number_;
      if (!fields.empty() && !fields[0].starts_with('#')) return fmt::format("{}", fmt::join(fields, " "));
    }
    return std::nullopt;
  }
  int number() const { return number_; }

 private:
  std::string_view rest_;
  int number_ = 0;
};

}  // namespace

std::optional<std::string> first_difference(std::string_view given_text, std::string_view expected_text,
                                            std::string_view given, std::string_view expected) {
  Lines of_given(given_text), of_expected(expected_text);
  for (;;) {
    const std::optional<std::string> a = of_given.next(), b = of_expected.next();
    if (a == b && !a) return std::nullopt;
    if (a != b)
      return fmt::format("line {} differs:\n  {}: {}\n  {}: {}", of_given.number(), given, a.value_or("the text ends"),
                         expected, b.value_or("the text ends"));
  }
}

}  // namespace trireme
