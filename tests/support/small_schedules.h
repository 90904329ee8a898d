#pragma once
// What the scheduler's tests begin with.

#include <random>
#include <utility>
#include <vector>

#include "tests/support/serving_simulation.h"

namespace headwater::test {

/// Steps and blocks of a few tokens, in a pool with room for all.
inline SimulationOptions roomy() {
  SimulationOptions options;
  options.scheduler = {
      .max_batch_size = 4, .max_step_tokens = 32, .prefill_chunk = 12, .mixed_prefill_tokens = 208, .grid = 4};
  options.scheduler.total_blocks = 64;
  return options;
}

/// What the executor reports of a plan, without tokens.
inline schedule::StepResult result_of(const schedule::StepPlan& plan) {
  schedule::StepResult result;
  result.epoch = plan.epoch;
  result.step = plan.step;
  for (const schedule::StepEntry& entry : plan.entries) {
    schedule::EntryResult& outcome = result.entries.emplace_back();
    outcome.id = entry.id;
    outcome.computed = entry.count;
  }
  return result;
}

/// What the scheduler has to do, with the blocks granted that it asks for: from `next` on.
inline schedule::SchedulerOutput poll_granting(schedule::Scheduler& scheduler, BlockId& next) {
  schedule::SchedulerOutput output = scheduler.poll(1);
  if (output.demand > 0) {
    std::vector<BlockId> blocks;
    blocks.reserve(output.demand);
    for (std::uint32_t i = 0; i < output.demand; ++i) blocks.push_back(next++);
    scheduler.on_grant(blocks, output.demand);
    schedule::SchedulerOutput more = scheduler.poll(1);
    if (!output.plan) output.plan = std::move(more.plan);
  }
  return output;
}

inline std::vector<TokenId> prompt_of(unsigned seed, std::size_t n) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(n);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 1000);
  return tokens;
}

}  // namespace headwater::test
