#include "tests/support/fake_model.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace headwater::test {
namespace {

constexpr TokenId kNothing = -1;       // where a block holds no token
constexpr TokenId kInFirst = 1 << 24;  // added to what the first block of a sequence holds
constexpr std::uint64_t kSeed = 0x9E3779B97F4A7C15ULL;
// In a byte-level vocabulary that begins with the printable bytes from '!', 'a' has id 64.
constexpr TokenId kFirstLetter = 'a' - '!';

std::uint64_t mix(std::uint64_t hash, TokenId token) {
  hash ^= static_cast<std::uint64_t>(token) + 1;
  hash *= 0xBF58476D1CE4E5B9ULL;
  return hash ^ (hash >> 29U);
}

TokenId letter(std::uint64_t hash) { return kFirstLetter + static_cast<TokenId>((hash >> 7U) % 26); }

}  // namespace

FakeModel::FakeModel(std::uint32_t vocab_size, std::uint32_t context_length, std::uint32_t window) {
  shape_.architecture = "fake";
  shape_.vocab_size = vocab_size;
  shape_.context_length = context_length;
  shape_.kv_window = window;
  shape_.kv_layers = {{1, 1, false}};
  if (window > 0) shape_.kv_layers.push_back({1, 1, true});
}

void FakeModel::allocate_kv(std::uint32_t n_blocks, std::uint32_t block_tokens, const kernels::KvFormat& format) {
  grid_ = kernels::block_grid(format, block_tokens);
  arena_.assign(std::size_t{n_blocks} * block_tokens, kNothing);
  windows_.assign(shape_.kv_window > 0 ? arena_.size() : 0, kNothing);
}

std::vector<std::span<TokenId>> FakeModel::layers(std::int32_t block) {
  const std::size_t first = static_cast<std::size_t>(block) * grid_.tokens;
  std::vector<std::span<TokenId>> all = {std::span(arena_).subspan(first, grid_.tokens)};
  if (!windows_.empty()) all.push_back(std::span(windows_).subspan(first, grid_.tokens));
  return all;
}

void FakeModel::give_back_kv(std::span<const std::int32_t> blocks, std::span<const std::int32_t> windows) {
  for (const std::int32_t block : blocks) {
    for (const std::span<TokenId> layer : layers(block)) std::ranges::fill(layer, kNothing);
  }
  for (const std::int32_t block : windows) {
    if (!windows_.empty()) std::ranges::fill(layers(block).back(), kNothing);
  }
  blocks_given_back += blocks.size();
  windows_given_back += windows.size();
}

void FakeModel::copy_kv_block(std::int32_t from, std::int32_t to) {
  const auto source = layers(from);
  const auto target = layers(to);
  for (std::size_t i = 0; i < source.size(); ++i) std::ranges::copy(source[i], target[i].begin());
}

void FakeModel::read_kv_block(std::int32_t block, std::span<std::byte> out) const {
  for (const std::vector<TokenId>* layer : {&arena_, &windows_}) {
    if (layer->empty()) continue;
    const auto bytes =
        std::as_bytes(std::span(*layer).subspan(static_cast<std::size_t>(block) * grid_.tokens, grid_.tokens));
    std::ranges::copy(bytes, out.begin());
    out = out.subspan(bytes.size());
  }
}

void FakeModel::write_kv_block(std::int32_t block, std::span<const std::byte> bytes) {
  for (const std::span<TokenId> layer : layers(block)) {
    std::ranges::copy(bytes.first(layer.size_bytes()), std::as_writable_bytes(layer).begin());
    bytes = bytes.subspan(layer.size_bytes());
  }
}

std::size_t FakeModel::place(const model::BatchSequence& sequence, std::uint32_t position) const {
  const std::uint32_t index = grid_.block_of(position);
  if (index >= sequence.block_table.size()) throw std::logic_error("a token has no block in the fake model");
  return static_cast<std::size_t>(sequence.block_table[index]) * grid_.tokens + grid_.slot(position);
}

TokenId FakeModel::form(TokenId token, std::uint32_t position) const {
  return grid_.block_of(position) == 0 ? kInFirst + token : token;
}

bool FakeModel::sees_window(const model::BatchSequence& sequence, std::uint32_t position) const {
  if (windows_.empty()) return true;
  const std::uint32_t first = position < shape_.kv_window ? 0 : position + 1 - shape_.kv_window;
  for (std::uint32_t p = first; p <= position; ++p) {
    const std::size_t at = place(sequence, p);
    if (windows_.at(at) != arena_.at(at)) return false;
  }
  return true;
}

std::span<float> FakeModel::forward(const model::Batch& batch) {
  if (throw_next.exchange(false)) throw std::runtime_error("the fake model was told to fail");
  if (delay_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
  rows += batch.tokens.size();

  for (const auto& sequence : batch.sequences) {
    for (std::uint32_t i = 0; i < sequence.n_rows; ++i) {
      const std::uint32_t position = sequence.first_position + i;
      const std::size_t at = place(sequence, position);
      arena_.at(at) = form(batch.tokens[sequence.first_row + i], position);
      if (!windows_.empty()) windows_.at(at) = arena_[at];
      // As in a model: what a row has seen decides what the next layer keeps of it.
      if (!sees_window(sequence, position)) arena_[at] = kNothing;
    }
  }
  logits_.assign(batch.logit_rows.size() * shape_.vocab_size, 0.0F);
  std::size_t out = 0;
  for (const auto& sequence : batch.sequences) {
    std::uint64_t hash = kSeed;
    for (std::uint32_t position = 0; position < sequence.first_position + sequence.n_rows; ++position) {
      hash = mix(hash, arena_.at(place(sequence, position)) - form(0, position));
      if (position < sequence.first_position) continue;
      const std::uint32_t row = sequence.first_row + position - sequence.first_position;
      if (out < batch.logit_rows.size() && batch.logit_rows[out] == row) {
        logits_[out * shape_.vocab_size + static_cast<std::size_t>(letter(hash))] = 20.0F;
        ++out;
      }
    }
  }
  return logits_;
}

TokenId FakeModel::next(std::span<const TokenId> tokens) {
  std::uint64_t hash = kSeed;
  for (TokenId token : tokens) hash = mix(hash, token);
  return letter(hash);
}

std::vector<TokenId> FakeModel::answer(std::vector<TokenId> prompt, std::uint32_t n) {
  std::vector<TokenId> generated;
  for (std::uint32_t i = 0; i < n; ++i) {
    generated.push_back(next(prompt));
    prompt.push_back(generated.back());
  }
  return generated;
}

}  // namespace headwater::test
