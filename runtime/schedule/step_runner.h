#pragma once
// Carries out step plans: one forward pass, then one token chosen for each entry that asks for it, and one more for
// each guess that was right. A row's logits do not depend on the rows beside it, so these are the tokens that steps
// without guesses would have given. The plain class inside the executor actor. It decides nothing.
//
// Threading: one caller.

#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "model/architecture.h"
#include "model/sampler.h"
#include "schedule/step.h"

namespace headwater::schedule {

/// max_tokens reached, or an end token where it counts. `n_generated` includes `token`.
/// `end_tokens`: the model's own.
FinishReason finish_reason(const AdmittedRequest& request, TokenId token, std::uint32_t n_generated,
                           std::span<const TokenId> end_tokens);

class StepRunner {
 public:
  /// `end_tokens`: the model's own, for finish reasons. `clock`: nanoseconds, for durations only.
  StepRunner(model::Architecture& model, std::vector<TokenId> end_tokens, std::uint32_t n_blocks,
             std::uint32_t block_tokens, std::function<TimeNs()> clock, const kernels::KvFormat& format = {});
  ~StepRunner();

  /// The bytes of blocks, for a slower tier. To be called before the plan is run that names them.
  std::vector<cache::TierBlock> save(std::vector<BlockSave> saves);

  /// Runs the plan. Throws std::logic_error for a plan that does not fit the runner's state (a bug).
  StepResult run(StepPlan plan);

  /// Forgets all sequences. What can be given back of the arena is.
  void reset();

 private:
  struct Sequence;
  /// A row whose logits are used.
  struct Wanted {
    std::size_t entry;  ///< index in the plan
    std::uint32_t row;
    std::uint32_t position;  ///< in the sequence
    bool sampled;            ///< for the next token; otherwise to score the prompt's own
  };

  Sequence& at(RequestId id);
  void restore(std::vector<SequenceStart>& starts);
  void lay_out(const std::vector<StepEntry>& entries);
  void compute(const std::vector<StepEntry>& entries, std::vector<EntryResult>& outcomes);
  /// Chooses what follows each row; the sequences side by side, the rows of one in order.
  void choose_all(std::span<const Wanted> wanted, std::span<float> logits, std::vector<EntryResult>& outcomes);
  void choose(const Wanted& wanted, std::span<float> logits, EntryResult& outcome);
  void finish_scoring(const StepEntry& entry, EntryResult& outcome);

  model::Architecture& model_;
  std::vector<TokenId> end_tokens_;
  kernels::BlockGrid grid_;
  std::uint32_t n_blocks_;
  kernels::KvBlockBytes block_bytes_;
  std::function<TimeNs()> clock_;
  std::unordered_map<RequestId, std::unique_ptr<Sequence>> sequences_;

  // The step's rows, and scratch.
  std::vector<TokenId> tokens_;
  std::vector<model::BatchSequence> rows_;
  std::vector<Wanted> wanted_;
};

}  // namespace headwater::schedule
