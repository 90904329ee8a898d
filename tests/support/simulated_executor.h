#pragma once
// An executor without a model. It keeps for every place of every block a digest of all that led to it (tenant and
// tokens), so that a block that is reused too early, shared between tenants or filled with something else is found the
// moment it is read.

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cache/prefix_cache.h"
#include "schedule/scheduler.h"

namespace headwater::test {

inline std::uint64_t mix(std::uint64_t digest, std::uint64_t value) {
  digest = (digest ^ value) * 0x9E3779B97F4A7C15ULL;
  return digest ^ (digest >> 29);
}

/// The simulated model: the token after `tokens`. `repeats`: mostly the last one alone decides, so that what it says
/// goes round in circles for a while.
inline TokenId next_token(const std::vector<TokenId>& tokens, bool repeats = false) {
  std::uint64_t digest = 7;
  for (TokenId token : tokens) digest = mix(digest, static_cast<std::uint64_t>(token));
  if (repeats && digest % 9 > 0) digest = mix(7, static_cast<std::uint64_t>(tokens.back()));
  return static_cast<TokenId>(digest % 50);
}

/// What the simulated model generates when nothing interferes.
inline std::vector<TokenId> undisturbed_answer(std::vector<TokenId> prompt, std::uint32_t max_new,
                                               TokenId end_token = -1, bool repeats = false) {
  std::vector<TokenId> answer;
  while (answer.size() < max_new && (answer.empty() || answer.back() != end_token)) {
    answer.push_back(next_token(prompt, repeats));
    prompt.push_back(answer.back());
  }
  return answer;
}

/// What became of a request.
struct Ending {
  schedule::RequestPtr request;
  std::uint32_t times = 0;
  bool cancelled = false;
  bool failed = false;
  std::vector<TokenId> generated;
  std::uint32_t cached_tokens = 0;
  CacheDetails details;
  TimeNs scheduled_at = 0;
};

/// What should not have happened.
struct Faults {
  std::vector<std::string> all;

  bool empty() const { return all.empty(); }
  void add(std::string what) { all.push_back(std::move(what)); }
  void expect(bool holds, RequestId id, const char* what) {
    if (!holds) add("request " + std::to_string(id) + ": " + what);
  }
};

class SimulatedExecutor {
 public:
  /// The bytes of a block that a plan wants saved.
  struct Saved {
    cache::Key key;
    cache::BlockBytes bytes;
  };

  /// Writes what becomes of requests into `endings`. end_token: ends an answer.
  SimulatedExecutor(const schedule::SchedulerOptions& options, TokenId end_token, std::map<RequestId, Ending>& endings,
                    Faults& faults)
      : options_(options),
        end_token_(end_token),
        endings_(endings),
        faults_(faults),
        arena_(std::size_t{options.total_blocks} * options.grid.tokens),
        windows_(arena_.size()) {}

  /// The request fails when it is computed next.
  void fail(RequestId id) { failing_.insert(id); }

  schedule::StepResult step(const schedule::StepPlan& plan, std::vector<Saved>& saved) {
    for (const auto& save : plan.saves) saved.push_back(read_out(save));
    give_back(plan.given_back);
    for (RequestId id : plan.retired) faults_.expect(executing_.erase(id) == 1, id, "retired and not known");
    for (const auto& start : plan.starts) begin(start);
    schedule::StepResult result{plan.epoch, plan.step, plan.starts, {}, plan.retired, 1, 0};
    faults_.expect(plan.entries.size() <= options_.max_batch_size, 0, "too many sequences in a step");
    for (const auto& entry : plan.entries) {
      result.entries.push_back(compute(entry));
      result.rows += entry.count + static_cast<std::uint32_t>(entry.draft.size());
    }
    faults_.expect(result.rows <= options_.max_step_tokens, 0, "too many rows in a step");
    return result;
  }

  std::uint64_t computed_rows() const { return computed_rows_; }
  std::uint64_t copies() const { return copies_; }
  std::uint64_t restored_blocks() const { return restored_; }
  std::uint64_t refills() const { return refills_; }        ///< tokens whose window rows alone were lacking
  std::uint64_t given_back() const { return given_back_; }  ///< blocks' window rows
  std::size_t sequences() const { return executing_.size(); }

 private:
  struct Executing {
    schedule::RequestPtr request;
    std::vector<TokenId> tokens;
    std::vector<BlockId> blocks;
    std::uint32_t computed = 0;
    bool copied = false;  ///< it begins with a copy of a block
  };

  void begin(const schedule::SequenceStart& start) {
    const RequestId id = start.request->id;
    faults_.expect(!executing_.contains(id), id, "started twice");
    Ending& ending = endings_.at(id);
    if (ending.scheduled_at == 0) {
      ending.scheduled_at = start.scheduled_at;
      ending.cached_tokens = start.cached_tokens;
      ending.details = start.details;
      faults_.expect(start.cached_tokens + start.details.missed_tokens + 1 == start.request->prompt.size(), id,
                     "is told of other tokens than its prompt's");
      faults_.expect(start.details.miss != CacheMiss::none || start.details.missed_tokens == 0, id,
                     "misses tokens without a reason");
    }
    faults_.expect(ending.scheduled_at == start.scheduled_at, id, "has lost the time of its first start");
    faults_.expect(ending.cached_tokens == start.cached_tokens && ending.details == start.details, id,
                   "has lost what was cached at its first start");
    executing_[id] = {start.request, start.tokens, start.blocks, 0, start.copy.has_value()};
    if (start.copy) copy(id, *start.copy);
    for (const auto& restore : start.restores) {
      faults_.expect(owners(restore.block) == 1, id, "restores into a block that others read");
      ++restored_;
      const auto bytes = restore.bytes->bytes();
      std::ranges::copy(bytes.first(bytes.size() / 2), std::as_writable_bytes(places(arena_, restore.block)).begin());
      std::ranges::copy(bytes.last(bytes.size() / 2), std::as_writable_bytes(places(windows_, restore.block)).begin());
    }
  }
  std::span<std::uint64_t> places(std::vector<std::uint64_t>& arena, BlockId block) const {
    const std::size_t size = options_.grid.tokens;
    return std::span(arena).subspan(static_cast<std::size_t>(block) * size, size);
  }
  Saved read_out(const schedule::BlockSave& save) {
    const auto full = std::as_bytes(places(arena_, save.block));
    const auto window = std::as_bytes(places(windows_, save.block));
    auto buffer = std::make_shared<cache::ByteBuffer>(full.size() + window.size());
    const auto rest = std::ranges::copy(full, buffer->bytes().begin()).out;
    std::ranges::copy(window, rest);
    return {save.name.key, buffer};
  }
  /// What is given back holds nothing that anybody may read.
  void give_back(const cache::GivenBack& what) {
    for (const BlockId block : what.blocks) {
      faults_.expect(owners(block) == 0, 0, "a block is given back that somebody reads");
      std::ranges::fill(places(arena_, block), 0);
      std::ranges::fill(places(windows_, block), 0);
    }
    for (const BlockId block : what.windows) std::ranges::fill(places(windows_, block), 0);
    given_back_ += what.windows.size();
  }
  void copy(RequestId id, const schedule::BlockCopy& copy) {
    faults_.expect(owners(copy.to) == 1, id, "copies into a block that others read");
    ++copies_;
    std::ranges::copy(places(arena_, copy.from), places(arena_, copy.to).begin());
    std::ranges::copy(places(windows_, copy.from), places(windows_, copy.to).begin());
  }
  schedule::EntryResult compute(const schedule::StepEntry& entry) {
    schedule::EntryResult result;
    result.id = entry.id;
    const auto found = executing_.find(entry.id);
    if (found == executing_.end()) {
      faults_.expect(false, entry.id, "has an entry and was not started");
      return result;
    }
    Executing& sequence = found->second;
    sequence.blocks.insert(sequence.blocks.end(), entry.new_blocks.begin(), entry.new_blocks.end());
    const std::uint32_t end = entry.first + entry.count;
    faults_.expect(entry.count > 0, entry.id, "has an empty entry");
    faults_.expect(entry.count <= options_.prefill_chunk, entry.id, "has too large a chunk");
    faults_.expect(sequence.computed == 0 || entry.first == sequence.computed, entry.id, "leaves tokens out");
    faults_.expect(sequence.computed > 0 || (options_.grid.slot(entry.first) != 0) == sequence.copied, entry.id,
                   "begins within a block that it has not copied, or copies one for nothing");
    const auto drafted = static_cast<std::uint32_t>(entry.draft.size());
    faults_.expect(drafted == 0 || (entry.sample && drafted <= options_.draft_tokens), entry.id, "has a wrong draft");
    if (end > sequence.tokens.size() ||
        end + drafted > options_.grid.begin(static_cast<std::uint32_t>(sequence.blocks.size()))) {
      faults_.expect(false, entry.id, "computes tokens or writes places that it does not have");
      return result;
    }
    touch_places(sequence, entry.draft, entry.first, end + drafted);
    computed_rows_ += entry.count + drafted;
    sequence.computed = end;
    result.computed = entry.count;
    result.drafted = drafted;
    answer(sequence, entry, result);
    return result;
  }
  /// Reads the places before `first`, writes those up to `end`, the last of which have guesses.
  void touch_places(const Executing& sequence, const std::vector<TokenId>& draft, std::uint32_t first,
                    std::uint32_t end) {
    std::vector<TokenId> tokens = sequence.tokens;
    tokens.insert(tokens.end(), draft.begin(), draft.end());
    std::uint64_t digest = 1;
    for (char letter : sequence.request->request.cache_salt) digest = mix(digest, static_cast<unsigned char>(letter));
    for (std::uint32_t p = 0; p < end; ++p) {
      digest = mix(digest, static_cast<std::uint64_t>(tokens[p]) + 1);
      const BlockId block = sequence.blocks[options_.grid.block_of(p)];
      std::uint64_t& place = places(arena_, block)[options_.grid.slot(p)];
      std::uint64_t& window = places(windows_, block)[options_.grid.slot(p)];
      if (p < first) {
        faults_.expect(place == digest, sequence.request->id, "reads a block that does not hold its tokens");
        const bool seen = options_.window.tokens == 0 || p + options_.window.tokens > first;
        faults_.expect(!seen || window == digest, sequence.request->id, "sees window rows that are not its tokens'");
      } else {
        // What is computed once more is what stood there.
        const bool again = options_.window.tokens > 0 && place == digest;
        faults_.expect(again || owners(block) == 1, sequence.request->id, "writes into a block that others read");
        refills_ += again && window != digest ? 1 : 0;
        place = window = digest;
      }
    }
  }
  std::size_t owners(BlockId block) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        executing_, [&](const auto& one) { return std::ranges::count(one.second.blocks, block) > 0; }));
  }
  void answer(Executing& sequence, const schedule::StepEntry& entry, schedule::EntryResult& result) {
    const schedule::AdmittedRequest& request = *sequence.request;
    Ending& ending = endings_.at(entry.id);
    const bool whole = sequence.computed == sequence.tokens.size();
    faults_.expect(entry.sample == (whole && request.max_new_tokens > 0), entry.id, "samples at the wrong place");
    if (failing_.erase(entry.id) > 0) {
      result.error = "bad logits";
      ending.failed = true;
    } else if (entry.sample) {
      for (std::size_t right = 0; result.finish == FinishReason::none; ++right) {
        const TokenId token = next_token(sequence.tokens, options_.draft_tokens > 0);
        result.sampled.push_back({token});
        sequence.tokens.push_back(token);
        ending.generated.push_back(token);
        if (token == end_token_) result.finish = FinishReason::stop;
        if (ending.generated.size() >= request.max_new_tokens) result.finish = FinishReason::length;
        if (right == entry.draft.size() || token != entry.draft[right]) break;
      }
      result.computed += result.accepted();
      sequence.computed += result.accepted();
    } else if (whole) {
      result.finish = FinishReason::length;
    }
    if (!result.error.empty() || result.finish != FinishReason::none) ++ending.times;
  }

  schedule::SchedulerOptions options_;
  TokenId end_token_;
  std::map<RequestId, Ending>& endings_;
  Faults& faults_;
  std::vector<std::uint64_t> arena_, windows_;  ///< [block, grid.tokens]; window rows
  std::map<RequestId, Executing> executing_;
  std::set<RequestId> failing_;
  std::uint64_t computed_rows_ = 0, copies_ = 0, restored_ = 0, refills_ = 0, given_back_ = 0;
};

}  // namespace headwater::test
