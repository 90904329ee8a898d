#include <algorithm>

#include "schedule/scheduler_state.h"

namespace headwater::schedule {
namespace {

/// Most sequences that decode in a step with guesses. Beyond, memory is no longer what a step waits for, and a wrong
/// guess costs as much as a right one saves.
constexpr std::size_t kMostDrafting = 8;
/// Most guesses in a step: each costs a row of logits.
constexpr std::size_t kMostGuesses = 64;
/// What a row more costs, over a step of one row: 0.13 for 1.5 billion weights, 0.4 for 135 million (Xeon with VNNI, no
/// AMX), and a bit, since chances are learnt from few guesses.
constexpr double kRowCost = 0.6;

/// The chance from which on a guess pays: a right one saves its sequence a row, and its share of a step.
double worth_of(std::size_t sequences) {
  const double rows = kRowCost * static_cast<double>(sequences);
  return rows / (rows + 1);
}

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
  if (options.draft_tokens == 0 || n == 0 || n > kMostDrafting || n >= options.max_step_tokens) return;
  const auto decodes = [&](const StepEntry& entry) { return sequences.at(entry.id).decoding(); };
  if (!std::ranges::all_of(plan.entries, decodes)) return;  // whose prompts are computed wait for the step
  const auto each = static_cast<std::uint32_t>(std::min(options.max_step_tokens - n, kMostGuesses) / n);
  for (StepEntry& entry : plan.entries) {
    Sequence& sequence = sequences.at(entry.id);
    const std::uint32_t most = std::min({options.draft_tokens, each, draft_room(sequence)});
    if (most == 0) continue;
    sequence.drafts.advance(sequence.tokens);
    entry.draft = sequence.drafts.draft(sequence.tokens, most, worth_of(n));
    sequence.drafted = static_cast<std::uint32_t>(entry.draft.size());
  }
}

}  // namespace headwater::schedule
