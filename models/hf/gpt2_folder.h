#pragma once
// Folders of GPT-2.

#include "models/hf/folder_format.h"

namespace trireme::hf {

std::vector<TensorRule> gpt2_tensors(const ModelConfig& model);
FolderConfig read_gpt2(Keys& keys);
OrderedJson write_gpt2(const ModelConfig& model);

/// Conv1D stores [in,out].
inline constexpr FolderFormat gpt2_format{.architecture = "GPT2LMHeadModel",
                                          .names = {"transformer.", "wte.weight", "wpe.weight", "h.", "ln_f."},
                                          .transposed = true,
                                          .tensors = gpt2_tensors,
                                          .read = read_gpt2,
                                          .write = write_gpt2};

}  // namespace trireme::hf
