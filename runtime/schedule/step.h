#pragma once
// What travels between scheduler, executor and detokenizer: one plan and one result a step, whatever the
// batch size.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "cache/tier_block.h"
#include "cache/window.h"
#include "headwater/request.h"

namespace headwater::schedule {

/// A request that has been tokenized; shared, never changed.
struct AdmittedRequest {
  RequestId id = 0;
  ConnectionId connection = 0;
  TimeNs accepted_at = 0;
  std::uint64_t seed = 0;  ///< params.seed, or drawn at admission
  Request request;
  std::vector<TokenId> prompt;       ///< empty until tokenized
  std::uint32_t max_new_tokens = 0;  ///< params.max_tokens held against the context; set when tokenized
};
using RequestPtr = std::shared_ptr<const AdmittedRequest>;

/// All rows of a block for another one, before the step computes anything.
struct BlockCopy {
  BlockId from = -1;
  BlockId to = -1;
};

/// A block whose bytes a slower tier is to have. It is read before the step computes, copies or restores anything, so
/// what is written into it later does not matter.
struct BlockSave {
  BlockId block = -1;
  cache::BlockName name;
  cache::TierTerms terms{};
};

/// Bytes for a block, in place of computing its tokens.
struct BlockRestore {
  BlockId block = -1;
  cache::BlockBytes bytes;
};

/// A sequence that the executor has not seen, or that was preempted and comes back.
struct SequenceStart {
  RequestPtr request;
  std::vector<TokenId> tokens;           ///< the prompt, then what was generated before a preemption
  std::vector<BlockId> blocks;           ///< block table so far (cached prefix first)
  std::uint32_t cached_tokens = 0;       ///< of the prompt, at the first start
  TimeNs scheduled_at = 0;               ///< of the first start
  std::optional<BlockCopy> copy{};       ///< what is cached ends within a block, and that block is another's
  CacheDetails details{};                ///< of cached_tokens
  std::vector<BlockRestore> restores{};  ///< blocks of its own that come from a slower tier; empty in results
};

/// Work on one sequence in one step: tokens [first, first + count) of it are computed.
struct StepEntry {
  RequestId id = 0;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  bool sample = false;              ///< the last row's logits give the next token
  std::vector<BlockId> new_blocks;  ///< appended to the block table before the step
  /// Guesses of what follows, to be computed as well; each that is what the row before it gives is kept. Only where
  /// `sample`.
  std::vector<TokenId> draft{};
};

struct StepPlan {
  std::uint64_t epoch = 0;
  std::uint64_t step = 0;
  std::vector<SequenceStart> starts;
  std::vector<StepEntry> entries;
  std::vector<RequestId> retired;  ///< ended, cancelled or preempted: forget them (before the starts)
  std::vector<BlockSave> saves;    ///< first of all
  cache::GivenBack given_back;     ///< then this
};

struct SampledToken {
  TokenId token = 0;
  float logprob = 0;
  std::vector<std::pair<TokenId, float>> top{};  ///< where logprobs were asked for
};

/// What a step did for one sequence.
struct EntryResult {
  RequestId id = 0;
  std::uint32_t computed = 0;                ///< tokens whose keys and values are now in the cache
  std::uint32_t drafted = 0;                 ///< guesses that were checked
  std::vector<SampledToken> sampled;         ///< in order; more than one where guesses were right
  FinishReason finish = FinishReason::none;  ///< by an end token or by length, after the last of them
  std::string error;                         ///< not empty: the sequence has failed (bad logits), after them
  /// Where prompt_logprobs were asked for: for prompt tokens first + 1 … first + count, their
  /// log-probability and the best alternatives.
  std::vector<std::pair<float, std::vector<std::pair<TokenId, float>>>> prompt_logprobs;

  /// Guesses that were right.
  std::uint32_t accepted() const { return sampled.empty() ? 0 : static_cast<std::uint32_t>(sampled.size()) - 1; }
  /// Tokens computed that were known before.
  std::uint32_t given() const { return computed - accepted(); }
};

struct StepResult {
  std::uint64_t epoch = 0;
  std::uint64_t step = 0;
  std::vector<SequenceStart> starts;  ///< of the plan, for the detokenizer
  std::vector<EntryResult> entries;   ///< in the plan's order
  std::vector<RequestId> retired;     ///< of the plan
  TimeNs duration = 0;                ///< of the computation
  std::uint32_t rows = 0;
};

}  // namespace headwater::schedule
