#pragma once
// A model without arithmetic: the next token is a hash of all tokens that its KV blocks hold. A block that
// holds anything but the sequence's own tokens therefore changes the answer. So does the first block of a sequence in
// another place, and any other in the first: they may hold tokens in different forms. With a window it has a second
// layer, which must hold the last tokens, too.

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "model/architecture.h"

namespace headwater::test {

class FakeModel : public model::Architecture {
 public:
  /// window: tokens that the second layer sees; 0: there is none.
  FakeModel(std::uint32_t vocab_size, std::uint32_t context_length, std::uint32_t window = 0);

  const model::ModelShape& shape() const override { return shape_; }
  std::string numerics(const kernels::KvFormat& /*format*/) override { return "test"; }
  kernels::KvBlockBytes kv_block_bytes(std::uint32_t block_tokens, const kernels::KvFormat& /*format*/) const override {
    return {block_tokens * sizeof(TokenId), shape_.kv_window > 0 ? block_tokens * sizeof(TokenId) : 0};
  }
  void allocate_kv(std::uint32_t n_blocks, std::uint32_t block_tokens, const kernels::KvFormat& format = {}) override;
  void give_back_kv(std::span<const std::int32_t> blocks, std::span<const std::int32_t> windows) override;
  void copy_kv_block(std::int32_t from, std::int32_t to) override;
  void read_kv_block(std::int32_t block, std::span<std::byte> out) const override;
  void write_kv_block(std::int32_t block, std::span<const std::byte> bytes) override;
  std::span<float> forward(const model::Batch& batch) override;
  void run_on_host(std::size_t n, const std::function<void(std::size_t)>& work) override {
    for (std::size_t i = 0; i < n; ++i) work(i);
  }

  /// The token after `tokens`: a lower-case letter of the tiny model's byte vocabulary.
  static TokenId next(std::span<const TokenId> tokens);
  /// `n` tokens after `prompt`.
  static std::vector<TokenId> answer(std::vector<TokenId> prompt, std::uint32_t n);

  std::atomic<std::uint64_t> rows{0};                                      ///< computed since the start
  std::atomic<std::uint64_t> blocks_given_back{0}, windows_given_back{0};  ///< since the start
  std::atomic<bool> throw_next{false};                                     ///< the next forward pass throws
  std::atomic<std::uint32_t> delay_us{0};                                  ///< a forward pass takes at least that long

 private:
  /// The tokens of a block in all layers.
  std::vector<std::span<TokenId>> layers(std::int32_t block);
  /// Where a sequence's token lies in a layer.
  std::size_t place(const model::BatchSequence& sequence, std::uint32_t position) const;
  /// What a place holds that has a sequence's token.
  TokenId form(TokenId token, std::uint32_t position) const;
  /// Whether the second layer holds all tokens that this one sees.
  bool sees_window(const model::BatchSequence& sequence, std::uint32_t position) const;

  model::ModelShape shape_;
  kernels::BlockGrid grid_;
  std::vector<TokenId> arena_;    ///< [block, grid_.tokens]
  std::vector<TokenId> windows_;  ///< the same for the second layer; empty: there is none
  std::vector<float> logits_;
};

}  // namespace headwater::test
