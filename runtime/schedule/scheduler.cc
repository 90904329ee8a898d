#include "schedule/scheduler.h"

#include <algorithm>
#include <unordered_map>

#include "schedule/sequence.h"

namespace headwater::schedule {

bool SchedulerOutput::empty() const {
  return filled.empty() && released.empty() && returned.empty() && rematch.empty() && demand == 0 && !plan;
}

struct Scheduler::Impl {
  SchedulerOptions options;
  std::uint64_t epoch = 0;
  std::uint64_t step = 0;
  bool step_in_flight = false;
  bool demand_in_flight = false;
  /// The last demand brought nothing: somebody has to give blocks up.
  bool exhausted = false;
  /// Blocks have run out while sequences ran: nobody new is let in until one of them ends.
  bool starved = false;

  std::unordered_map<RequestId, Sequence> sequences;
  std::vector<Sequence*> running;  ///< oldest first
  WaitingQueue waiting;
  std::vector<BlockId> spare;
  std::vector<RequestId> retired;  ///< for the next plan
  std::uint64_t next_age = 0;
  SchedulerCounters counters;
  SchedulerOutput out;

  // ---- blocks -------------------------------------------------------------------------------------

  std::uint32_t blocks_for(std::uint32_t tokens) const {
    return (tokens + options.block_tokens - 1) / options.block_tokens;
  }
  /// Blocks that the sequence lacks to compute `count` more tokens.
  std::uint32_t lacking(const Sequence& sequence, std::uint32_t count) const {
    const std::uint32_t needed = blocks_for(sequence.computed + count);
    const auto has = static_cast<std::uint32_t>(sequence.blocks.size());
    return needed > has ? needed - has : 0;
  }
  /// Tokens that the next step wants to compute for it.
  std::uint32_t wanted(const Sequence& sequence) const {
    return std::min(sequence.uncomputed(), options.prefill_chunk);
  }
  void release_blocks(Sequence& sequence) {
    if (sequence.matched || !sequence.blocks.empty()) out.released.push_back({sequence.id(), sequence.blocks});
    sequence.blocks.clear();
    sequence.computed = sequence.published = sequence.known_blocks = 0;
    sequence.matched = false;
  }
  void publish(Sequence& sequence) {
    const std::uint32_t full = sequence.computed / options.block_tokens;
    if (full <= sequence.published) return;
    FilledBlocks filled;
    filled.id = sequence.id();
    filled.blocks.assign(sequence.blocks.begin() + sequence.published, sequence.blocks.begin() + full);
    filled.tokens.assign(sequence.tokens.begin() + std::ptrdiff_t{sequence.published} * options.block_tokens,
                         sequence.tokens.begin() + std::ptrdiff_t{full} * options.block_tokens);
    sequence.published = full;
    out.filled.push_back(std::move(filled));
  }

  // ---- the ends of sequences ----------------------------------------------------------------------

  void leave_executor(Sequence& sequence) {
    if (sequence.started) retired.push_back(sequence.id());
    sequence.started = false;
  }

  void end(Sequence& sequence) {
    release_blocks(sequence);
    leave_executor(sequence);
    std::erase(running, &sequence);
    waiting.remove(&sequence);
    starved = false;
    sequences.erase(sequence.id());
  }

  void preempt(Sequence& sequence) {
    ++counters.preemptions;
    release_blocks(sequence);
    leave_executor(sequence);
    std::erase(running, &sequence);
    sequence.state = Sequence::State::waiting;
    waiting.push_front(&sequence);
  }

  /// Takes blocks from whom it hurts least: pins of those who wait, then the newest that runs.
  void make_room(const Sequence* beneficiary) {
    Sequence* newest = nullptr;
    for (auto& [id, sequence] : sequences) {
      const bool pins = sequence.state == Sequence::State::waiting && !sequence.blocks.empty();
      if (pins && &sequence != beneficiary && (newest == nullptr || sequence.age > newest->age)) newest = &sequence;
    }
    if (newest != nullptr) {
      release_blocks(*newest);
    } else if (running.size() > 1) {
      starved = true;
      preempt(*running.back());
    }
  }

  // ---- planning -----------------------------------------------------------------------------------

  /// What a sequence will compute in the step that is being planned.
  struct Share {
    Sequence* sequence;
    std::uint32_t count;
  };

  /// Rows for all that run: a token for each that decodes, then prompt chunks, oldest first.
  std::vector<Share> share_rows(std::uint32_t& rows) const {
    std::vector<Share> shares;
    for (const bool decoding : {true, false}) {
      for (Sequence* sequence : running) {
        if (sequence->decoding() != decoding) continue;
        const std::uint32_t count = std::min(wanted(*sequence), rows);
        if (count > 0) shares.push_back({sequence, count});
        rows -= count;
      }
    }
    return shares;
  }

  std::uint32_t shortage(const std::vector<Share>& shares) const {
    std::uint32_t lacks = 0;
    for (const Share& share : shares) lacks += lacking(*share.sequence, share.count);
    const auto has = static_cast<std::uint32_t>(spare.size());
    return lacks > has ? lacks - has : 0;
  }

  /// Adds the sequence to the plan, with as many of `count` tokens as its blocks and the spare ones can hold.
  void schedule(Sequence& sequence, std::uint32_t count, StepPlan& plan, TimeNs now) {
    const auto room = static_cast<std::uint32_t>(sequence.blocks.size() + spare.size()) * options.block_tokens;
    count = room > sequence.computed ? std::min(count, room - sequence.computed) : 0;
    if (count == 0) return;
    const std::uint32_t lacks = lacking(sequence, count);
    sequence.blocks.insert(sequence.blocks.end(), spare.end() - lacks, spare.end());
    spare.resize(spare.size() - lacks);

    StepEntry entry;
    entry.id = sequence.id();
    entry.first = sequence.computed;
    entry.count = count;
    entry.sample = count == sequence.uncomputed() && sequence.request->max_new_tokens > 0;
    if (sequence.scheduled_at == 0) sequence.scheduled_at = now;
    if (sequence.started) {
      entry.new_blocks.assign(sequence.blocks.begin() + sequence.known_blocks, sequence.blocks.end());
    } else {
      sequence.started = true;
      plan.starts.push_back(
          {sequence.request, sequence.tokens, sequence.blocks, sequence.cached_tokens, sequence.scheduled_at});
    }
    sequence.known_blocks = static_cast<std::uint32_t>(sequence.blocks.size());
    sequence.in_step = true;
    plan.entries.push_back(std::move(entry));
  }

  /// Lets waiting sequences in while there is room in batch, step and pool. Gives the blocks that the next one lacks.
  std::uint32_t admit(std::uint32_t rows, StepPlan& plan, TimeNs now) {
    while (running.size() < options.max_batch_size && rows > 0 && (!starved || running.empty())) {
      Sequence* next = waiting.front();
      if (next == nullptr) return 0;
      if (!next->matched) {
        waiting.pop();
        next->state = Sequence::State::rematching;
        out.rematch.push_back({next->request, next->tokens});
        continue;
      }
      const std::uint32_t count = std::min(wanted(*next), rows);
      const std::uint32_t lacks = lacking(*next, count);
      if (lacks > spare.size()) return lacks - static_cast<std::uint32_t>(spare.size());
      waiting.pop();
      next->state = Sequence::State::running;
      running.insert(std::ranges::upper_bound(running, next->age, {}, &Sequence::age), next);
      schedule(*next, count, plan, now);
      rows -= count;
    }
    return 0;
  }

  void make_plan(TimeNs now) {
    std::uint32_t rows = options.max_step_tokens;
    std::vector<Share> shares = share_rows(rows);
    std::uint32_t missing = shortage(shares);
    if (missing > 0 && exhausted) {
      exhausted = false;
      make_room(nullptr);
      rows = options.max_step_tokens;
      shares = share_rows(rows);
      missing = shortage(shares);
    }
    StepPlan plan;
    for (const Share& share : shares) schedule(*share.sequence, share.count, plan, now);

    if (missing == 0) {
      missing = admit(rows, plan, now);
      if (missing > 0 && exhausted) {
        exhausted = false;
        if (running.empty()) {
          make_room(waiting.front());
        } else {
          starved = true;
          missing = 0;
        }
      }
    }
    ask_for_blocks(missing);

    plan.retired = std::exchange(retired, {});
    if (plan.entries.empty() && plan.retired.empty()) return;
    plan.epoch = epoch;
    plan.step = ++step;
    step_in_flight = true;
    if (!plan.entries.empty()) ++counters.steps;
    out.plan = std::move(plan);
  }

  /// Asks for what this step lacked beside the spare blocks, and for what the next one will need, so that it need
  /// not wait.
  void ask_for_blocks(std::uint32_t missing) {
    if (demand_in_flight) return;
    std::uint32_t soon = 0;
    for (const Sequence* sequence : running) {
      if (!sequence->in_step) continue;
      // A step leaves at most one token more than there are now.
      const auto tokens = static_cast<std::uint32_t>(sequence->tokens.size()) + 1;
      const std::uint32_t next =
          std::min(tokens, sequence->known_blocks * options.block_tokens + options.prefill_chunk);
      const std::uint32_t blocks = blocks_for(next);
      if (blocks > sequence->known_blocks) soon += blocks - sequence->known_blocks;
    }
    const auto has = static_cast<std::uint32_t>(spare.size());
    const std::uint32_t demand = missing + (soon > has ? soon - has : 0);
    if (demand == 0) return;
    out.demand = std::min(demand, options.total_blocks);
    demand_in_flight = true;
  }
};

Scheduler::Scheduler(SchedulerOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
  impl_->options.prefill_chunk = options.prefill_chunk;
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
    sequence.cached_tokens = matched.cached_tokens;
    sequence.tokens = std::move(matched.tokens);
  }
  sequence.blocks = std::move(matched.blocks);
  sequence.computed = matched.cached_tokens;
  sequence.published = static_cast<std::uint32_t>(sequence.blocks.size());
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
  if (!sequence.in_step && sequence.state != Sequence::State::rematching) impl_->end(sequence);
}

void Scheduler::on_grant(std::span<const BlockId> blocks, std::uint32_t asked) {
  impl_->demand_in_flight = false;
  impl_->exhausted = blocks.empty() && asked > 0;
  impl_->spare.insert(impl_->spare.end(), blocks.begin(), blocks.end());
}

void Scheduler::on_result(const StepResult& result) {
  Impl& scheduler = *impl_;
  if (!scheduler.step_in_flight || result.step != scheduler.step || result.epoch != scheduler.epoch) return;
  scheduler.step_in_flight = false;
  for (const EntryResult& entry : result.entries) {
    const auto found = scheduler.sequences.find(entry.id);
    if (found == scheduler.sequences.end()) continue;
    Sequence& sequence = found->second;
    sequence.in_step = false;
    sequence.computed += entry.computed;
    if (entry.sampled) sequence.tokens.push_back(entry.token);
    const bool scored = sequence.request->max_new_tokens == 0 && sequence.uncomputed() == 0;
    if (entry.error.empty()) scheduler.publish(sequence);
    if (sequence.cancelled || scored || !entry.error.empty() || entry.finish != FinishReason::none) {
      scheduler.end(sequence);
    }
  }
}

SchedulerOutput Scheduler::poll(TimeNs now) {
  Impl& scheduler = *impl_;
  if (!scheduler.step_in_flight) scheduler.make_plan(now);
  if (scheduler.sequences.empty() && !scheduler.demand_in_flight) {
    scheduler.out.returned = std::exchange(scheduler.spare, {});
  }
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
  const SchedulerOptions options = impl_->options;
  const SchedulerCounters counters = impl_->counters;
  impl_ = std::make_unique<Impl>();
  impl_->options = options;
  impl_->counters = counters;
  impl_->epoch = epoch;
}

}  // namespace headwater::schedule
