#pragma once
// Stats, of which each stage knows a part: all that is counted, named once, and the parts put together.
// Threading: from any thread.

#include "headwater/runtime.h"

namespace headwater::actors {

/// Calls `visit` with a pointer to each member of Stats.
template <class Visit>
void visit_counters(const Visit& visit) {
  for (const auto member : {&Stats::accepted,
                            &Stats::finished,
                            &Stats::failed,
                            &Stats::cancelled,
                            &Stats::in_flight,
                            &Stats::running,
                            &Stats::queued,
                            &Stats::prompt_tokens,
                            &Stats::generation_tokens,
                            &Stats::blocks_free,
                            &Stats::blocks_active,
                            &Stats::blocks_cached,
                            &Stats::blocks_total,
                            &Stats::kv_full_bytes,
                            &Stats::kv_window_bytes,
                            &Stats::prefix_query_tokens,
                            &Stats::prefix_query_blocks,
                            &Stats::prefix_hit_tokens,
                            &Stats::prefix_hit_blocks,
                            &Stats::prefix_copied_tokens,
                            &Stats::ghost_hits,
                            &Stats::preemptions,
                            &Stats::drafted,
                            &Stats::draft_accepted,
                            &Stats::steps,
                            &Stats::batch_size_sum,
                            &Stats::stage_restarts}) {
    visit(member);
  }
  visit(&Stats::refused);
  visit(&Stats::prefix_missed_tokens);
  visit(&Stats::evictions);
  for (const auto member : {&Stats::eviction_age_seconds_sum, &Stats::step_seconds_sum}) visit(member);
  for (const auto member :
       {&Stats::eviction_age_seconds_counts, &Stats::step_seconds_counts, &Stats::batch_size_counts}) {
    visit(member);
  }
  visit(&Stats::block_tokens);
  visit(&Stats::tier);
}

/// Adds what one part of the runtime has counted to what others have. It leaves alone what it does not know: 0, or
/// empty.
void add(Stats& whole, const Stats& part);

}  // namespace headwater::actors
