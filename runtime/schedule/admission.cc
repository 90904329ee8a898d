// Whether one more sequence may run: what pool_forecast.h says of those that run and this one.

#include <algorithm>
#include <vector>

#include "schedule/pool_forecast.h"
#include "schedule/scheduler_state.h"

namespace headwater::schedule {
namespace {

/// Blocks that it keeps: not the one that it copies.
std::uint32_t kept_blocks(const Sequence& sequence) {
  return static_cast<std::uint32_t>(sequence.blocks.size()) - (sequence.borrows_last ? 1 : 0);
}

/// A block that several have counts for the one that likely stays longest.
void count_shared(std::vector<Stay>& stays, const std::vector<const Sequence*>& sequences, std::uint32_t total_blocks) {
  std::vector<std::size_t> order(stays.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, std::ranges::greater{},
                    [&](std::size_t i) { return stays[i].delay + stays[i].rest.quantile(0.5); });
  std::vector<bool> counted(total_blocks);
  for (const std::size_t i : order) {
    for (std::uint32_t k = 0; k < stays[i].blocks; ++k) {
      const auto block = static_cast<std::size_t>(sequences[i]->blocks[k]);
      if (block >= counted.size()) continue;
      if (counted[block]) ++stays[i].shared;
      counted[block] = true;
    }
  }
}

}  // namespace

bool Scheduler::Impl::room_lasts_with(const Sequence& next) const {
  if (!options.lasting_admission || running.empty()) return true;
  std::vector<const Sequence*> sequences(running.begin(), running.end());
  sequences.push_back(&next);
  const std::uint32_t rows = std::min(options.mixed_prefill_tokens, options.max_step_tokens);
  std::uint64_t prefill = 0;
  std::vector<Stay> stays;
  for (const Sequence* sequence : sequences) {
    const auto prompt = static_cast<std::uint32_t>(sequence->request->prompt.size());
    Stay stay{.rest = lengths.rest(*sequence->request, sequence->generated())};
    stay.tokens = static_cast<std::uint32_t>(sequence->tokens.size());
    // The last token of an answer is never an input.
    stay.most_tokens = prompt + std::max(sequence->request->max_new_tokens, 1U) - 1;
    stay.blocks = kept_blocks(*sequence);
    if (!sequence->decoding()) {
      // Prompts are computed one after the other beside those that decode.
      prefill += sequence->uncomputed();
      stay.delay = static_cast<std::uint32_t>((prefill - 1) / rows);
    }
    stays.push_back(stay);
  }
  const PoolShape pool{options.grid, options.total_blocks, options.window, options.prefill_chunk};
  if (room_for_the_longest(stays, pool)) return true;
  count_shared(stays, sequences, options.total_blocks);
  return room_lasts(stays, pool);
}

}  // namespace headwater::schedule
