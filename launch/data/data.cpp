#include "launch/data/data.h"

#include <algorithm>
#include <array>

#include "launch/data/file_kind.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace trireme {
namespace {

std::span<std::int32_t> sequence_of(const View& field, std::int64_t place, std::int64_t length) {
  return {field.as<std::int32_t>() + place * length, static_cast<std::size_t>(length)};
}

// Sequence `index` of the stream at a place of the batch.
void fill_sequence(const TokenStream& stream, std::int64_t index, const Batch& batch, std::int64_t place,
                   std::int64_t length) {
  const std::span<std::int32_t> tokens = sequence_of(batch.tokens, place, length);
  stream.read(index, tokens, sequence_of(batch.targets, place, length));
  stream.find_documents(tokens, sequence_of(batch.document_starts, place, length));
}

}  // namespace

TokenStream::TokenStream(const std::vector<std::string>& paths, int sequence, int vocabulary,
                         std::optional<int> end_of_document)
    : sequence_(sequence), end_of_document_(end_of_document) {
  require(!paths.empty(), ErrorKind::data, "no data files; name some in data.train");
  std::int64_t tokens = 0, documents = 0;
  for (const std::string& path : paths) {
    start_.push_back(tokens);
    const TokenFile& file = files_.emplace_back(path);
    tokens += file.tokens();
    const TokenFile::Summary summary = file.summarize(end_of_document);
    documents += summary.count;
    largest_token_ = std::max(largest_token_, summary.largest);
    require(summary.largest < vocabulary, ErrorKind::data, "{}: token {} is outside model.vocab = {}", path,
            summary.largest, vocabulary);
    summary_ += fmt::format("{}: {} tokens, xxh3 {:016x}", path, file.tokens(), summary.hash) + add_mask(file);
    if (end_of_document) summary_ += fmt::format(", {} documents end", summary.count);
    if (has_byte_order_mark(file)) summary_ += fmt::format(", {}", byte_order_note);
    summary_ += "\n";
  }
  require_documents(paths, documents);
  start_.push_back(tokens);
  sequences_ = (tokens - 1) / sequence;
  require(sequences_ >= 1, ErrorKind::data,
          "{} tokens in {} are too few for one sequence of {} and its last target; use more "
          "data or a smaller train.sequence",
          tokens, fmt::join(paths, ", "), sequence);
}

// An id that ends nothing is another tokenizer's: everything would be one document.
void TokenStream::require_documents(const std::vector<std::string>& paths, std::int64_t documents) {
  if (!end_of_document_) return;
  require(documents > 0, ErrorKind::data,
          "data.end_of_document = {} never occurs in {}: no document ends; give the token that the tokenizer of this "
          "data ends documents with, or leave data.documents out",
          *end_of_document_, fmt::join(paths, ", "));
  if (paths.size() > 1) summary_ += fmt::format("together {} documents\n", documents);
}

// Only token files have masks. Returns what the summary says of it.
std::string TokenStream::add_mask(const TokenFile& file) {
  masks_.push_back(names_token_file(file.path()) ? TargetMask::beside(file.path(), file.tokens()) : std::nullopt);
  counted_ += masks_.back() ? 0 : file.tokens();
  if (!masks_.back()) return {};
  const TargetMask::Summary mask = masks_.back()->summarize();
  counted_ += mask.counted;
  return fmt::format(", mask: {} count, xxh3 {:016x}", mask.counted, mask.hash);
}

// Calls use(file, its first token, that piece of `tokens`) for tokens [first, first + tokens.size()) of the stream.
template <typename Use>
void TokenStream::for_each_file(std::int64_t first, std::span<std::int32_t> tokens, Use use) const {
  auto file = static_cast<std::size_t>(std::upper_bound(start_.begin(), start_.end(), first) - start_.begin()) - 1;
  while (!tokens.empty()) {
    const auto count = static_cast<std::size_t>(
        std::min<std::int64_t>(static_cast<std::int64_t>(tokens.size()), start_[file + 1] - first));
    use(file, first - start_[file], tokens.first(count));
    tokens = tokens.subspan(count);
    first = start_[++file];
  }
}

void TokenStream::read_range(std::int64_t first, std::span<std::int32_t> out) const {
  for_each_file(first, out, [&](std::size_t file, std::int64_t at, std::span<std::int32_t> piece) {
    files_[file].read(at, piece);
  });
}

void TokenStream::read(std::int64_t index, std::span<std::int32_t> tokens, std::span<std::int32_t> targets) const {
  read_range(index * sequence_, tokens);
  std::copy(tokens.begin() + 1, tokens.end(), targets.begin());
  read_range((index + 1) * sequence_, targets.last(1));
  for_each_file(index * sequence_ + 1, targets, [&](std::size_t file, std::int64_t at, std::span<std::int32_t> piece) {
    if (masks_[file]) masks_[file]->apply(at, piece);
  });
}

void TokenStream::find_documents(std::span<const std::int32_t> tokens, std::span<std::int32_t> starts) const {
  std::int32_t start = 0;
  for (std::size_t n = 0; n < tokens.size(); ++n) {
    starts[n] = start;
    if (tokens[n] == end_of_document_) start = static_cast<std::int32_t>(n) + 1;
  }
}

bool has_byte_order_mark(const TokenFile& file) {
  if (names_token_file(file.path()) || file.tokens() < 3) return false;
  std::array<std::int32_t, 3> start{};
  file.read(0, start);
  return has_utf8_mark(std::string(start.begin(), start.end()));
}

Permutation::Permutation(std::uint64_t seed, std::int64_t epoch, std::int64_t size)
    : seed_(seed), stream_(fmt::format("data order of epoch {}", epoch)), size_(static_cast<std::uint64_t>(size)) {
  while ((std::uint64_t{1} << (2 * half_bits_)) < size_) ++half_bits_;
}

std::int64_t Permutation::operator()(std::int64_t index) const {
  const Random random(seed_, stream_);
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  auto value = static_cast<std::uint64_t>(index);
  do {
    std::uint64_t left = value >> half_bits_, right = value & mask;
    for (std::uint64_t round = 0; round < 6; ++round) {
      const std::uint64_t mixed = left ^ (random.bits(round << 32 | right) & mask);
      left = right, right = mixed;
    }
    value = left << half_bits_ | right;
  } while (value >= size_);
  return static_cast<std::int64_t>(value);
}

void fill_training(const TokenStream& stream, const DataOrder& order, std::int64_t step, int microbatch, Batch batch) {
  const std::int64_t length = batch.token_count() / order.micro_batch;
  for (int place = 0; place < order.micro_batch; ++place) {
    const std::int64_t number = step * order.global_batch + microbatch * order.micro_batch + place;
    const std::int64_t epoch = number / stream.sequences(), in_epoch = number % stream.sequences();
    const std::int64_t index = order.shuffled ? Permutation(order.seed, epoch, stream.sequences())(in_epoch) : in_epoch;
    fill_sequence(stream, index, batch, place, length);
  }
  std::fill_n(batch.weights.as<float>(), batch.token_count(), 1.0f);
}

void fill_validation(const TokenStream& stream, int micro_batch, int microbatch, Batch batch) {
  const std::int64_t length = batch.token_count() / micro_batch;
  for (int place = 0; place < micro_batch; ++place) {
    const std::int64_t index = static_cast<std::int64_t>(microbatch) * micro_batch + place;
    const bool exists = index < stream.sequences();
    fill_sequence(stream, exists ? index : 0, batch, place, length);
    std::fill_n(batch.weights.as<float>() + place * length, length, exists ? 1.0f : 0.0f);
  }
}

}  // namespace trireme
