#pragma once
// A model family: the segments of its units, what its sizes must be, and how Hugging Face folders write it.

#include <memory>
#include <vector>

#include "models/model_config.h"
#include "models/segments/embedding.h"
#include "models/segments/head.h"
#include "models/segments/segment.h"

namespace trireme {

namespace hf {
struct FolderFormat;
}

/// What the units of a model are made of: embedding, every block, head.
struct Segments {
  EmbeddingSegment embedding;
  std::vector<std::shared_ptr<const BlockSegment>> block;
  HeadSegment head;
};

struct FamilyRules {
  Segments (*segments)(const ModelConfig& config);
  /// What validate() asks of this family beyond what it asks of all. Errors: as validate().
  void (*check)(const ModelConfig& config);
  const hf::FolderFormat& folder;
};

/// One file each: FAMILY.cpp.
extern const FamilyRules gpt2_rules, llama_rules, qwen2_rules, qwen3_rules, mistral_rules;

const FamilyRules& rules_of(Family family);

}  // namespace trireme
