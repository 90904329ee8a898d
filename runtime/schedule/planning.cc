#include <algorithm>
#include <utility>

#include "schedule/block_givers.h"
#include "schedule/scheduler_state.h"

namespace headwater::schedule {

std::uint32_t Scheduler::Impl::lacking(const Sequence& sequence, std::uint32_t count) const {
  const std::uint32_t needed = options.grid.covering(sequence.computed + count);
  const std::uint32_t has = sequence.own_blocks();
  return needed > has ? needed - has : 0;
}

std::uint32_t StepRoom::take(const Sequence& sequence, std::uint32_t chunk) {
  std::uint32_t count = std::min({sequence.uncomputed(), chunk, rows});
  if (sequence.scores()) {
    count = std::min(count, scored);
    scored -= count;
  }
  rows -= count;
  return count;
}

/// Rows for all that run: a token for each that decodes, then prompt chunks, oldest first.
std::vector<Share> Scheduler::Impl::share_rows(StepRoom& room) const {
  std::vector<Share> shares;
  for (const bool decoding : {true, false}) {
    for (Sequence* sequence : running) {
      if (sequence->decoding() != decoding) continue;
      const std::uint32_t count = room.take(*sequence, options.prefill_chunk);
      if (count > 0) shares.push_back({sequence, count});
    }
    if (decoding && !shares.empty()) {
      room = {std::min(room.rows, options.mixed_prefill_tokens), std::min(room.scored, kMixedScoredRows)};
    }
  }
  return shares;
}

/// Blocks that the shares need and that are not there.
std::uint32_t Scheduler::Impl::shortage(const std::vector<Share>& shares) const {
  std::uint32_t lacks = 0;
  for (const Share& share : shares) lacks += lacking(*share.sequence, share.count);
  const auto has = static_cast<std::uint32_t>(spare.size());
  return lacks > has ? lacks - has : 0;
}

/// Adds the sequence to the plan, with as many of `count` tokens as its blocks and the spare ones can hold.
void Scheduler::Impl::schedule(Sequence& sequence, std::uint32_t count, StepPlan& plan, TimeNs now) {
  const std::uint32_t room = options.grid.begin(sequence.own_blocks() + static_cast<std::uint32_t>(spare.size()));
  count = room > sequence.computed ? std::min(count, room - sequence.computed) : 0;
  if (count == 0) return;
  const std::uint32_t lacks = lacking(sequence, count);
  if (sequence.borrows_last) {
    sequence.copied = sequence.blocks.back();
    sequence.blocks.pop_back();
    --sequence.windows.end;
    sequence.borrows_last = false;
  }
  for (auto granted = spare.end() - lacks; granted != spare.end(); ++granted, ++sequence.windows.end) {
    if (sequence.windows.end < sequence.blocks.size()) {
      const BlockId block = sequence.blocks[sequence.windows.end];
      out.refills.push_back({*granted, block});
      if (refills.empty()) refills.resize(options.total_blocks);
      ++refills.at(static_cast<std::size_t>(block));
    } else {
      sequence.blocks.push_back(*granted);
    }
  }
  spare.resize(spare.size() - lacks);

  StepEntry entry;
  entry.id = sequence.id();
  entry.first = sequence.computed;
  entry.count = count;
  entry.sample = count == sequence.uncomputed() && sequence.request->max_new_tokens > 0;
  if (sequence.scheduled_at == 0) {
    sequence.scheduled_at = now;
    const auto prompt = static_cast<std::uint32_t>(sequence.request->prompt.size());
    counters.prefix.add(prompt, sequence.cached_tokens, sequence.details, options.grid);
  }
  if (sequence.started) {
    entry.new_blocks.assign(sequence.blocks.begin() + sequence.known_blocks, sequence.blocks.end());
  } else {
    sequence.started = true;
    plan.starts.push_back(
        {sequence.request, sequence.tokens, sequence.blocks, sequence.cached_tokens, sequence.scheduled_at});
    SequenceStart& start = plan.starts.back();
    start.details = sequence.details;
    if (sequence.copied >= 0) start.copy = BlockCopy{sequence.copied, sequence.blocks[sequence.published]};
    for (std::size_t i = 0; i < sequence.restored.size(); ++i) {
      start.restores.push_back({sequence.blocks[sequence.published + i], std::move(sequence.restored[i])});
    }
    sequence.restored.clear();
  }
  sequence.known_blocks = static_cast<std::uint32_t>(sequence.blocks.size());
  sequence.planned = count;
  plan.entries.push_back(std::move(entry));
}

/// Lets waiting sequences in while there is room in batch, step and pool, and likely until they end. Returns how many
/// blocks the one whose turn it is lacks.
std::uint32_t Scheduler::Impl::admit(StepRoom room, StepPlan& plan, TimeNs now) {
  held_back = false;
  for (Sequence* next : waiting.first(options.max_batch_size - running.size())) {
    if (room.rows == 0 || !may_admit()) return 0;
    if (awaits_prefix(*next)) continue;
    if (!next->matched || next->stale) {
      rematch(*next);
      continue;
    }
    const std::uint32_t count = room.take(*next, options.prefill_chunk);
    if (count == 0) continue;  // no more is scored in this step; others may go on
    held_back = !room_lasts_with(*next);
    if (held_back) return 0;
    const std::uint32_t lacks = lacking(*next, count);
    if (lacks > spare.size()) return lacks - static_cast<std::uint32_t>(spare.size());
    waiting.take(next);
    next->state = Sequence::State::running;
    running.insert(std::ranges::upper_bound(running, next->age, {}, &Sequence::age), next);
    schedule(*next, count, plan, now);
  }
  return 0;
}

/// Frees blocks for those that run, or for `beneficiary`, which waits while nothing runs. If nobody gives any, the
/// pool is too small for it and the block that it would copy.
void Scheduler::Impl::make_room(Sequence* beneficiary, std::uint32_t missing) {
  if (beneficiary == nullptr) starved = true;
  std::vector<Sequence*> holders;
  for (auto& [id, sequence] : sequences) {
    if (sequence.state == Sequence::State::waiting) holders.push_back(&sequence);
  }
  const std::vector<Sequence*> givers = block_givers(running, std::move(holders), beneficiary, missing);
  if (givers.empty() && beneficiary != nullptr && beneficiary->borrows_last) release_borrowed(*beneficiary);
  for (Sequence* giver : givers) {
    giver->state == Sequence::State::running ? preempt(*giver) : release_blocks(*giver);
  }
}

std::vector<BlockSave> Scheduler::Impl::take_saves() {
  constexpr std::size_t kLaterSaves = 4;  // as many take little of the shortest step
  std::vector<BlockSave> taken = std::exchange(saves, {});
  for (std::size_t i = 0; i < kLaterSaves && !later_saves.empty(); ++i) {
    taken.push_back(std::move(later_saves.front()));
    later_saves.pop_front();
  }
  return taken;
}

void Scheduler::Impl::make_plan(TimeNs now) {
  StepRoom room = whole_step();
  std::vector<Share> shares = share_rows(room);
  std::uint32_t missing = shortage(shares);
  if (missing > 0 && exhausted) {
    make_room(nullptr, missing);
    room = whole_step();
    shares = share_rows(room);
    missing = shortage(shares);
  }
  StepPlan plan;
  for (const Share& share : shares) schedule(*share.sequence, share.count, plan, now);
  if (missing == 0) {
    missing = admit(room, plan, now);
    if (missing > 0 && exhausted) {
      if (running.empty()) {
        make_room(waiting.first(1).front(), missing);
        // Without the block that it would copy it may need no more than there is, and then nothing else would wake us.
        admit(room, plan, now);
      } else {
        starved = true;
      }
    }
  }

  add_drafts(plan);

  plan.retired = std::exchange(retired, {});
  plan.saves = take_saves();
  if (plan.entries.empty() && plan.retired.empty() && plan.saves.empty()) return;
  plan.given_back = std::exchange(given_back, {});
  plan.epoch = epoch;
  plan.step = ++step;
  step_in_flight = true;
  exhausted = false;  // each step asks once more
  if (!plan.entries.empty()) ++counters.steps;
  out.plan = std::move(plan);
}

/// Blocks that the next step will take beyond those that the sequences have.
std::uint32_t Scheduler::Impl::foreseen() const {
  std::uint32_t rows = options.max_step_tokens;
  std::uint32_t blocks = 0;
  const auto foresee = [&](const Sequence& sequence) {
    const std::uint32_t count = std::min({sequence.uncomputed_after_step(), options.prefill_chunk, rows});
    rows -= count;
    if (count > 0) blocks += lacking(sequence, sequence.reach(count));
  };
  for (const bool decoding : {true, false}) {
    for (const Sequence* sequence : running) {
      if ((sequence->uncomputed_after_step() <= 1) == decoding) foresee(*sequence);
    }
    if (decoding && rows < options.max_step_tokens) rows = std::min(rows, options.mixed_prefill_tokens);
  }
  if (!may_admit() || held_back) return blocks;
  for (const Sequence* next : waiting.first(options.max_batch_size - running.size())) {
    if (next->matched && !next->stale && !awaits_prefix(*next)) foresee(*next);
  }
  return blocks;
}

void Scheduler::Impl::balance_spare() {
  if (demand_in_flight) return;
  const std::uint32_t needed = std::min(foreseen(), options.total_blocks);
  const auto has = static_cast<std::uint32_t>(spare.size());
  if (needed > has && !(exhausted && step_in_flight)) {
    out.demand = needed - has;
    demand_in_flight = true;
    released_since_demand = false;
  } else if (needed < has) {
    out.returned.insert(out.returned.end(), spare.begin() + needed, spare.end());
    spare.resize(needed);
  }
}

}  // namespace headwater::schedule
