#include <algorithm>

#include "schedule/scheduler_state.h"

namespace headwater::schedule {
namespace {

/// Most guesses in a step: each costs a row of logits.
constexpr std::size_t kMostGuesses = 64;
}  // namespace

std::uint32_t Scheduler::Impl::draft_room(const Sequence& sequence) const {
  // What was matched and is computed once more is others', too.
  if (sequence.borrows_last || sequence.published < sequence.matched_blocks) return 0;
  const std::uint32_t end = sequence.computed + 1;  // of what is known
  const std::uint32_t places = options.grid.begin(sequence.own_blocks());
  return std::min(places > end ? places - end : 0, sequence.left_to_generate() - 1);
}

void Scheduler::Impl::add_drafts(StepPlan& plan) {
  const std::size_t n = plan.entries.size();
  if (options.draft_tokens == 0 || n == 0 || n > GuessCost::kMostSequences || n >= options.max_step_tokens) return;
  const auto decodes = [&](const StepEntry& entry) { return sequences.at(entry.id).decoding(); };
  if (!std::ranges::all_of(plan.entries, decodes)) return;  // whose prompts are computed wait for the step
  const auto each = static_cast<std::uint32_t>(std::min(options.max_step_tokens - n, kMostGuesses) / n);
  for (StepEntry& entry : plan.entries) {
    Sequence& sequence = sequences.at(entry.id);
    const std::uint32_t most = std::min({options.draft_tokens, each, draft_room(sequence)});
    if (most == 0) continue;
    sequence.drafts.advance(sequence.tokens);
    entry.draft = sequence.drafts.draft(sequence.tokens, most, guess_cost.worth(n));
    sequence.drafted = static_cast<std::uint32_t>(entry.draft.size());
  }
}

}  // namespace headwater::schedule
