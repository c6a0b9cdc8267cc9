#include "runtime/base/unfetched_file.h"

#include <catch2/catch.hpp>

#include <filesystem>

#include "models/hf/model_folder.h"
#include "runtime/base/error.h"
#include "tests/models/hf/test_folder.h"

using namespace trireme;
using namespace trireme::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

constexpr const char* pointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 548105171\n";

std::string message_of(const std::string& folder, ErrorKind kind) {
  try {
    const hf::ModelFolder found(folder);
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "no error";
}

/// Every file of a folder in two shards, and the kind of error that is told of it.
const std::pair<const char*, ErrorKind> files[] = {{"config.json", ErrorKind::config},
                                                   {"model.safetensors.index.json", ErrorKind::data},
                                                   {"model-00002-of-00002.safetensors", ErrorKind::data}};

}  // namespace

TEST_CASE("folder file: the pointer that git-lfs leaves for a file is called that, for every file of a folder") {
  for (const auto& [name, kind] : files)
    for (const std::string& text :
         {std::string(pointer), std::string("version https://hawser.github.com/spec/v1\noid sha256:0"),
          std::string("/annex/objects/SHA256E-s548105171--4d7a2146.safetensors\n")}) {
      const TemporaryFolder folder("unfetched_pointer.tmp");
      write_folder(folder.path, folder_model("qwen2"), hf::Storage::f32, 2);
      CHECK(message_of(folder.path, kind) == "no error");
      write_text(folder.path + "/" + name, text);
      CHECK_THAT(message_of(folder.path, kind), Catch::StartsWith(folder.path + "/" + name + ": a git-") &&
                                                    Contains(" pointer of ") &&
                                                    (Contains("git lfs pull") || Contains("git annex get")));
    }
  const TemporaryFolder folder("unfetched_pointer.tmp");
  write_folder(folder.path, folder_model("gpt2"), hf::Storage::f32);
  write_text(folder.path + "/model.safetensors", pointer);
  CHECK_THAT(message_of(folder.path, ErrorKind::data), Contains("model.safetensors: a git-lfs pointer of 134 bytes"));
  write_text(folder.path + "/model.safetensors", "version");  // shorter than any pointer
  CHECK_THAT(message_of(folder.path, ErrorKind::data), Contains("7 bytes are too few"));
}

TEST_CASE("folder file: a link to nothing is called that, for every file of a folder and the folder") {
  for (const auto& [name, kind] : files) {
    const TemporaryFolder folder("unfetched_link.tmp");
    write_folder(folder.path, folder_model("qwen2"), hf::Storage::f32, 2);
    const std::string path = folder.path + "/" + name;
    fs::rename(path, path + ".moved");
    fs::create_symlink(std::string(name) + ".moved", path);
    CHECK(message_of(folder.path, kind) == "no error");
    fs::remove(path);
    fs::create_symlink("../../blobs/4d7a2146", path);
    CHECK_THAT(message_of(folder.path, kind),
               Catch::StartsWith(path + ": a link to ../../blobs/4d7a2146, where nothing is"));
    fs::remove(path);
    fs::create_symlink(name, path);  // to itself
    CHECK_THAT(message_of(folder.path, kind), Contains("a link to " + std::string(name)));
  }
  const TemporaryFolder folder("unfetched_link.tmp");
  write_folder(folder.path, folder_model("gpt2"), hf::Storage::f32);
  fs::remove(folder.path + "/model.safetensors");
  fs::create_symlink("/nowhere/model.safetensors", folder.path + "/model.safetensors");
  CHECK_THAT(message_of(folder.path, ErrorKind::data),
             Contains("model.safetensors: a link to /nowhere/model.safetensors"));
  fs::create_symlink("gone", folder.path + "/snapshot");
  CHECK_THAT(message_of(folder.path + "/snapshot", ErrorKind::config),
             Contains("snapshot: a link to gone, where nothing is"));
}
