#include "models/hf/export_plan.h"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "models/describe.h"
#include "models/hf/folder_writer.h"
#include "models/hf/model_folder.h"
#include "tests/models/hf/test_folder.h"

using namespace trireme;
using namespace trireme::test;

TEST_CASE(
    "export plan: above the limit tensors are cut into files with an index, none larger unless one tensor is, wider "
    "types first") {
  const ModelConfig model = folder_model("llama");
  const hf::TensorMap map = hf::map_tensors(model, describe(model, {}).units);
  const auto type_of = [](const hf::Piece& piece) { return piece.is_vector ? hf::Storage::f32 : hf::Storage::bf16; };
  CHECK(hf::plan_export(map, type_of).files.size() == 1);
  CHECK(hf::plan_export(map, type_of).index.empty());
  const hf::ExportPlan plan = hf::plan_export(map, type_of, 8000);
  CHECK(plan.files.size() > 3);
  const auto index = nlohmann::json::parse(plan.index);
  std::map<std::size_t, std::vector<hf::ExportPlace>> places;
  Bytes total = 0;
  for (const auto& unit : map)
    for (const auto& tensor : unit)
      for (const hf::Piece& piece : tensor) {
        const hf::ExportPlace& place = plan.places.at(piece.name);
        const Bytes bytes = piece.elems() * hf::size_bytes(place.type);
        CHECK(place.begin % hf::size_bytes(place.type) == 0);
        CHECK(place.begin + bytes <= plan.files[place.file].bytes);
        CHECK(index["weight_map"][piece.name] == plan.files[place.file].name);
        places[place.file].push_back(place);
        total += bytes;
      }
  CHECK(index["metadata"]["total_size"] == total);
  for (const auto& [file, list] : places)
    CHECK((list.size() == 1 || plan.files[file].bytes - static_cast<Bytes>(plan.files[file].header.size()) <= 8000));
}

TEST_CASE(
    "export: ranks write what they own into files that are cut, through any buffer, and the folder reads back whole") {
  for (const char* kind : folder_kinds)
    for (const auto& [ranks, staging_bytes] : {std::pair{1, 1 << 16}, {2, 60}, {5, 4}}) {
      const ModelConfig model = folder_model(kind);
      const TemporaryFolder in("export_in.tmp"), out("export_out.tmp");
      write_folder(in.path, model, hf::Storage::f32);
      const hf::ModelFolder folder(in.path);
      const hf::ExportPlan plan = hf::plan_export(
          folder.map, [](const hf::Piece&) { return hf::Storage::f32; }, 9000);
      const hf::ExportPaths paths = hf::export_paths(out.path);
      hf::FolderClaim claim(paths);
      hf::create_files(paths, plan, {folder.config_text, in.path});
      const std::vector<UnitSpec> units = describe(model, {}).units;
      std::vector<std::byte> staging(static_cast<std::size_t>(staging_bytes));
      const View buffer(staging.data(), DType::byte, staging_bytes);
      for (int rank = 0; rank < ranks; ++rank) {
        const hf::FolderWriter writer(paths, plan);
        for (std::size_t u = 0; u < units.size(); ++u) {
          const FlatLayout layout(units[u], ranks);
          std::vector<float> slice(static_cast<std::size_t>(layout.slice_elems));
          const View view(slice.data(), DType::f32, layout.slice_elems);
          hf::read_slice(folder.weights, hf::overlaps(folder.map[u], layout, rank), view, buffer);
          writer.write_slice(hf::overlaps(folder.map[u], layout, rank), view, buffer);
        }
        writer.flush();
      }
      claim.publish();
      const hf::ModelFolder back(out.path);
      for (const RawTensor& tensor :
           folder_tensors(model, hf::Storage::f32, model.family == Family::gpt2 ? "transformer." : "model.")) {
        const hf::WeightPlace place = back.weights.find(tensor.name);
        std::string bytes(tensor.bytes.size(), '\0');
        REQUIRE(place.tensor->bytes == static_cast<Bytes>(bytes.size()));
        place.file->read(place.tensor->begin, bytes.data(), place.tensor->bytes);
        CHECK(bytes == tensor.bytes);
      }
    }
}

namespace {

/// Who may pass every folder's mode would meet none of the errors below.
class AsNobody {
 public:
  AsNobody() { REQUIRE(::seteuid(was_ == 0 ? 65534 : was_) == 0); }
  ~AsNobody() { [[maybe_unused]] const int back = ::seteuid(was_); }
  AsNobody(const AsNobody&) = delete;

 private:
  uid_t was_ = ::geteuid();
};

hf::ExportPaths claim_in(const std::string& parent) {
  std::filesystem::create_directories(parent);
  return hf::export_paths(parent + "/out");
}

}  // namespace

TEST_CASE("export: a parent folder that cannot be flushed is a warning, as the folder has its name by then") {
  const TemporaryFolder parent("export_parent.tmp");
  const hf::ExportPaths paths = claim_in(parent.path);
  {
    hf::FolderClaim claim(paths);
    hf::create_files(paths, {}, {"{}", ""});
    REQUIRE(::chmod(parent.path.c_str(), 0333) == 0);
    REQUIRE(::chmod(paths.temporary.c_str(), 0777) == 0);
    const AsNobody nobody;
    CHECK_NOTHROW(claim.publish());
  }
  ::chmod(parent.path.c_str(), 0755);
  CHECK(std::filesystem::exists(paths.folder + "/config.json"));
}

TEST_CASE("export: whole, but not to be flushed, it stays under its temporary name, which is told") {
  const TemporaryFolder parent("export_parent.tmp");
  const hf::ExportPaths paths = claim_in(parent.path);
  {
    hf::FolderClaim claim(paths);
    hf::create_files(paths, {}, {"{}", ""});
    REQUIRE(::chmod(paths.temporary.c_str(), 0333) == 0);
    const AsNobody nobody;
    CHECK_THROWS_WITH(claim.publish(), Catch::Contains(paths.temporary + " is whole but was not renamed") &&
                                           Catch::Contains("Permission denied") && !Catch::Contains("free space"));
  }
  ::chmod(paths.temporary.c_str(), 0755);
  CHECK(std::filesystem::exists(paths.temporary + "/config.json"));
}

TEST_CASE("export: a file to copy that was not fetched is refused by name, neither copied as it is nor left out") {
  const ModelConfig model = folder_model("gpt2");
  const hf::TensorMap map = hf::map_tensors(model, describe(model, {}).units);
  const hf::ExportPlan plan = hf::plan_export(map, [](const hf::Piece&) { return hf::Storage::f32; });
  const auto copied = [&](const std::string& from) {
    const TemporaryFolder out("export_copy_out.tmp");
    const hf::ExportPaths paths = hf::export_paths(out.path);
    hf::FolderClaim claim(paths);
    hf::create_files(paths, plan, {"{}", from});
  };
  for (const std::string name : {"tokenizer.json", "merges.txt", "generation_config.json"}) {
    const TemporaryFolder in("export_copy_in.tmp");
    const std::string path = in.path + "/" + name;
    std::filesystem::create_directories(in.path);
    write_text(path, "fetched");
    CHECK_NOTHROW(copied(in.path));
    write_text(path, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n");
    CHECK_THROWS_WITH(copied(in.path), Catch::StartsWith(path + ": a git-lfs pointer of "));
    write_text(path, "/annex/objects/MD5E-s5--0.json\n");
    CHECK_THROWS_WITH(copied(in.path), Catch::StartsWith(path + ": a git-annex pointer of "));
    std::filesystem::remove(path);
    std::filesystem::create_symlink(".git/annex/objects/a/b", path);
    CHECK_THROWS_WITH(copied(in.path), Catch::StartsWith(path + ": a link to .git/annex/objects/a/b") &&
                                           Catch::EndsWith("git annex get"));
  }
}
