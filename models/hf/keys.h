#pragma once
// Reads the keys of one JSON object that somebody else wrote, and refuses by the key's name.

#include <initializer_list>
#include <string>
#include <vector>

#include "models/hf/json.h"

namespace trireme::hf {

/// A setting that we compute for one value only; absent (or null, see no_null()) means that value, too.
struct OnlyValue {
  const char* key;
  Json value;
};

/// The keys of one object. null is as good as absent, but for has(). Everything throws Error(config) that starts with
/// `where` and names key, value and what to do.
class Keys {
 public:
  /// Both are kept by reference.
  Keys(const Json& object, const std::string& where) : object_(object), where_(where) {}

  const std::string& where() const { return where_; }
  /// Whether the key stands there, also with null.
  bool has(const char* key) const { return object_.contains(key); }
  /// Null where it is missing or null.
  const Json* find(const char* key) const;

  /// A whole number from 0 on; 8192.0 is one.
  int integer(const char* key, int otherwise) const;
  /// The same of what shapes tensors: that `otherwise` was taken is kept for missing().
  int size(const char* key, int otherwise);
  double number(const char* key, double otherwise) const;
  double required_number(const char* key) const;
  /// Rounded to 32 bits.
  float small_number(const char* key, double otherwise) const;
  bool flag(const char* key, bool otherwise) const;
  std::string text(const char* key, const std::string& otherwise) const;
  void only(std::initializer_list<OnlyValue> settings) const;
  /// Where transformers takes no null, or takes it for something else than the default.
  void no_null(std::initializer_list<const char*> keys) const;

  /// "; n_embd is missing, for which transformers takes 768" of every size() that was not there; or nothing.
  std::string missing() const;

  [[noreturn]] void refuse(const char* key, const Json& value, const std::string& what_to_do) const;
  [[noreturn]] void refuse(const std::string& what, const std::string& what_to_do) const;

 private:
  const Json& object_;
  const std::string& where_;
  std::vector<std::string> missing_;
};

}  // namespace trireme::hf
