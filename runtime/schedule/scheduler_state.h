#pragma once
// What the scheduler knows, and the parts of its work: ends of sequences (scheduler.cc), plans (planning.cc), guesses
// in them (drafting.cc), which sequences share a prefix (prefix_sharing.cc), and who may run (admission.cc). Private to
// those files.

#include <deque>
#include <unordered_map>
#include <vector>

#include "schedule/guess_cost.h"
#include "schedule/length_guess.h"
#include "schedule/sequence.h"

namespace headwater::schedule {

/// What a running sequence will compute in the step that is being planned.
struct Share {
  Sequence* sequence;
  std::uint32_t count;
};

/// What is left of a step while it is planned.
struct StepRoom {
  std::uint32_t rows = 0;
  std::uint32_t scored = 0;  ///< of them, those of prompts whose tokens are scored

  /// Rows for the sequence, no more than `chunk`; takes them off.
  std::uint32_t take(const Sequence& sequence, std::uint32_t chunk);
};

// Tokens of scored prompts in a step in which nobody decodes, and in one that somebody waits for. Each costs a row of
// logits, and the executor holds 256 rows at a time.
inline constexpr std::uint32_t kScoredRows = 256;
inline constexpr std::uint32_t kMixedScoredRows = 32;

struct Scheduler::Impl {
  SchedulerOptions options;
  std::uint64_t epoch = 0;
  std::uint64_t step = 0;
  bool step_in_flight = false;
  bool demand_in_flight = false;
  bool released_since_demand = false;
  /// The last demand brought nothing, and nothing has been released since it was made.
  bool exhausted = false;
  /// Blocks have run out while sequences ran: nobody new is let in until one of them ends.
  bool starved = false;
  /// Whoever is next waits until its blocks would last.
  bool held_back = false;
  LengthGuess lengths;

  std::unordered_map<RequestId, Sequence> sequences;
  std::vector<Sequence*> running;  ///< oldest first
  WaitingQueue waiting;
  std::uint32_t rematching = 0;  ///< sequences that are at the prefix cache
  std::vector<BlockId> spare;
  std::vector<RequestId> retired;  ///< for the next plan
  std::vector<BlockSave> saves;    ///< for the next plan
  std::deque<BlockSave> later_saves;
  cache::GivenBack given_back;         ///< with the next plan
  std::vector<std::uint32_t> refills;  ///< by block: how often it was planned to be computed once more
  std::uint64_t next_age = 0;
  SchedulerCounters counters;
  GuessCost guess_cost;
  SchedulerOutput out;

  // ---- scheduler.cc ----

  void publish(Sequence& sequence);
  /// Lets go of the window rows that its next token does not see.
  void pass(Sequence& sequence);
  /// Those of `blocks` that were to be saved some time are saved with the next plan.
  void save_now(std::span<const BlockId> blocks);
  void release_blocks(Sequence& sequence);
  /// Gives up what a match has found in part.
  void release_borrowed(Sequence& sequence);
  void release_copied(BlockId block);
  void leave_executor(Sequence& sequence);
  void end(Sequence& sequence);
  void preempt(Sequence& sequence);
  /// Sends a waiting sequence to the prefix cache once more.
  void rematch(Sequence& sequence);
  void on_entry(Sequence& sequence, const EntryResult& entry);

  // ---- prefix_sharing.cc ----

  /// Those who wait and could use what `writer` has just published are matched again before they run.
  void mark_stale(const Sequence& writer);
  /// Whether more of the prefix has been published, by one that runs, than a match found that was under way meanwhile.
  bool published_beyond(const Sequence& reader, std::uint32_t cached_tokens) const;
  /// Whether a running sequence is about to compute more of what this one begins with: to wait for that is quicker
  /// than to compute it twice.
  bool awaits_prefix(const Sequence& reader) const;

  // ---- admission.cc ----

  /// Whether the pool likely holds all that run, and this one, until they end.
  bool room_lasts_with(const Sequence& next) const;

  // ---- planning.cc ----

  void make_plan(TimeNs now);
  std::vector<BlockSave> take_saves();
  /// Asks for what the next step will need, so that it need not wait, or returns what it will not.
  void balance_spare();

  /// Blocks that the sequence lacks to compute `count` more tokens.
  std::uint32_t lacking(const Sequence& sequence, std::uint32_t count) const;
  StepRoom whole_step() const { return {options.max_step_tokens, kScoredRows}; }
  std::vector<Share> share_rows(StepRoom& room) const;
  std::uint32_t shortage(const std::vector<Share>& shares) const;
  void schedule(Sequence& sequence, std::uint32_t count, StepPlan& plan, TimeNs now);
  bool may_admit() const { return !starved || (running.empty() && rematching == 0); }
  std::uint32_t admit(StepRoom room, StepPlan& plan, TimeNs now);
  void make_room(Sequence* beneficiary, std::uint32_t missing);
  std::uint32_t foreseen() const;

  // ---- drafting.cc ----

  /// Tokens that the sequence may compute beyond its newest one, in blocks that it has and within what is asked of it.
  std::uint32_t draft_room(const Sequence& sequence) const;
  /// Guesses for a plan that is made but for them.
  void add_drafts(StepPlan& plan);
};

}  // namespace headwater::schedule
