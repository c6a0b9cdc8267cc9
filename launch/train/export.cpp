#include "launch/train/export.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <utility>
#include <vector>

#include "comm/agreement.h"
#include "models/describe.h"
#include "models/hf/config.h"
#include "models/hf/slice.h"
#include "runtime/base/system_call.h"
#include "shard/frozen_units.h"

namespace trireme {
namespace {

constexpr Bytes staging_bytes = MiB;

hf::ExportPlan plan_of(const hf::TensorMap& map, const ExportOptions& options, const hf::ModelFolder* source) {
  return hf::plan_export(map, [&](const hf::Piece& piece) {
    if (options.type) return *options.type;
    return source ? hf::storage_of(source->weights.find(piece.name)) : hf::Storage::f32;
  });
}

hf::FolderTexts texts_of(const ModelConfig& model, const ExportOptions& options, const hf::ModelFolder* source) {
  if (source) return {hf::rewrite_config(source->config_text, options.type), source->weights.folder()};
  return {hf::write_config(model, options.type.value_or(hf::Storage::f32)), ""};
}

// A name that no other machine has by chance: whoever sees the file will see those of the export.
void check_common_place(const hf::ExportPaths& paths, Communicator& communicator) {
  std::random_device random;
  const std::string own = fmt::format("{}/probe-{:08x}{:08x}", paths.temporary, random(), random());
  const std::string probe = all_gather(communicator, own).front();
  std::error_code failed;
  on_all_ranks(communicator, [&] {
    if (communicator.rank() != 0) return true;
    const SystemCall made(std::ofstream(probe).is_open() ? 0 : -1);
    require(made.succeeded(), ErrorKind::data, "{} cannot be made: {}{}", probe, made.reason(), made.place_advice());
    return true;
  });
  on_all_ranks(communicator, [&] {
    require(std::filesystem::exists(probe, failed), ErrorKind::config,
            "rank {} does not see {}, which rank 0 made: export to a file system that all ranks have in common",
            communicator.rank(), probe);
    return true;
  });
  if (communicator.rank() == 0) std::filesystem::remove(probe, failed);
}

}  // namespace

ModelExport::ModelExport(const ExportOptions& options, const ModelConfig& model,
                         std::shared_ptr<const hf::ModelFolder> source, Communicator& communicator)
    : options_(options),
      model_(model),
      source_(std::move(source)),
      map_(source_ ? source_->map : hf::map_tensors(model, describe(model, {}).units)),
      plan_(plan_of(map_, options, source_.get())),
      paths_(hf::export_paths(options.folder)),
      rank_(communicator.rank()) {
  claim(communicator);
  check_common_place(paths_, communicator);
  holder_ = hf::claim_holder(paths_);
  discards_ = true;
}

void ModelExport::claim(Communicator& communicator) {
  on_all_ranks(communicator, [&] {
    if (rank_ != 0) return true;
    check_target(paths_);
    claim_.emplace(paths_);
    check_target(paths_);  // another run may just have ended
    check_space(paths_, plan_.total_bytes());
    return true;
  });
}

ModelExport::~ModelExport() {
  if (!discards_ || claim_) return;  // a claim removes its own
  // Rank 0's may be gone by now, and the place another run's. Without a name rank 0 is removing, and may be ended amid.
  const std::string holder = hf::claim_holder(paths_);
  if (holder.empty() || holder == holder_) discard_folder(paths_);
}

void ModelExport::take_room(Communicator& communicator) const {
  on_all_ranks(communicator, [&] {
    if (rank_ == 0) create_files(paths_, plan_, texts_of(model_, options_, source_.get()));
    return true;
  });
}

void ModelExport::write_units(ProgramRunner& runner) const {
  std::optional<hf::FolderWriter> writer;
  together(runner, [&] { writer.emplace(paths_, plan_); });
  std::vector<std::byte> staging(static_cast<std::size_t>(staging_bytes));
  // The ranks meet behind every unit, on the disk: one that is slow keeps none waiting past the deadline at the end.
  const std::vector<UnitSpec>& units = runner.programs().model.units;
  for (std::size_t u = 0; u < units.size(); ++u)
    together(runner, [&] {
      if (runner.layouts()[u].is_empty()) return;
      writer->write_slice(hf::overlaps(map_[described_unit(units, u)], runner.layouts()[u], rank_),
                          runner.slice(Content::master, u), {staging.data(), DType::byte, staging_bytes});
      writer->flush();
    });
}

void ModelExport::write(ProgramRunner& runner) {
  discards_ = false;  // errors are agreed from here on, and rank 0 may give the folder its name before another hears it
  write_units(runner);
  together(runner, [&] {
    if (claim_) claim_->publish();
  });
}

void together(ProgramRunner& runner, const std::function<void()>& task) {
  const std::optional<Error> error = error_of(task);
  std::optional<AgreedError> agreed;
  runner.on_comm_stream([&](Communicator& communicator) {
    try {
      agree_on_success(communicator, error ? &*error : nullptr);
    } catch (const AgreedError& failure) {
      agreed = failure;
    }
  });
  if (agreed) throw *agreed;
}

void export_folder(const std::string& from, const ExportOptions& options) {
  constexpr Elems most_slice_elems = 4 << 20;
  const hf::ModelFolder source(from);
  const hf::ExportPlan plan = plan_of(source.map, options, &source);
  const hf::ExportPaths paths = hf::export_paths(options.folder);
  check_target(paths);
  hf::FolderClaim claim(paths);
  check_target(paths), check_space(paths, plan.total_bytes());
  create_files(paths, plan, texts_of(source.model, options, &source));
  std::vector<std::byte> buffer(static_cast<std::size_t>(staging_bytes));
  const View staging(buffer.data(), DType::byte, staging_bytes);
  const std::vector<UnitSpec> units = describe(source.model, {}).units;
  const hf::FolderWriter writer(paths, plan);
  if (source.model.tied) hf::check_tied_head(source.weights, token_table_of(source.map), 0, 1, staging);
  // Slices as of so many ranks that one of them is small.
  for (std::size_t u = 0; u < units.size(); ++u) {
    const int shares = static_cast<int>(ceil_div(FlatLayout(units[u], 1).slice_elems, most_slice_elems));
    const FlatLayout layout(units[u], shares);
    std::vector<float> slice(static_cast<std::size_t>(layout.slice_elems));
    for (int share = 0; share < shares; ++share) {
      const std::vector<hf::Overlap> parts = hf::overlaps(source.map[u], layout, share);
      const View view(slice.data(), DType::f32, layout.slice_elems);
      hf::read_slice(source.weights, parts, view, staging);
      writer.write_slice(parts, view, staging);
    }
  }
  writer.flush();
  claim.publish();
}

}  // namespace trireme
