#pragma once
// Which tokens a microbatch holds: a function of (seed, step, microbatch) alone, never of the rank that asks.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "launch/data/target_mask.h"
#include "launch/data/token_file.h"
#include "models/batch.h"

namespace trireme {

/// Files as one stream of tokens, cut into sequences: sequence i is tokens [i T, i T + T], targets shifted by one;
/// those that the mask beside a token file leaves out are ignored_target. A document ends with its end_of_document
/// token, and with its sequence; the end of a file ends none.
class TokenStream {
 public:
  /// Errors: Error(data) for no files, damaged ones, masks that do not fit, tokens of `vocabulary` or more, fewer
  /// tokens than one sequence, an end_of_document that occurs in none of them.
  TokenStream(const std::vector<std::string>& paths, int sequence, int vocabulary,
              std::optional<int> end_of_document = {});

  /// Sequences of one epoch: (tokens - 1) / T.
  std::int64_t sequences() const { return sequences_; }
  /// Tokens and targets of one sequence, T each.
  void read(std::int64_t index, std::span<std::int32_t> tokens, std::span<std::int32_t> targets) const;
  /// Of each token of a sequence, the place in it where its document starts: 0 without an end_of_document.
  void find_documents(std::span<const std::int32_t> tokens, std::span<std::int32_t> starts) const;
  /// Whether any of its tokens counts as a target.
  bool has_targets() const { return counted_ > 0; }
  /// One line per file: path, tokens, hash, mask, ends of documents, a byte order mark. Equal on ranks that see the
  /// same data.
  const std::string& summary() const { return summary_; }
  /// Of all files.
  std::int64_t largest_token() const { return largest_token_; }

 private:
  std::string add_mask(const TokenFile& file);
  void require_documents(const std::vector<std::string>& paths, std::int64_t documents);
  template <typename Use>
  void for_each_file(std::int64_t first, std::span<std::int32_t> tokens, Use use) const;
  void read_range(std::int64_t first, std::span<std::int32_t> out) const;

  std::vector<TokenFile> files_;
  std::vector<std::optional<TargetMask>> masks_;  // of each file
  std::vector<std::int64_t> start_;               // of each file in the stream
  std::int64_t sequence_ = 0, sequences_ = 0, counted_ = 0, largest_token_ = 0;
  std::optional<int> end_of_document_;
  std::string summary_;
};

/// Whether a file is text that starts with UTF-8's byte order mark, and what is then to be said of it.
bool has_byte_order_mark(const TokenFile& file);
inline constexpr auto byte_order_note = "starts with a UTF-8 byte order mark, which becomes 3 tokens";

/// A permutation of [0, size) that needs no memory: a Feistel network over the next power of four, walked until inside.
/// Equal (seed, epoch) give equal permutations.
class Permutation {
 public:
  Permutation(std::uint64_t seed, std::int64_t epoch, std::int64_t size);
  std::int64_t operator()(std::int64_t index) const;

 private:
  std::uint64_t seed_;
  std::string stream_;
  std::uint64_t size_;
  int half_bits_ = 1;
};

/// Training order: microbatch j of step s holds sequences s * global_batch + j * micro_batch ..., counted through
/// epochs.
struct DataOrder {
  bool shuffled = false;
  std::uint64_t seed = 1;
  int global_batch = 1, micro_batch = 1;
};
/// Fills all of a batch but its positions, which follow from the document starts.
void fill_training(const TokenStream& stream, const DataOrder& order, std::int64_t step, int microbatch, Batch batch);

/// Validation order: microbatch j holds sequences j * micro_batch ...; places behind the last sequence have weight 0.
void fill_validation(const TokenStream& stream, int micro_batch, int microbatch, Batch batch);

}  // namespace trireme
