#include "tests/support/fake_model.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace headwater::test {
namespace {

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

FakeModel::FakeModel(std::uint32_t vocab_size, std::uint32_t context_length) {
  shape_.architecture = "fake";
  shape_.vocab_size = vocab_size;
  shape_.context_length = context_length;
}

void FakeModel::allocate_kv(std::uint32_t n_blocks, std::uint32_t block_tokens, const kernels::KvFormat& /*format*/) {
  block_tokens_ = block_tokens;
  arena_.assign(std::size_t{n_blocks} * block_tokens, -1);
}

void FakeModel::copy_kv_block(std::int32_t from, std::int32_t to) {
  const auto block = [&](std::int32_t id) { return arena_.begin() + std::ptrdiff_t{id} * block_tokens_; };
  std::copy_n(block(from), block_tokens_, block(to));
}

void FakeModel::read_kv_block(std::int32_t block, std::span<std::byte> out) const {
  std::ranges::copy(std::as_bytes(std::span(arena_)).subspan(static_cast<std::size_t>(block) * out.size(), out.size()),
                    out.begin());
}

void FakeModel::write_kv_block(std::int32_t block, std::span<const std::byte> bytes) {
  std::ranges::copy(bytes, std::as_writable_bytes(std::span(arena_))
                               .subspan(static_cast<std::size_t>(block) * bytes.size(), bytes.size())
                               .begin());
}

std::span<float> FakeModel::forward(const model::Batch& batch) {
  if (throw_next.exchange(false)) throw std::runtime_error("the fake model was told to fail");
  if (delay_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
  rows += batch.tokens.size();

  for (const auto& sequence : batch.sequences) {
    for (std::uint32_t i = 0; i < sequence.n_rows; ++i) {
      const std::uint32_t position = sequence.first_position + i;
      const auto block = static_cast<std::size_t>(sequence.block_table[position / block_tokens_]);
      arena_.at(block * block_tokens_ + position % block_tokens_) = batch.tokens[sequence.first_row + i];
    }
  }
  logits_.assign(batch.logit_rows.size() * shape_.vocab_size, 0.0F);
  std::size_t out = 0;
  for (const auto& sequence : batch.sequences) {
    std::uint64_t hash = kSeed;
    for (std::uint32_t position = 0; position < sequence.first_position + sequence.n_rows; ++position) {
      const auto block = static_cast<std::size_t>(sequence.block_table[position / block_tokens_]);
      hash = mix(hash, arena_.at(block * block_tokens_ + position % block_tokens_));
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
