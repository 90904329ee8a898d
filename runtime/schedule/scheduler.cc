#include "schedule/scheduler.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "schedule/scheduler_state.h"

namespace headwater::schedule {

// ---- what happens to a sequence ----

void Scheduler::Impl::publish(Sequence& sequence) {
  const std::uint32_t full = options.grid.whole(sequence.computed);
  if (full <= sequence.published) return;
  FilledBlocks filled;
  filled.id = sequence.id();
  filled.blocks.assign(sequence.blocks.begin() + sequence.published, sequence.blocks.begin() + full);
  filled.tokens.assign(sequence.tokens.begin() + options.grid.begin(sequence.published),
                       sequence.tokens.begin() + options.grid.begin(full));
  sequence.published = full;
  out.filled.push_back(std::move(filled));
  mark_stale(sequence);
}

void Scheduler::Impl::pass(Sequence& sequence) {
  const std::uint32_t first = cache::first_in_window(sequence.computed, options.window.tokens, options.grid);
  if (first <= sequence.windows.first) return;
  out.passed.insert(out.passed.end(), sequence.blocks.begin() + sequence.windows.first,
                    sequence.blocks.begin() + first);
  sequence.windows.first = first;
  exhausted = false;
  released_since_demand = true;
}

void Scheduler::Impl::release_blocks(Sequence& sequence) {
  if (sequence.matched || !sequence.blocks.empty()) {
    ReleasedBlocks released{sequence.id(), sequence.blocks, {}, sequence.windows};
    const std::uint32_t known = options.grid.begin(sequence.published);
    const bool own = !sequence.borrows_last && sequence.published >= sequence.matched_blocks;
    if (own && sequence.restored.empty() && sequence.computed > known) {
      released.tail.assign(sequence.tokens.begin() + known, sequence.tokens.begin() + sequence.computed);
    }
    out.released.push_back(std::move(released));
  }
  if (!sequence.blocks.empty()) {
    exhausted = false;
    released_since_demand = true;
  }
  sequence.blocks.clear();
  sequence.restored.clear();
  sequence.computed = sequence.published = sequence.known_blocks = sequence.matched_blocks = 0;
  sequence.windows = {};
  sequence.matched = sequence.stale = sequence.borrows_last = false;
}

void Scheduler::Impl::release_copied(BlockId block) {
  out.copied.push_back(block);
  exhausted = false;
  released_since_demand = true;
}

void Scheduler::Impl::release_borrowed(Sequence& sequence) {
  release_copied(sequence.blocks.back());
  sequence.blocks.pop_back();
  --sequence.windows.end;
  sequence.borrows_last = false;
  sequence.computed = options.grid.begin(sequence.published);
  if (sequence.scheduled_at > 0) return;
  sequence.cached_tokens = sequence.computed;
  sequence.details.missed_tokens += std::exchange(sequence.details.copied_tokens, 0);
  if (sequence.cached_tokens == 0) sequence.details.source = CacheSource::none;
  sequence.details.miss = CacheMiss::no_room;
}

void Scheduler::Impl::leave_executor(Sequence& sequence) {
  if (sequence.started) retired.push_back(sequence.id());
  sequence.started = false;
}

void Scheduler::Impl::end(Sequence& sequence) {
  lengths.ended(*sequence.request, sequence.generated());
  release_blocks(sequence);
  leave_executor(sequence);
  if (std::erase(running, &sequence) == 0) waiting.remove(&sequence);
  starved = held_back = false;
  sequences.erase(sequence.id());
}

void Scheduler::Impl::preempt(Sequence& sequence) {
  ++counters.preemptions;
  release_blocks(sequence);
  leave_executor(sequence);
  std::erase(running, &sequence);
  sequence.state = Sequence::State::waiting;
  waiting.push_front(&sequence);
}

void Scheduler::Impl::rematch(Sequence& sequence) {
  waiting.take(&sequence);
  release_blocks(sequence);
  sequence.state = Sequence::State::rematching;
  ++rematching;
  out.rematch.push_back({sequence.request, sequence.tokens});
}

void Scheduler::Impl::on_entry(Sequence& sequence, const EntryResult& entry) {
  sequence.planned = sequence.drafted = 0;
  if (sequence.copied >= 0) release_copied(std::exchange(sequence.copied, -1));
  sequence.computed += entry.computed;
  for (const SampledToken& sampled : entry.sampled) sequence.tokens.push_back(sampled.token);
  if (!entry.sampled.empty()) {
    waiting.charge(sequence.request->request.tenant, static_cast<std::uint32_t>(entry.sampled.size()));
  }
  if (entry.drafted > 0) {
    sequence.drafts.judge(entry.drafted, entry.accepted());
    counters.drafted += entry.drafted;
    counters.accepted += entry.accepted();
  }
  if (entry.error.empty()) {
    publish(sequence);
    pass(sequence);
  } else {
    sequence.computed = options.grid.begin(sequence.published);  // nobody else is to read what has failed
  }
  const bool scored = sequence.request->max_new_tokens == 0 && sequence.uncomputed() == 0;
  const bool done = scored || entry.finish != FinishReason::none || !entry.error.empty();
  if (done || sequence.cancelled) end(sequence);
}

// ---- the interface ----

Scheduler::Scheduler(SchedulerOptions options) : impl_(std::make_unique<Impl>()) {
  options.max_step_tokens = std::max(options.max_step_tokens, 1U);
  options.prefill_chunk = std::clamp(options.prefill_chunk, 1U, options.max_step_tokens);
  options.mixed_prefill_tokens = std::max(options.mixed_prefill_tokens, 1U);
  // Each sequence that decodes has a row in every step.
  options.max_batch_size = std::clamp(options.max_batch_size, 1U, options.max_step_tokens);
  impl_->options = options;
}
Scheduler::~Scheduler() = default;

void Scheduler::add(MatchedSequence matched) {
  Impl& scheduler = *impl_;
  const auto [place, is_new] = scheduler.sequences.try_emplace(matched.request->id);
  Sequence& sequence = place->second;
  if (!is_new && sequence.state != Sequence::State::rematching) return;  // an id is never used twice
  if (is_new) {
    sequence.age = scheduler.next_age++;
    sequence.request = std::move(matched.request);
    sequence.tokens = std::move(matched.tokens);
    sequence.stale = scheduler.published_beyond(sequence, matched.cached_tokens);
  } else {
    --scheduler.rematching;
  }
  sequence.blocks = std::move(matched.blocks);
  sequence.restored = std::move(matched.restored);
  const kernels::BlockGrid& grid = scheduler.options.grid;
  sequence.published = grid.whole(matched.cached_tokens);
  sequence.borrows_last = grid.slot(matched.cached_tokens) > 0;
  const auto restored = static_cast<std::uint32_t>(sequence.restored.size());
  sequence.computed = restored > 0 ? grid.begin(sequence.published + restored) : matched.cached_tokens;
  if (sequence.scheduled_at == 0) {
    sequence.cached_tokens = sequence.computed;
    sequence.details = matched.details;
  }
  sequence.matched_blocks = static_cast<std::uint32_t>(sequence.blocks.size()) - (sequence.borrows_last ? 1 : 0);
  sequence.windows = {matched.first_window, sequence.published + (sequence.borrows_last ? 1 : 0)};
  sequence.matched = true;
  sequence.state = Sequence::State::waiting;
  if (sequence.cancelled) {
    scheduler.end(sequence);
  } else if (is_new) {
    scheduler.waiting.push_back(&sequence);
  } else {
    scheduler.waiting.push_front(&sequence);
  }
}

void Scheduler::cancel(RequestId id) {
  const auto found = impl_->sequences.find(id);
  if (found == impl_->sequences.end()) return;
  Sequence& sequence = found->second;
  sequence.cancelled = true;
  // A step in flight writes into its blocks; a match under way brings it some.
  if (sequence.planned == 0 && sequence.state != Sequence::State::rematching) impl_->end(sequence);
}

void Scheduler::on_grant(std::span<const BlockId> blocks, std::uint32_t asked, std::vector<BlockSave> saves) {
  std::ranges::move(saves, std::back_inserter(impl_->saves));
  impl_->save_now(blocks);
  impl_->demand_in_flight = false;
  impl_->exhausted = blocks.empty() && asked > 0 && !impl_->released_since_demand;
  impl_->spare.insert(impl_->spare.end(), blocks.begin(), blocks.end());
}

void Scheduler::Impl::save_now(std::span<const BlockId> blocks) {
  std::erase_if(later_saves, [&](BlockSave& save) {
    const bool now = std::ranges::find(blocks, save.block) != blocks.end();
    if (now) saves.push_back(std::move(save));
    return now;
  });
}

void Scheduler::give_back(const cache::GivenBack& given_back) {
  Impl& scheduler = *impl_;
  std::ranges::copy(given_back.blocks, std::back_inserter(scheduler.given_back.blocks));
  std::vector<BlockId> windows;
  for (std::size_t i = 0; i < given_back.windows.size(); ++i) {
    const auto block = static_cast<std::size_t>(given_back.windows[i]);
    const std::uint32_t planned = scheduler.refills.empty() ? 0 : scheduler.refills.at(block);
    if (given_back.refills[i] == planned) windows.push_back(given_back.windows[i]);
  }
  std::ranges::copy(windows, std::back_inserter(scheduler.given_back.windows));
  scheduler.save_now(given_back.blocks);
  scheduler.save_now(windows);
}

void Scheduler::save(std::vector<BlockSave> saves) { std::ranges::move(saves, std::back_inserter(impl_->later_saves)); }

void Scheduler::on_result(const StepResult& result) {
  Impl& scheduler = *impl_;
  if (!scheduler.step_in_flight || result.step != scheduler.step || result.epoch != scheduler.epoch) return;
  scheduler.step_in_flight = false;
  scheduler.guess_cost.add(result);
  for (const EntryResult& entry : result.entries) {
    const auto found = scheduler.sequences.find(entry.id);
    if (found != scheduler.sequences.end()) scheduler.on_entry(found->second, entry);
  }
}

SchedulerOutput Scheduler::poll(TimeNs now) {
  Impl& scheduler = *impl_;
  if (!scheduler.step_in_flight) scheduler.make_plan(now);
  scheduler.balance_spare();
  return std::exchange(scheduler.out, {});
}

bool Scheduler::idle() const { return impl_->sequences.empty() && !impl_->step_in_flight; }

SchedulerCounters Scheduler::counters() const {
  SchedulerCounters counters = impl_->counters;
  counters.running = impl_->running.size();
  counters.waiting = impl_->sequences.size() - impl_->running.size();
  return counters;
}

void Scheduler::reset(std::uint64_t epoch) {
  auto fresh = std::make_unique<Impl>();
  fresh->options = impl_->options;
  fresh->counters = impl_->counters;
  fresh->lengths = std::move(impl_->lengths);
  fresh->epoch = epoch;
  impl_ = std::move(fresh);
}

}  // namespace headwater::schedule
