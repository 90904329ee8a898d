#include "schedule/step_runner.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/trace.h"

namespace headwater::schedule {
namespace {

/// Rows of logits that are held at a time; a scored prompt needs one for each of its tokens.
constexpr std::size_t kLogitRows = 256;

}  // namespace

FinishReason finish_reason(const AdmittedRequest& request, TokenId token, std::uint32_t n_generated,
                           std::span<const TokenId> end_tokens) {
  const SamplingParams& params = request.request.params;
  const bool early = n_generated <= params.min_tokens && params.min_tokens > 0;
  const auto among = [&](std::span<const TokenId> ids) { return std::ranges::find(ids, token) != ids.end(); };
  if (!early && (among(params.stop_token_ids) || (!params.ignore_eos && among(end_tokens)))) return FinishReason::stop;
  return n_generated >= request.max_new_tokens ? FinishReason::length : FinishReason::none;
}

struct StepRunner::Sequence {
  RequestPtr request;
  std::vector<TokenId> tokens;
  std::vector<BlockId> blocks;
  model::Sampler sampler;

  Sequence(const SequenceStart& start, std::span<const TokenId> end_tokens)
      : request(start.request),
        tokens(start.tokens),
        blocks(start.blocks),
        sampler(request->request.params, request->seed,
                request->request.params.ignore_eos ? std::span<const TokenId>() : end_tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) sampler.observe(tokens[i], i >= request->prompt.size());
  }
  std::uint32_t generated() const { return static_cast<std::uint32_t>(tokens.size() - request->prompt.size()); }
};

StepRunner::StepRunner(model::Architecture& model, std::vector<TokenId> end_tokens, std::uint32_t n_blocks,
                       std::uint32_t block_tokens, std::function<TimeNs()> clock, const kernels::KvFormat& format)
    : model_(model),
      end_tokens_(std::move(end_tokens)),
      grid_(kernels::block_grid(format, block_tokens)),
      n_blocks_(n_blocks),
      clock_(std::move(clock)) {
  model_.allocate_kv(n_blocks, block_tokens, format);
  block_bytes_ = model_.kv_block_bytes(block_tokens, format);
}
StepRunner::~StepRunner() = default;

void StepRunner::reset() {
  sequences_.clear();
  if (block_bytes_.windowed == 0) return;
  std::vector<BlockId> all(n_blocks_);
  std::iota(all.begin(), all.end(), 0);
  model_.give_back_kv(all, {});
}

StepRunner::Sequence& StepRunner::at(RequestId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end())
    throw std::logic_error("the plan names sequence " + std::to_string(id) + ", which was not started");
  return *found->second;
}

std::vector<cache::TierBlock> StepRunner::save(std::vector<BlockSave> saves) {
  const trace::Span span("save blocks", saves.size());
  std::vector<std::shared_ptr<cache::ByteBuffer>> buffers(saves.size());
  for (auto& buffer : buffers) buffer = std::make_shared<cache::ByteBuffer>(block_bytes_.total());
  model_.run_on_host(saves.size(), [&](std::size_t i) { model_.read_kv_block(saves[i].block, buffers[i]->bytes()); });
  std::vector<cache::TierBlock> blocks;
  for (std::size_t i = 0; i < saves.size(); ++i) {
    blocks.push_back({std::move(saves[i].name), std::move(buffers[i]), saves[i].terms});
  }
  return blocks;
}

void StepRunner::restore(std::vector<SequenceStart>& starts) {
  std::vector<BlockRestore> restores;
  for (SequenceStart& start : starts) {
    std::ranges::move(std::exchange(start.restores, {}), std::back_inserter(restores));
  }
  if (restores.empty()) return;
  const trace::Span span("restore blocks", restores.size());
  model_.run_on_host(restores.size(),
                     [&](std::size_t i) { model_.write_kv_block(restores[i].block, restores[i].bytes->bytes()); });
}

StepResult StepRunner::run(StepPlan plan) {
  const trace::Span span("step", plan.entries.size());
  const TimeNs began = clock_();
  if (!plan.given_back.empty()) model_.give_back_kv(plan.given_back.blocks, plan.given_back.windows);
  for (RequestId id : plan.retired) sequences_.erase(id);
  for (const SequenceStart& start : plan.starts) {
    if (start.copy) model_.copy_kv_block(start.copy->from, start.copy->to);
    sequences_.insert_or_assign(start.request->id, std::make_unique<Sequence>(start, end_tokens_));
  }
  restore(plan.starts);
  lay_out(plan.entries);

  StepResult result;
  result.epoch = plan.epoch;
  result.step = plan.step;
  result.rows = static_cast<std::uint32_t>(tokens_.size());
  for (const StepEntry& entry : plan.entries) {
    EntryResult& outcome = result.entries.emplace_back();
    outcome.id = entry.id;
    outcome.computed = entry.count;
    outcome.drafted = static_cast<std::uint32_t>(entry.draft.size());
  }
  if (!tokens_.empty()) compute(plan.entries, result.entries);
  result.starts = std::move(plan.starts);
  result.retired = std::move(plan.retired);
  result.duration = clock_() - began;
  return result;
}

void StepRunner::lay_out(const std::vector<StepEntry>& entries) {
  tokens_.clear();
  rows_.clear();
  wanted_.clear();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const StepEntry& entry = entries[i];
    Sequence& sequence = at(entry.id);
    sequence.blocks.insert(sequence.blocks.end(), entry.new_blocks.begin(), entry.new_blocks.end());
    const std::size_t end = std::size_t{entry.first} + entry.count;
    const auto n_rows = entry.count + static_cast<std::uint32_t>(entry.draft.size());
    if (entry.count == 0 || end > sequence.tokens.size() ||
        entry.first + n_rows > grid_.begin(static_cast<std::uint32_t>(sequence.blocks.size()))) {
      throw std::logic_error("the plan computes tokens that sequence " + std::to_string(entry.id) + " does not have");
    }
    if (entry.sample ? end != sequence.tokens.size() : !entry.draft.empty()) {
      throw std::logic_error("the plan guesses or samples what does not come next in sequence " +
                             std::to_string(entry.id));
    }
    const auto first_row = static_cast<std::uint32_t>(tokens_.size());
    tokens_.insert(tokens_.end(), sequence.tokens.begin() + entry.first,
                   sequence.tokens.begin() + static_cast<std::ptrdiff_t>(end));
    tokens_.insert(tokens_.end(), entry.draft.begin(), entry.draft.end());
    rows_.push_back({first_row, n_rows, entry.first, sequence.blocks});
    const bool scores = sequence.request->request.params.prompt_logprobs.has_value();
    for (std::uint32_t k = 0; k < n_rows; ++k) {
      const std::size_t position = entry.first + k;
      const bool scored = scores && position + 1 < sequence.request->prompt.size();
      const bool sampled = entry.sample && k + 1 >= entry.count;
      if (scored || sampled) wanted_.push_back({i, first_row + k, static_cast<std::uint32_t>(position), sampled});
    }
  }
}

void StepRunner::compute(const std::vector<StepEntry>& entries, std::vector<EntryResult>& outcomes) {
  // The logits of one pass are bounded. Should more rows be wanted, the pass is repeated for the rest: it writes the
  // same keys and values again. Only scored prompts come to that.
  std::size_t done = 0;
  do {
    const std::size_t n = std::min(wanted_.size() - done, std::max(kLogitRows, entries.size()));
    std::vector<std::uint32_t> logit_rows;
    for (std::size_t i = done; i < done + n; ++i) logit_rows.push_back(wanted_[i].row);
    const std::span<float> logits = model_.forward({tokens_, rows_, logit_rows});
    choose_all({wanted_.data() + done, n}, logits, outcomes);
    done += n;
  } while (done < wanted_.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    outcomes[i].computed += outcomes[i].accepted();
    finish_scoring(entries[i], outcomes[i]);
  }
}

void StepRunner::choose_all(std::span<const Wanted> wanted, std::span<float> logits,
                            std::vector<EntryResult>& outcomes) {
  const trace::Span span("sample", wanted.size());
  const std::size_t vocab = model_.shape().vocab_size;
  std::vector<std::size_t> firsts;  // of each entry's rows, which stand together and go in order
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i == 0 || wanted[i].entry != wanted[i - 1].entry) firsts.push_back(i);
  }
  std::vector<std::exception_ptr> failures(firsts.size());
  model_.run_on_host(firsts.size(), [&](std::size_t task) {
    try {
      const std::size_t end = task + 1 < firsts.size() ? firsts[task + 1] : wanted.size();
      for (std::size_t i = firsts[task]; i < end; ++i) {
        choose(wanted[i], logits.subspan(i * vocab, vocab), outcomes[wanted[i].entry]);
      }
    } catch (...) {
      failures[task] = std::current_exception();
    }
  });
  for (const std::exception_ptr& failure : failures) {
    if (failure != nullptr) std::rethrow_exception(failure);
  }
}

void StepRunner::choose(const Wanted& wanted, std::span<float> logits, EntryResult& outcome) {
  Sequence& sequence = at(outcome.id);
  const AdmittedRequest& request = *sequence.request;
  const auto fail = [&] {
    outcome.error = "the model gave no usable logits at position " + std::to_string(wanted.position) +
                    " (NaN or infinity); the request cannot be answered";
  };
  if (!outcome.error.empty()) return;
  if (!wanted.sampled) {
    const TokenId next = request.prompt[wanted.position + 1];
    model::Sampled scored = model::score_token(logits, next, *request.request.params.prompt_logprobs);
    if (scored.bad_logits) return fail();
    outcome.prompt_logprobs.emplace_back(scored.logprob, std::move(scored.top));
    return;
  }
  // Behind the first guess that was wrong, and behind the answer's end, rows mean nothing.
  const bool follows = sequence.tokens.size() == std::size_t{wanted.position} + 1 &&
                       sequence.tokens.back() == tokens_[wanted.row] && outcome.finish == FinishReason::none;
  if (!follows) return;
  const std::uint32_t generated = sequence.generated();
  model::Sampled sampled = sequence.sampler.sample(logits, wanted.position + 1, generated);
  if (sampled.bad_logits) return fail();
  sequence.tokens.push_back(sampled.token);
  sequence.sampler.observe(sampled.token, true);
  outcome.sampled.push_back({sampled.token, sampled.logprob, std::move(sampled.top)});
  outcome.finish = finish_reason(request, sampled.token, generated + 1, end_tokens_);
}

void StepRunner::finish_scoring(const StepEntry& entry, EntryResult& outcome) {
  const Sequence& sequence = at(entry.id);
  const bool whole = std::size_t{entry.first} + entry.count >= sequence.request->prompt.size();
  if (sequence.request->max_new_tokens == 0 && whole && outcome.error.empty()) outcome.finish = FinishReason::length;
}

}  // namespace headwater::schedule
