#include "models/hf/safetensors.h"

#include <catch2/catch.hpp>

#include "models/hf/weights.h"
#include "runtime/base/error.h"
#include "tests/models/hf/test_folder.h"

using namespace trireme;
using namespace trireme::test;
using Catch::Contains;

namespace {

const std::string data(24, 'x');
const std::string good_header =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},)"
    R"("a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}})";

std::string message_of(const std::string& bytes) {
  const TemporaryFolder folder("safetensors_test.tmp");
  write_text(folder.path + "/x.safetensors", bytes);
  try {
    hf::SafetensorsFile file(folder.path + "/x.safetensors");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    CHECK_THAT(error.what(), Contains("x.safetensors"));
    return error.what();
  }
  return "no error";
}

std::string header_message(const std::string& header, const std::string& body = data) {
  return message_of(safetensors_text(header, body));
}

/// The good header with one text replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string header = good_header;
  const std::size_t at = header.find(from);
  REQUIRE(at != std::string::npos);
  return header_message(header.replace(at, from.size(), to));
}

std::string folder_message(const std::string& folder) {
  try {
    hf::Weights weights(folder);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("safetensors: tensors come in the order of their bytes, with type, shape and place") {
  const TemporaryFolder folder("safetensors_good.tmp");
  const std::string path = folder.path + "/x.safetensors";
  write_text(path, safetensors_text(good_header + "   ", data));
  const hf::SafetensorsFile file(path);
  REQUIRE(file.tensors().size() == 2);
  const hf::StoredTensor &a = file.tensors()[0], &b = file.tensors()[1];
  const Bytes begin = 8 + static_cast<Bytes>(good_header.size()) + 3;
  CHECK((a.name == "a" && a.type == "BF16" && a.shape == std::vector<Elems>{4} && a.begin == begin && a.bytes == 8));
  CHECK((b.name == "b" && b.type == "F32" && b.shape == std::vector<Elems>{2, 2} && b.begin == begin + 8 &&
         b.bytes == 16));
}

TEST_CASE("safetensors: a file without tensors, a scalar and an empty tensor are fine") {
  CHECK(header_message("{}", "") == "no error");
  CHECK(header_message(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", "1234") == "no error");
  CHECK(
      header_message(
          R"({"e":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
          "1234") == "no error");
}

TEST_CASE("safetensors: what does not hold together is refused with the tensor and what is wrong") {
  CHECK_THAT(message_of(""), Contains("0 bytes are too few"));
  CHECK_THAT(message_of("1234567"), Contains("too few"));
  CHECK_THAT(message_of(std::string(8, '\xff')), Contains("longer than the file"));
  CHECK_THAT(message_of(std::string("\x03\0\0\0\0\0\0\0{}", 10)), Contains("longer than the file"));
  CHECK_THAT(header_message(""), Contains("does not begin with"));
  CHECK_THAT(header_message(" {}", ""), Contains("does not begin with"));
  CHECK_THAT(header_message("{", ""), Contains("no JSON"));
  CHECK_THAT(header_message("{}x", ""), Contains("no JSON"));
  CHECK_THAT(header_message("{\"\xff\":1}", ""), Contains("no JSON"));
  CHECK_THAT(header_message("{}"), Contains("last 24 bytes belong to no tensor"));
  CHECK_THAT(header_message(R"({"a":)" + std::string(100000, '[')), Contains("nested deeper"));
  CHECK_THAT(changed("\"a\"", "\"b\""), Contains("stands twice"));
  CHECK_THAT(changed("\"a\"", "\"a\\u0000\""), Contains("is no name"));
  CHECK_THAT(changed("\"a\"", "\"\""), Contains("is no name"));
  CHECK_THAT(changed("\"pt\"", "1"), Contains("__metadata__"));
  CHECK_THAT(changed("{\"format\":\"pt\"}", "[]"), Contains("__metadata__"));
  CHECK_THAT(changed("BF16", "F4"), Contains("dtype = \"F4\" is unknown"));
  CHECK_THAT(changed("\"BF16\"", "3"), Contains("dtype = 3"));
  CHECK_THAT(changed("\"BF16\"", "\"F32\""), Contains("which are 16 bytes"));
  CHECK_THAT(changed("[4]", "[5]"), Contains("which are 10 bytes"));
  CHECK_THAT(changed("[4]", "[-4]"), Contains("expected a whole number"));
  CHECK_THAT(changed("[4]", "[4.0]"), Contains("expected a whole number"));
  CHECK_THAT(changed("[4]", "\"4\""), Contains("no list"));
  CHECK_THAT(changed("[4]", "[9223372036854775807,2]"), Contains("more elements than can be"));
  CHECK_THAT(changed("[4]", "[99999999999999999999]"), Contains("expected a whole number"));
  CHECK_THAT(changed("[0,8]", "[8,0]"), Contains("data_offsets"));
  CHECK_THAT(changed("[0,8]", "[0,25]"), Contains("beyond the file's 24 bytes"));
  CHECK_THAT(changed("[0,8]", "[0,8,8]"), Contains("are not two"));
  CHECK_THAT(changed("[0,8]", "[4,12]"), Contains("belong to no tensor"));
  CHECK_THAT(changed("[8,24]", "[6,22]"), Contains("overlap"));
  CHECK_THAT(changed("\"shape\":[4],", ""), Contains("expected dtype, shape and data_offsets"));
  CHECK_THAT(changed("\"shape\":[4],", "\"shape\":[4],\"more\":1,"),
             Contains("expected dtype, shape and data_offsets"));
  CHECK_THAT(header_message(good_header, data + "x"), Contains("last 1 bytes"));
  CHECK_THAT(header_message(good_header, data.substr(1)), Contains("beyond the file's 23 bytes"));
}

TEST_CASE("weights: one file is taken before an index, and a folder without either is told what to do") {
  const TemporaryFolder folder("weights_test.tmp");
  CHECK_THAT(folder_message(folder.path), Contains("safe_serialization=True"));
  write_text(folder.path + "/model.safetensors.index.json", "{");
  CHECK_THAT(folder_message(folder.path), Contains("no JSON"));
  write_text(folder.path + "/model.safetensors", safetensors_text(good_header, data));
  CHECK(folder_message(folder.path) == "no error");
}

TEST_CASE("weights: an index and its files must say the same, and name nothing outside the folder") {
  const TemporaryFolder folder("index_test.tmp");
  const auto tensor = [](const std::string& name) { return safetensors_text({{name, "F32", {1}, "1234"}}); };
  write_text(folder.path + "/1.safetensors", tensor("a"));
  write_text(folder.path + "/2.safetensors", tensor("b"));
  const auto index = [&](const std::string& map) {
    write_text(folder.path + "/model.safetensors.index.json", "{\"weight_map\":" + map + "}");
    return folder_message(folder.path);
  };
  CHECK(index(R"({"a":"1.safetensors","b":"2.safetensors"})") == "no error");
  CHECK_THAT(index(R"({"a":"2.safetensors","b":"1.safetensors"})"), Contains("lacks the tensor"));
  CHECK_THAT(index(R"({"a":"1.safetensors","b":"1.safetensors"})"), Contains("lacks the tensor"));
  CHECK_THAT(index(R"({"a":"1.safetensors","c":"2.safetensors"})"), Contains("lacks the tensor"));
  CHECK_THAT(index(R"({"a":"1.safetensors","b":"3.safetensors"})"), Contains("3.safetensors"));
  for (const char* name : {"../1.safetensors", "/etc/passwd", "..", ".", "", "x/1.safetensors", "1\\u0000"})
    CHECK_THAT(index(fmt::format(R"({{"a":"{}"}})", name)), Contains("expected the name of a file in this folder"));
  CHECK_THAT(index(R"({"a":1})"), Contains("expected the name of a file"));
  CHECK_THAT(index("{}"), Contains("no weight_map"));
  CHECK_THAT(index("[]"), Contains("no weight_map"));
  write_text(folder.path + "/2.safetensors", safetensors_text({{"b", "F32", {1}, "1234"}, {"c", "F32", {1}, "1234"}}));
  CHECK_THAT(index(R"({"a":"1.safetensors","b":"2.safetensors"})"), Contains("weight_map lacks the tensor \"c\""));
  write_text(folder.path + "/2.safetensors", safetensors_text({{"b", "F32", {1}, "1234"}, {"a", "F32", {1}, "1234"}}));
  CHECK_THAT(index(R"({"a":"1.safetensors","b":"2.safetensors"})"), Contains("stands in another file"));
}

TEST_CASE("weights: a type that no parameter has is refused where it is used, not where it lies") {
  const TemporaryFolder folder("types_test.tmp");
  write_text(folder.path + "/model.safetensors", safetensors_text({{"a", "I64", {1}, "12345678"}}));
  const hf::Weights weights(folder.path);
  CHECK_THROWS_WITH(hf::storage_of(weights.find("a")), Contains("has type I64") && Contains("F32, BF16 or F16"));
}
